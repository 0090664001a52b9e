#include "memory/tier.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace hearth::memory {
namespace {

/// A multiple of every tier's alignment, large enough to run at full bandwidth.
constexpr std::size_t kPiece = std::size_t{4} << 20;

constexpr std::chrono::microseconds kPollInterval{50};

/// Waits until as many calls of ended() have come as of begun().
class Countdown {
 public:
  void begun() {
    const std::lock_guard lock(mutex_);
    ++left_;
  }
  void ended(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (error && !error_) error_ = std::move(error);
    // Under the lock: the waiter destroys this object as soon as it can have the lock.
    if (--left_ == 0) changed_.notify_all();
  }
  std::exception_ptr wait(Tier& tier) {
    std::unique_lock lock(mutex_);
    while (left_ > 0) {
      lock.unlock();
      tier.poll();
      lock.lock();
      if (left_ > 0) changed_.wait_for(lock, kPollInterval);
    }
    return error_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t left_ = 0;
  std::exception_ptr error_;
};

}  // namespace

void transfer_now(Tier& tier, const Transfer& transfer) {
  Countdown countdown;
  std::size_t at = 0;
  do {
    Transfer piece = transfer;
    piece.offset += at;
    piece.memory = transfer.memory.subspan(at, std::min(kPiece, transfer.memory.size() - at));
    at += piece.memory.size();
    countdown.begun();
    try {
      tier.start(piece, [&](std::exception_ptr error) { countdown.ended(std::move(error)); });
    } catch (...) {
      countdown.ended(std::current_exception());
      break;
    }
  } while (at < transfer.memory.size());
  if (const std::exception_ptr error = countdown.wait(tier)) std::rethrow_exception(error);
  if (transfer.direction == Direction::kRead) tier.settle(transfer);
}

}  // namespace hearth::memory
