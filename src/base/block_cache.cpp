#include "base/block_cache.h"

#include <sys/mman.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace hearth {
namespace {

constexpr std::size_t kPage = std::size_t{4} << 10;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

struct Cache {
  std::mutex mutex;
  std::map<std::size_t, std::vector<void*>> idle;  // by size
  std::size_t bytes = 0, limit = kIdleBlocks;
};

/// Never destroyed: threads may free blocks while the process ends.
Cache& cache() {
  static Cache* const one = new Cache;
  return *one;
}

/// A fresh mapping at a multiple of kHugePage.
void* map_aligned(std::size_t size) {
  const std::size_t room = size + kHugePage;
  void* const whole = mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (whole == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(whole);
  const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(whole) % kHugePage) % kHugePage;
  if (before > 0) munmap(begin, before);
  if (room - before > size) munmap(begin + before + size, room - before - size);
  madvise(begin + before, size / kHugePage * kHugePage, MADV_HUGEPAGE);
  return begin + before;
}

void* map_fresh(std::size_t size) {
  if (size >= kHugePage) return map_aligned(size);
  void* const block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return block == MAP_FAILED ? nullptr : block;
}

void trim(Cache& c, std::size_t keep) {
  while (c.bytes > keep && !c.idle.empty()) {
    const auto largest = std::prev(c.idle.end());
    munmap(largest->second.back(), largest->first);
    c.bytes -= largest->first;
    largest->second.pop_back();
    if (largest->second.empty()) c.idle.erase(largest);
  }
}

}  // namespace

std::size_t mapped_bytes(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

void* map_block(std::size_t bytes) {
  const std::size_t size = mapped_bytes(bytes);
  Cache& c = cache();
  {
    const std::lock_guard lock(c.mutex);
    const auto found = c.idle.find(size);
    if (found != c.idle.end()) {
      void* const block = found->second.back();
      found->second.pop_back();
      if (found->second.empty()) c.idle.erase(found);
      c.bytes -= size;
      return block;
    }
  }
  return map_fresh(size);
}

void unmap_block(void* block, std::size_t bytes) noexcept {
  const std::size_t size = mapped_bytes(bytes);
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  try {
    c.idle[size].push_back(block);
  } catch (...) {
    munmap(block, size);
    return;
  }
  c.bytes += size;
  trim(c, c.limit);
}

std::size_t idle_block_bytes() {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  return c.bytes;
}

void trim_idle_blocks(std::size_t keep) noexcept {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  trim(c, keep);
}

void set_idle_block_limit(std::size_t bytes) {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  c.limit = bytes;
  trim(c, bytes);
}

}  // namespace hearth
