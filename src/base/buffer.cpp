#include "base/buffer.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>

#include "base/error.h"

namespace hearth {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMaxBytes = std::size_t{1} << 47;  // no process has more address space

std::atomic<std::size_t> current{0};
std::atomic<std::size_t> peak{0};

std::size_t rounded(std::size_t bytes) {
  const std::size_t align = bytes >= kHugePage ? kHugePage : kCacheLine;
  return (bytes + align - 1) / align * align;
}

}  // namespace

void* allocate_aligned(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  const std::size_t align = size >= kHugePage ? kHugePage : kCacheLine;
  void* pointer = bytes <= kMaxBytes ? std::aligned_alloc(align, size) : nullptr;
  require(pointer != nullptr, ErrorKind::kResource, "cannot allocate {} bytes of memory", bytes);
  if (align == kHugePage) madvise(pointer, size, MADV_HUGEPAGE);
  const std::size_t now = current.fetch_add(size) + size;
  std::size_t seen = peak.load();
  while (now > seen && !peak.compare_exchange_weak(seen, now)) {
  }
  return pointer;
}

void free_aligned(void* pointer, std::size_t bytes) noexcept {
  current.fetch_sub(rounded(bytes));
  std::free(pointer);
}

std::size_t allocated_bytes() { return current.load(); }
std::size_t peak_allocated_bytes() { return peak.load(); }

}  // namespace hearth
