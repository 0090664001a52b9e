#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "memory/io_engine.h"
#include "memory/worker_pool.h"

namespace hearth::memory {
namespace {

constexpr int kThreads = 4;
/// The largest piece given to one system call, which may cut at 2^31 bytes.
constexpr std::size_t kPiece = std::size_t{1} << 30;

class ThreadEngine final : public IoEngine {
 public:
  ThreadEngine(int descriptor, std::string name)
      : descriptor_(descriptor), name_(std::move(name)), workers_(kThreads) {}

  void start(const Transfer& transfer, TransferDone done) override {
    workers_.post([this, transfer, done = std::move(done)] { done(carry_out(transfer)); });
  }
  std::size_t depth() const override { return 2 * kThreads; }

 private:
  std::exception_ptr carry_out(const Transfer& whole) const {
    Transfer rest = whole;
    while (!rest.memory.empty()) {
      const ssize_t moved = step(rest);
      if (moved < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (moved <= 0) return transfer_error(name_, whole, moved < 0 ? errno : 0);
      rest.offset += static_cast<std::uint64_t>(moved);
      rest.memory = rest.memory.subspan(static_cast<std::size_t>(moved));
    }
    return nullptr;
  }

  ssize_t step(const Transfer& rest) const {
    const std::size_t size = std::min(rest.memory.size(), kPiece);
    const auto offset = static_cast<off_t>(rest.offset);
    return rest.direction == Direction::kRead ? ::pread(descriptor_, rest.memory.data(), size, offset)
                                              : ::pwrite(descriptor_, rest.memory.data(), size, offset);
  }

  int descriptor_;
  std::string name_;
  WorkerPool workers_;  // last: its threads use the members above
};

}  // namespace

std::unique_ptr<IoEngine> make_thread_engine(int descriptor, std::string name) {
  return std::make_unique<ThreadEngine>(descriptor, std::move(name));
}

std::exception_ptr transfer_error(const std::string& name, const Transfer& transfer, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  const char* const what = transfer.direction == Direction::kRead ? "reading" : "writing";
  const std::string reason = code == 0 ? "the file has become too short" : std::generic_category().message(code);
  return std::make_exception_ptr(
      Error(full ? ErrorKind::kResource : ErrorKind::kIo,
            fmt::format("{}: {} {} bytes at offset {} failed: {}{}", name, what, transfer.memory.size(),
                        transfer.offset, reason, full ? "; make room there or choose another folder" : "")));
}

}  // namespace hearth::memory
