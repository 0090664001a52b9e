#pragma once

#include <signal.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace hearth::cli {

/// The folder of the running program; the programs of Hearth are installed side by side.
std::filesystem::path program_folder();

/// What a user or a system ends a program with.
inline constexpr std::array kEndingSignals{SIGINT, SIGTERM, SIGHUP};

/// Thrown where a signal stops the work, so that everything is cleaned up on the way out.
struct Interrupted {
  int signal;
};

/// For the time of a scope, ending signals (those not ignored before) are passed on to the child of run_process() and
/// noted, instead of ending this process. One at a time; made and destroyed by one thread.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  /// Throws Interrupted if an ending signal came. Long work calls it now and then, from any thread.
  void check() const;

 private:
  std::array<struct sigaction, kEndingSignals.size()> before_{};
};

struct ProcessResult {
  int exit_code = 0;   ///< 128 + signal if a signal ended it
  std::string output;  ///< all of its standard output
  double seconds = 0;  ///< wall time from start to end
};

/// A program that runs beside this one. Standard error and input are inherited. For one thread.
class ChildProcess {
 public:
  /// `signals`: ending signals that come within an InterruptScope are passed on to it; for one child at a time.
  /// Error(kIo) if it cannot be started.
  ChildProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments, bool signals = false);
  /// Kills it if it was not finished.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Whether it has come to its end.
  bool ended() const;
  void send(int signal) const;
  /// Collects its standard output, then waits for its end. Once. Until then a program that writes more than a pipe
  /// holds does not get on.
  ProcessResult finish();

 private:
  int wait();

  std::chrono::steady_clock::time_point start_;
  pid_t id_ = -1;  // -1 when it is no more
  int output_ = -1;
};

/// Runs a program to its end. Within an InterruptScope, ending signals reach the child; afterwards ask check().
/// Error(kIo) if it cannot be started. By one thread at a time.
ProcessResult run_process(const std::filesystem::path& program, const std::vector<std::string>& arguments);

/// Replaces this process. Error(kIo) if that fails; does not return otherwise.
[[noreturn]] void replace_process(const std::filesystem::path& program, const std::vector<std::string>& arguments);

/// A new folder that only the owner can enter, in the system's folder for temporary files; removed with all it holds on
/// destruction.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace hearth::cli
