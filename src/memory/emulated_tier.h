#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>

#include "memory/tier_base.h"

namespace hearth::memory {

/// Stands in for a tier that this machine lacks: keeps the bytes in another, faster tier and ends transfers no sooner
/// than one of the given speed would. Each direction has its own bandwidth, which all transfers of that direction
/// share. Where the other tier is slower, its speed shows. As with a copy engine, the
/// processor's part of a transfer from memory is left to settle().
class EmulatedTier final : public TierBase {
 public:
  /// `what` it stands in for; name() is "emulated " and that.
  EmulatedTier(const std::string& what, std::unique_ptr<Tier> bytes, TierSpeed speed);
  ~EmulatedTier() override;

  bool emulated() const override { return true; }
  /// Enough to use the bandwidth in spite of the latency.
  std::size_t depth() const override { return depth_; }
  void poll() noexcept override;
  void settle(const Transfer& transfer) override { bytes_->settle(transfer); }
  void register_memory(std::span<std::byte> memory) override { bytes_->register_memory(memory); }
  void forget_memory() override { bytes_->forget_memory(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Ending {
    Clock::time_point due;
    TransferDone done;
    std::exception_ptr error;
    bool operator>(const Ending& other) const { return due > other.due; }
  };

  void begin(const Transfer& transfer, TransferDone done) override;
  Clock::time_point schedule(const Transfer& transfer);
  void copied(Ending ending);
  void end_when_due();
  void end_due(std::unique_lock<std::mutex>& lock);

  std::unique_ptr<Tier> bytes_;
  std::size_t depth_;
  std::mutex polling_;  // of ending transfers, so that they end in order; before the other
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Clock::time_point, 2> busy_until_{};  // by direction: when the last transfer's bytes have passed
  std::priority_queue<Ending, std::vector<Ending>, std::greater<>> endings_;
  std::size_t unfinished_ = 0;
  bool ending_ = false;
  std::thread timer_;
};

}  // namespace hearth::memory
