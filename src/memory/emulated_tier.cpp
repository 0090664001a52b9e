#include "memory/emulated_tier.h"

#include <algorithm>
#include <cmath>

#include "base/spin_lock.h"

namespace hearth::memory {
namespace {

/// How often the timer looks.
constexpr std::chrono::milliseconds kInterval{2};

/// About how late ends are noticed: by who computes, now and then. Made good by more transfers in flight.
constexpr double kLate = 150e-6;

/// Transfers that must be in flight for the bandwidth to be used.
std::size_t depth_of(const TierSpeed& speed) {
  constexpr std::uint64_t kSmall = 128 << 10;
  double depth = 4;
  for (const Direction direction : {Direction::kRead, Direction::kWrite}) {
    const double seconds = speed.latency(direction, kSmall) + kLate;
    depth = std::max(depth, std::ceil(seconds / speed.busy(direction, kSmall)));
  }
  return static_cast<std::size_t>(std::min(depth, 32.0));
}

}  // namespace

EmulatedTier::EmulatedTier(const std::string& what, std::unique_ptr<Tier> bytes, TierSpeed speed)
    : TierBase("emulated " + what, std::move(speed), bytes->capacity(), bytes->alignment()),
      bytes_(std::move(bytes)),
      depth_(depth_of(this->speed())),
      timer_([this] { end_when_due(); }) {}

EmulatedTier::~EmulatedTier() {
  {
    std::unique_lock lock = spin_lock(mutex_);
    changed_.wait(lock, [&] { return unfinished_ == 0; });
    ending_ = true;
  }
  changed_.notify_all();
  timer_.join();
}

EmulatedTier::Clock::time_point EmulatedTier::schedule(const Transfer& transfer) {
  const auto seconds = [](double value) {
    return std::chrono::ceil<Clock::duration>(std::chrono::duration<double>(value));
  };
  const auto busy = seconds(speed().busy(transfer.direction, transfer.memory.size()));
  const auto alone = std::max(busy, seconds(speed().latency(transfer.direction, transfer.memory.size())));
  const auto lock = spin_lock(mutex_);
  ++unfinished_;
  Clock::time_point& until = busy_until_[static_cast<std::size_t>(transfer.direction)];
  const Clock::time_point turn = std::max(until, Clock::now());
  until = turn + busy;
  return turn + alone;
}

void EmulatedTier::begin(const Transfer& transfer, TransferDone done) {
  const Clock::time_point due = schedule(transfer);
  bytes_->start(transfer, [this, due, done = std::move(done)](std::exception_ptr error) mutable {
    copied({.due = due, .done = std::move(done), .error = std::move(error)});
  });
}

void EmulatedTier::copied(Ending ending) {
  // Notified under the lock: as soon as the lock is free the timer may end the last transfer, and the tier with it.
  const auto lock = spin_lock(mutex_);
  endings_.push(std::move(ending));
  if (endings_.size() == 1) changed_.notify_all();
}

void EmulatedTier::poll() noexcept {
  bytes_->poll();
  const std::unique_lock polling(polling_, std::try_to_lock);
  if (!polling.owns_lock()) return;
  std::unique_lock lock = spin_lock(mutex_);
  end_due(lock);
}

void EmulatedTier::end_due(std::unique_lock<std::mutex>& lock) {
  while (!endings_.empty() && endings_.top().due <= Clock::now()) {
    const Ending ending = endings_.top();
    endings_.pop();
    lock.unlock();
    ending.done(ending.error);
    lock.lock();
    if (--unfinished_ == 0) changed_.notify_all();
  }
}

/// For those who do not poll().
void EmulatedTier::end_when_due() {
  std::unique_lock lock = spin_lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ending_ || !endings_.empty(); });
    if (endings_.empty()) return;
    const Clock::time_point until = std::max(endings_.top().due, Clock::now() + kInterval);
    changed_.wait_until(lock, until);
    lock.unlock();
    const std::lock_guard polling(polling_);
    lock.lock();
    end_due(lock);
  }
}

}  // namespace hearth::memory
