#include "cli/common/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

std::string message_of(int code) { return std::generic_category().message(code); }

std::vector<char*> argument_vector(std::string& program, std::vector<std::string>& arguments) {
  std::vector<char*> out{program.data()};
  for (std::string& argument : arguments) out.push_back(argument.data());
  out.push_back(nullptr);
  return out;
}

std::atomic<pid_t> running_child{0};
std::atomic<int> noted_signal{0};
static_assert(std::atomic<pid_t>::is_always_lock_free && std::atomic<int>::is_always_lock_free, "signal handlers");

void pass_on(int signal) {
  const int code = errno;
  noted_signal = signal;
  if (const pid_t child = running_child) ::kill(child, signal);
  errno = code;
}

/// Holds ending signals back for the time of a scope.
class HeldSignals {
 public:
  HeldSignals() {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : kEndingSignals) sigaddset(&held, signal);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  ~HeldSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;
  const sigset_t& before() const { return before_; }

 private:
  sigset_t before_{};
};

struct Pipe {
  Pipe() { require(::pipe2(ends.data(), O_CLOEXEC) == 0, ErrorKind::kIo, "cannot make a pipe: {}", message_of(errno)); }
  ~Pipe() {
    for (const int end : ends) {
      if (end >= 0) ::close(end);
    }
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  std::array<int, 2> ends{-1, -1};
};

pid_t spawn(std::string program, std::vector<std::string> arguments, int output, const sigset_t& mask) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &mask);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = -1;
  const std::vector<char*> vector = argument_vector(program, arguments);
  const int code = posix_spawn(&child, program.c_str(), &actions, &attributes, vector.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  require(code == 0, ErrorKind::kIo, "cannot start {}: {}", program, message_of(code));
  return child;
}

std::string read_to_end(int descriptor) {
  std::string out;
  std::array<char, 4096> piece;
  while (true) {
    const ssize_t got = ::read(descriptor, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return out;
    out.append(piece.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

fs::path program_folder() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  require(!error, ErrorKind::kIo, "cannot find the folder of this program: {}", error.message());
  return self.parent_path();
}

InterruptScope::InterruptScope() {
  noted_signal = 0;
  for (std::size_t i = 0; i < kEndingSignals.size(); ++i) {
    sigaction(kEndingSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = pass_on;
    action.sa_flags = SA_RESTART;
    sigaction(kEndingSignals[i], &action, nullptr);
  }
}

InterruptScope::~InterruptScope() {
  for (std::size_t i = 0; i < kEndingSignals.size(); ++i) sigaction(kEndingSignals[i], &before_[i], nullptr);
}

void InterruptScope::check() const {
  if (noted_signal != 0) throw Interrupted{noted_signal};
}

ChildProcess::ChildProcess(const fs::path& program, const std::vector<std::string>& arguments, bool signals)
    : start_(std::chrono::steady_clock::now()) {
  Pipe pipe;
  {
    const HeldSignals held;  // one that comes while the child has no number yet is passed on right after
    id_ = spawn(program.string(), arguments, pipe.ends[1], held.before());
    if (signals) running_child = id_;
  }
  output_ = std::exchange(pipe.ends[0], -1);
}

ChildProcess::~ChildProcess() {
  if (id_ >= 0) {
    send(SIGKILL);
    wait();
  }
  ::close(output_);
}

bool ChildProcess::ended() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == id_;
}

void ChildProcess::send(int signal) const { ::kill(id_, signal); }

/// Exit code, 128 + signal if one ended it, -1 if it cannot be known.
int ChildProcess::wait() {
  // First without reaping: until then the number belongs to no other process, and signals may be passed on to it.
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  if (running_child == id_) running_child = 0;
  int status = 0;
  const pid_t child = std::exchange(id_, -1);
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

ProcessResult ChildProcess::finish() {
  ProcessResult result;
  result.output = read_to_end(output_);
  result.exit_code = wait();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  return result;
}

ProcessResult run_process(const fs::path& program, const std::vector<std::string>& arguments) {
  return ChildProcess(program, arguments, true).finish();
}

void replace_process(const fs::path& program, const std::vector<std::string>& arguments) {
  std::string path = program.string();
  std::vector<std::string> copies = arguments;
  ::execv(path.c_str(), argument_vector(path, copies).data());
  fail(ErrorKind::kIo, "cannot start {}: {}; is Hearth installed completely?", path, message_of(errno));
}

TemporaryFolder::TemporaryFolder() {
  std::error_code error;
  fs::path base = fs::temp_directory_path(error);
  if (error) base = "/tmp";
  std::string pattern = (base / "hearth-XXXXXX").string();
  require(::mkdtemp(pattern.data()) != nullptr, ErrorKind::kIo, "cannot make a temporary folder in {}: {}",
          base.string(), message_of(errno));
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace hearth::cli
