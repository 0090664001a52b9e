#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace hearth::cli {

/// The folder of the running program; the programs of Hearth are installed side by side.
std::filesystem::path program_folder();

struct ProcessResult {
  int exit_code = 0;   ///< 128 + signal if a signal ended it
  std::string output;  ///< all of its standard output
  double seconds = 0;  ///< wall time from start to end
};

/// Runs a program to its end. Standard error and input are inherited, standard output is collected. While it runs,
/// interrupts (Ctrl-C) reach only the child, so that the caller can clean up. Error(kIo) if it cannot be started.
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
