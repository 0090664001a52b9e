#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <string>

#include "memory/tier_speed.h"

namespace hearth::memory {

/// One transfer between DRAM and a tier. Offset, address and length are multiples of the tier's alignment().
struct Transfer {
  Direction direction = Direction::kRead;
  std::uint64_t offset = 0;
  std::span<std::byte> memory;  ///< written to by reads, read by writes; must outlive the transfer
};

/// Called once when a transfer has ended: null, or what went wrong (an Error of kind kIo, or kResource where the tier
/// is full). A read that fails leaves anything in memory.
using TransferDone = std::function<void(std::exception_ptr)>;

/// Storage below DRAM for data that a running program moves out of the way. Its contents last as long as the object and
/// nobody else sees them. All functions are thread safe.
class Tier {
 public:
  virtual ~Tier() = default;  ///< waits for transfers in flight; leaves nothing behind
  /// For messages and reports, e.g. "nvme:/scratch". Of a tier that is not really there it begins with "emulated ".
  virtual const std::string& name() const = 0;
  virtual bool emulated() const { return false; }
  /// What planning may expect of it.
  virtual const TierSpeed& speed() const = 0;
  virtual std::uint64_t capacity() const = 0;
  virtual std::size_t alignment() const = 0;
  /// How many transfers are worth starting before one has ended.
  virtual std::size_t depth() const = 0;
  /// Starts a transfer and returns; it may wait for earlier ones when far more than depth() are in flight. `done` is
  /// called from a thread of the tier or from within start() or poll(); it must be short and may call start().
  /// Transfers that overlap each other's bytes in time give undefined contents. Throws Error(kInvalidArgument) and does
  /// not call `done` if the transfer is misaligned, empty or leaves the capacity.
  virtual void start(const Transfer& transfer, TransferDone done) = 0;
  /// Calls `done` of transfers that have ended. To be called now and then by those who compute, and again and again by
  /// those who wait: the tier's own thread, whose waking up costs more than a transfer, looks only every few
  /// milliseconds. Returns at once if another thread is at it. What `done` throws ends the process. Not while the tier
  /// is being destroyed.
  virtual void poll() noexcept {}
  /// To be called with a read that has ended well, before its memory is looked at, by a thread that is about to: a tier
  /// that the processor addresses copies only then, into that thread's cache.
  virtual void settle(const Transfer& transfer) { (void)transfer; }
  /// Tells of memory that many transfers will use, so that the kernel may keep it mapped. A hint: failing is silent.
  /// Only before the first transfer; the memory must outlive the tier or be followed by forget_memory().
  virtual void register_memory(std::span<std::byte> memory) { (void)memory; }
  virtual void forget_memory() {}
};

/// start() and wait, in pieces so that one large transfer keeps the tier busy; throws what went wrong. Not from within
/// a TransferDone.
void transfer_now(Tier& tier, const Transfer& transfer);

}  // namespace hearth::memory
