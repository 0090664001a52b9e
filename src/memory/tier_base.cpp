#include "memory/tier_base.h"

#include "base/error.h"

namespace hearth::memory {

void check_transfer(const Tier& tier, const Transfer& transfer) {
  const std::uint64_t size = transfer.memory.size(), alignment = tier.alignment();
  require(size > 0, ErrorKind::kInvalidArgument, "{}: a transfer of no bytes", tier.name());
  require(transfer.offset <= tier.capacity() && size <= tier.capacity() - transfer.offset, ErrorKind::kInvalidArgument,
          "{}: a transfer of {} bytes at offset {} leaves the capacity of {}", tier.name(), size, transfer.offset,
          tier.capacity());
  const auto address = reinterpret_cast<std::uintptr_t>(transfer.memory.data());
  require(transfer.offset % alignment == 0 && size % alignment == 0 && address % alignment == 0,
          ErrorKind::kInvalidArgument,
          "{}: offset, size and address of a transfer must be multiples of {}, not {}, {} and {:#x}", tier.name(),
          alignment, transfer.offset, size, address);
}

TierBase::TierBase(std::string name, TierSpeed speed, std::uint64_t capacity, std::size_t alignment)
    : name_(std::move(name)), capacity_(capacity / alignment * alignment), alignment_(alignment) {
  require(capacity_ > 0, ErrorKind::kInvalidArgument, "{}: a capacity of at least {} bytes is needed, not {}", name_,
          alignment, capacity);
  set_speed(std::move(speed));
}

void TierBase::set_speed(TierSpeed speed) {
  require(speed.valid(), ErrorKind::kInvalidArgument,
          "{}: a speed needs points of ascending sizes for both directions, all positive", name_);
  speed_ = std::move(speed);
}

TierSpeed unmeasured_speed() {
  const SpeedPoint typical{.bytes = 4096, .latency = 1e-4, .bandwidth = 2e9};
  return {.read = {typical}, .write = {typical}};
}

}  // namespace hearth::memory
