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

std::size_t rounded(std::size_t bytes) {
  return bytes >= kMappedBlock ? block_bytes(bytes) : (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
}

void count(std::size_t size) {
  const std::size_t now = current.fetch_add(size) + size;
  if (dry_run()) return dry::count_allocated(size);
  std::size_t seen = peak.load();
  while (now > seen && !peak.compare_exchange_weak(seen, now)) {
  }
}

}  // namespace

void* allocate_aligned(std::size_t bytes, BlockPlace place) {
  require(bytes <= kMaxBytes, ErrorKind::kResource, "cannot allocate {} bytes of memory", bytes);
  const std::size_t size = rounded(bytes);
  void* const pointer = size >= kMappedBlock ? take_block(size, place) : std::aligned_alloc(kCacheLine, size);
  require(pointer != nullptr, ErrorKind::kResource, "cannot allocate {} bytes of memory{}", bytes,
          chunk_limit() == 0
              ? ""
              : fmt::format(": {} of the {} that it may take are in use", allocated_bytes(), chunk_limit()));
  count(size);
  return pointer;
}

bool allocate_at(void* pointer, std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  if (size < kMappedBlock || !take_block_at(pointer, size)) return false;
  count(size);
  return true;
}

void free_aligned(void* pointer, std::size_t bytes) noexcept {
  const std::size_t size = rounded(bytes);
  current.fetch_sub(size);
  if (dry_run()) dry::count_freed(size);
  size >= kMappedBlock ? give_block(pointer, size) : std::free(pointer);
}

std::size_t allocated_bytes() { return current.load(); }
std::size_t peak_allocated_bytes() { return peak.load(); }

}  // namespace hearth
