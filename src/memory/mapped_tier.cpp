#include "memory/mapped_tier.h"

#include <cstring>
#include <deque>
#include <utility>

namespace hearth::memory {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr int kThreads = 2;

/// Calls `done`, which may start other transfers and so come back here: those have their turn when it has returned, so
/// that chains of any length need no more stack.
void end_now(TransferDone done) noexcept {
  thread_local std::deque<TransferDone>* running = nullptr;
  if (running != nullptr) return running->push_back(std::move(done));
  std::deque<TransferDone> queue;
  running = &queue;
  for (queue.push_back(std::move(done)); !queue.empty(); queue.pop_front()) queue.front()(nullptr);
  running = nullptr;
}

}  // namespace

MappedTier::MappedTier(std::string name, MappedMemory memory, TierSpeed speed)
    : TierBase(std::move(name), std::move(speed), memory.bytes().size(), kAlignment),
      memory_(std::move(memory)),
      workers_(kThreads) {}

std::size_t MappedTier::depth() const { return 2 * kThreads; }

void MappedTier::settle(const Transfer& transfer) {
  std::memcpy(transfer.memory.data(), memory_.bytes().data() + transfer.offset, transfer.memory.size());
}

void MappedTier::begin(const Transfer& transfer, TransferDone done) {
  if (transfer.direction == Direction::kRead) return end_now(std::move(done));
  workers_.post([this, transfer, done = std::move(done)] {
    std::memcpy(memory_.bytes().data() + transfer.offset, transfer.memory.data(), transfer.memory.size());
    done(nullptr);
  });
}

}  // namespace hearth::memory
