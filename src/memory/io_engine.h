#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "memory/tier.h"

namespace hearth::memory {

/// Carries transfers of an open file out, several at a time. Transfers have been checked. Thread safe.
class IoEngine {
 public:
  virtual ~IoEngine() = default;  ///< waits for transfers in flight
  virtual void start(const Transfer& transfer, TransferDone done) = 0;
  virtual std::size_t depth() const = 0;
  virtual void poll() noexcept {}
  /// As Tier's functions of these names.
  virtual void register_memory(std::span<std::byte> memory) { (void)memory; }
  virtual void forget_memory() {}
};

/// io_uring, whose ends are found by poll(), or every few milliseconds by a thread; null where the kernel refuses
/// (containers often forbid io_uring). `descriptor` must outlive the engine; `name` is for messages.
std::unique_ptr<IoEngine> make_ring_engine(int descriptor, std::string name);

/// pread and pwrite on four threads; works everywhere.
std::unique_ptr<IoEngine> make_thread_engine(int descriptor, std::string name);

/// What a transfer's end with this errno is: kResource where the disk or a quota is full, kIo otherwise. Code 0: the
/// file ended too early.
std::exception_ptr transfer_error(const std::string& name, const Transfer& transfer, int code);

}  // namespace hearth::memory
