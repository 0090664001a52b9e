#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "base/error.h"
#include "memory/tier.h"

namespace hearth::testing {

/// What goes wrong with a transfer.
enum class Fault {
  kError,       ///< Error(kIo); nothing is transferred
  kShort,       ///< half is transferred, then Error(kIo)
  kSilentLoss,  ///< half is transferred, and the end claims success; what a read leaves out is overwritten with junk
  kFlippedBit,  ///< one bit in the middle of what is read (or written) is wrong, and the end claims success
  kFull         ///< Error(kResource), as of a full disk
};

/// Passes transfers on to another tier, counts them, and lets some go wrong. Thread safe.
class FaultyTier final : public memory::Tier {
 public:
  static constexpr std::uint64_t kAlways = std::numeric_limits<std::uint64_t>::max();

  explicit FaultyTier(std::unique_ptr<memory::Tier> inner) : inner_(std::move(inner)) {}

  /// The next transfers of this direction go well `after` times, then `times` of them have the fault. Replaces what was
  /// said before.
  void fail(memory::Direction direction, Fault fault, std::uint64_t after = 0, std::uint64_t times = 1) {
    const std::lock_guard lock(mutex_);
    plan(direction) = {.fault = fault, .after = after, .times = times};
  }
  void heal() {
    const std::lock_guard lock(mutex_);
    plans_[0] = plans_[1] = {};
  }

  std::uint64_t reads() const { return reads_; }
  std::uint64_t writes() const { return writes_; }
  std::uint64_t read_bytes() const { return read_bytes_; }
  std::uint64_t written_bytes() const { return written_bytes_; }
  /// Transfers that had a fault.
  std::uint64_t faults() const { return faults_; }
  /// Most transfers that were ever in flight at a time, and those in flight now.
  std::uint64_t most_in_flight() const { return most_in_flight_; }
  std::uint64_t in_flight() const { return in_flight_; }

  const std::string& name() const override { return inner_->name(); }
  bool emulated() const override { return inner_->emulated(); }
  const memory::TierSpeed& speed() const override { return inner_->speed(); }
  std::uint64_t capacity() const override { return inner_->capacity(); }
  std::size_t alignment() const override { return inner_->alignment(); }
  std::size_t depth() const override { return inner_->depth(); }
  void register_memory(std::span<std::byte> memory) override { inner_->register_memory(memory); }
  void forget_memory() override { inner_->forget_memory(); }

  void poll() noexcept override { inner_->poll(); }
  /// What a faulty read left in memory stays there.
  void settle(const memory::Transfer& transfer) override {
    {
      const std::lock_guard lock(mutex_);
      if (spoilt_.contains(transfer.memory.data())) return;
    }
    inner_->settle(transfer);
  }

  void start(const memory::Transfer& transfer, memory::TransferDone done) override {
    const bool reads = transfer.direction == memory::Direction::kRead;
    ++(reads ? reads_ : writes_);
    (reads ? read_bytes_ : written_bytes_) += transfer.memory.size();
    const std::uint64_t now = ++in_flight_;
    for (std::uint64_t most = most_in_flight_; most < now && !most_in_flight_.compare_exchange_weak(most, now);) {
    }
    memory::TransferDone counted = [this, done = std::move(done)](std::exception_ptr error) {
      --in_flight_;
      done(std::move(error));
    };
    Fault fault{};
    const bool faulty = take(transfer.direction, fault);
    if (reads) {
      const std::lock_guard lock(mutex_);
      if (faulty) {
        spoilt_.insert(transfer.memory.data());
      } else {
        spoilt_.erase(transfer.memory.data());
      }
    }
    if (!faulty) return inner_->start(transfer, std::move(counted));
    ++faults_;
    start_faulty(transfer, fault, std::move(counted));
  }

 private:
  struct Plan {
    Fault fault = Fault::kError;
    std::uint64_t after = 0, times = 0;
  };
  Plan& plan(memory::Direction direction) { return plans_[direction == memory::Direction::kRead ? 0 : 1]; }

  bool take(memory::Direction direction, Fault& fault) {
    const std::lock_guard lock(mutex_);
    Plan& next = plan(direction);
    if (next.after > 0) return --next.after, false;
    if (next.times == 0) return false;
    if (next.times != kAlways) --next.times;
    fault = next.fault;
    return true;
  }

  static std::exception_ptr error_of(Fault fault) {
    if (fault == Fault::kFull)
      return std::make_exception_ptr(Error(ErrorKind::kResource, "injected: the disk is full"));
    const bool error = fault == Fault::kError || fault == Fault::kShort;
    return error ? std::make_exception_ptr(Error(ErrorKind::kIo, "injected: the transfer failed")) : nullptr;
  }

  /// Faults go through the inner tier too, so that they end when and where its transfers do.
  void start_faulty(const memory::Transfer& transfer, Fault fault, memory::TransferDone done) {
    if (transfer.direction == memory::Direction::kRead) return start_faulty_read(transfer, fault, std::move(done));
    if (fault == Fault::kError || fault == Fault::kFull) return done(error_of(fault));
    if (fault == Fault::kFlippedBit) return start_flipped_write(transfer, std::move(done));
    memory::Transfer half = transfer;
    half.memory = transfer.memory.first(transfer.memory.size() / 2 / alignment() * alignment());
    if (half.memory.empty()) return done(error_of(fault));
    inner_->start(half,
                  [fault, done = std::move(done)](std::exception_ptr error) { done(error ? error : error_of(fault)); });
  }

  void start_faulty_read(const memory::Transfer& transfer, Fault fault, memory::TransferDone done) {
    inner_->start(transfer, [this, transfer, fault, done = std::move(done)](std::exception_ptr error) {
      const std::span<std::byte> memory = transfer.memory;
      inner_->settle(transfer);
      const std::size_t kept = fault == Fault::kShort || fault == Fault::kSilentLoss ? memory.size() / 2 : 0;
      if (fault == Fault::kFlippedBit) {
        memory[memory.size() / 2] ^= std::byte{0x10};
      } else {
        std::memset(memory.data() + kept, 0xA5, memory.size() - kept);
      }
      done(error ? error : error_of(fault));
    });
  }

  /// The bit is turned back once it has been written.
  void start_flipped_write(const memory::Transfer& transfer, memory::TransferDone done) {
    const std::span<std::byte> memory = transfer.memory;
    memory[memory.size() / 2] ^= std::byte{0x10};
    inner_->start(transfer, [memory, done = std::move(done)](std::exception_ptr error) {
      memory[memory.size() / 2] ^= std::byte{0x10};
      done(std::move(error));
    });
  }

  std::mutex mutex_;
  Plan plans_[2];
  std::set<const std::byte*> spoilt_;  // memory of faulty reads
  std::atomic<std::uint64_t> reads_{0}, writes_{0}, read_bytes_{0}, written_bytes_{0}, faults_{0}, in_flight_{0},
      most_in_flight_{0};
  std::unique_ptr<memory::Tier> inner_;  // last: transfers in flight use the members above
};

}  // namespace hearth::testing
