#pragma once

#include "memory/mapped_memory.h"
#include "memory/tier_base.h"
#include "memory/worker_pool.h"

namespace hearth::memory {

/// A tier that the processor addresses: a DAX file, the memory of a NUMA node (CXL, PMem as memory), or plain memory.
/// Two threads of the tier copy what is written; what is read is copied by settle(), so that the processor's caches
/// hold it when it is used. Alignment 64. Transfers never fail.
class MappedTier final : public TierBase {
 public:
  MappedTier(std::string name, MappedMemory memory, TierSpeed speed = unmeasured_speed());

  std::size_t depth() const override;
  void settle(const Transfer& transfer) override;

 private:
  void begin(const Transfer& transfer, TransferDone done) override;

  MappedMemory memory_;
  WorkerPool workers_;  // last: copies what is in flight before the memory goes
};

}  // namespace hearth::memory
