#include "memory/mapped_tier.h"

#include <cstring>

namespace hearth::memory {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr int kThreads = 2;

}  // namespace

MappedTier::MappedTier(std::string name, MappedMemory memory, TierSpeed speed)
    : TierBase(std::move(name), std::move(speed), memory.bytes().size(), kAlignment),
      memory_(std::move(memory)),
      workers_(kThreads) {}

std::size_t MappedTier::depth() const { return 2 * kThreads; }

void MappedTier::begin(const Transfer& transfer, TransferDone done) {
  workers_.post([this, transfer, done = std::move(done)] {
    std::byte* const here = memory_.bytes().data() + transfer.offset;
    const std::span<std::byte> there = transfer.memory;
    if (transfer.direction == Direction::kRead) {
      std::memcpy(there.data(), here, there.size());
    } else {
      std::memcpy(here, there.data(), there.size());
    }
    done(nullptr);
  });
}

}  // namespace hearth::memory
