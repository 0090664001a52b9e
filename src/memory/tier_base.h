#pragma once

#include <string>

#include "memory/tier.h"

namespace hearth::memory {

/// Throws Error(kInvalidArgument) saying what is wrong unless the transfer is one that the tier's start() takes.
void check_transfer(const Tier& tier, const Transfer& transfer);

/// What all tiers of this folder have in common: figures that are known from the start, and checked arguments.
class TierBase : public Tier {
 public:
  const std::string& name() const override { return name_; }
  const TierSpeed& speed() const override { return speed_; }
  std::uint64_t capacity() const override { return capacity_; }
  std::size_t alignment() const override { return alignment_; }
  void start(const Transfer& transfer, TransferDone done) final {
    check_transfer(*this, transfer);
    begin(transfer, std::move(done));
  }

  /// Replaces what the constructor was told. Only before the tier is shared between threads.
  void set_speed(TierSpeed speed);

 protected:
  /// The capacity is rounded down to the alignment. Error(kInvalidArgument) if nothing is left, or for a speed that is
  /// not valid().
  TierBase(std::string name, TierSpeed speed, std::uint64_t capacity, std::size_t alignment);
  virtual void begin(const Transfer& transfer, TransferDone done) = 0;

 private:
  std::string name_;
  TierSpeed speed_;
  std::uint64_t capacity_;
  std::size_t alignment_;
};

/// What to expect of a tier that nobody has measured: a few GB/s.
TierSpeed unmeasured_speed();

}  // namespace hearth::memory
