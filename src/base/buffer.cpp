#include "base/buffer.h"

#include <atomic>
#include <cstdlib>

#include "base/block_cache.h"
#include "base/dry_run.h"
#include "base/error.h"

namespace hearth {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kMaxBytes = std::size_t{1} << 47;  // no process has more address space

std::atomic<std::size_t> current{0};
std::atomic<std::size_t> peak{0};
std::atomic<std::size_t> limit{0};

std::size_t rounded(std::size_t bytes) {
  return bytes >= kMappedBlock ? mapped_bytes(bytes) : (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
}

void count(std::size_t size) {
  const std::size_t now = current.fetch_add(size) + size;
  if (dry_run()) return dry::count_allocated(size);
  std::size_t seen = peak.load();
  while (now > seen && !peak.compare_exchange_weak(seen, now)) {
  }
}

/// Makes room for what was counted already.
void enforce_limit(std::size_t size) {
  const std::size_t most = limit.load();
  if (most == 0 || dry_run()) return;
  const std::size_t now = current.load();
  trim_idle_blocks(now < most ? most - now : 0);
  if (now <= most) return;
  current.fetch_sub(size);
  fail(ErrorKind::kResource,
       "{} bytes more than the {} that are in use would exceed the memory limit of {} bytes; give more memory", size,
       now - size, most);
}

}  // namespace

void* allocate_aligned(std::size_t bytes) {
  require(bytes <= kMaxBytes, ErrorKind::kResource, "cannot allocate {} bytes of memory", bytes);
  const std::size_t size = rounded(bytes);
  count(size);
  enforce_limit(size);
  void* const pointer = size >= kMappedBlock ? map_block(size) : std::aligned_alloc(kCacheLine, size);
  if (pointer != nullptr) return pointer;
  current.fetch_sub(size);
  fail(ErrorKind::kResource, "cannot allocate {} bytes of memory", bytes);
}

void free_aligned(void* pointer, std::size_t bytes) noexcept {
  const std::size_t size = rounded(bytes);
  current.fetch_sub(size);
  if (dry_run()) dry::count_freed(size);
  size >= kMappedBlock ? unmap_block(pointer, size) : std::free(pointer);
}

std::size_t allocated_bytes() { return current.load(); }
std::size_t peak_allocated_bytes() { return peak.load(); }
void set_memory_limit(std::size_t bytes) { limit.store(bytes); }
std::size_t memory_limit() { return limit.load(); }

}  // namespace hearth
