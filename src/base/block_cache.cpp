#include "base/block_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/dry_run.h"

namespace hearth {
namespace {

constexpr std::size_t kPage = std::size_t{4} << 10;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kChunk = std::size_t{32} << 20;

std::size_t rounded(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

void* map_pages(std::size_t size) {
  void* const pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

/// A fresh mapping at a multiple of kHugePage.
std::byte* map_chunk(std::size_t size) {
  const std::size_t room = size + kHugePage;
  auto* const begin = static_cast<std::byte*>(map_pages(room));
  if (begin == nullptr) return nullptr;
  const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
  if (before > 0) munmap(begin, before);
  munmap(begin + before + size, room - before - size);
  madvise(begin + before, size, MADV_HUGEPAGE);
  return begin + before;
}

class Chunks {
 public:
  void* take(std::size_t size, BlockPlace place) {
    const std::lock_guard lock(mutex_);
    auto found = by_size_.lower_bound({size, nullptr});
    if (found == by_size_.end()) {
      if (!grow(size)) return nullptr;
      found = by_size_.lower_bound({size, nullptr});
    }
    const auto [room, block] = *found;
    std::byte* const taken = place == BlockPlace::kLow ? block : block + (room - size);
    cut(block, room, taken, size);
    return taken;
  }

  bool take_at(std::byte* block, std::size_t size) {
    const std::lock_guard lock(mutex_);
    const auto next = free_.upper_bound(block);
    if (next == free_.begin()) return false;
    const auto [begin, room] = *std::prev(next);
    if (block + size > begin + room) return false;
    cut(begin, room, block, size);
    return true;
  }

  void set_lender(BlockLender lender) {
    const std::lock_guard lock(mutex_);
    lender_ = std::move(lender);
  }
  BlockLender lender() {
    const std::lock_guard lock(mutex_);
    return lender_;
  }

  void give(std::byte* block, std::size_t size) noexcept {
    const std::lock_guard lock(mutex_);
    const auto chunk = std::prev(chunks_.upper_bound(block));
    std::byte* const end = chunk->first + chunk->second;
    const auto next = free_.lower_bound(block);
    std::byte* begin = block;
    if (next != free_.begin() && std::prev(next)->first + std::prev(next)->second == block &&
        std::prev(next)->first >= chunk->first) {
      begin = std::prev(next)->first;
    }
    std::byte* last = block + size;
    if (next != free_.end() && next->first == last && last < end) last += next->second;
    if (last != block + size) remove_free(block + size, static_cast<std::size_t>(last - block) - size);
    if (begin != block) remove_free(begin, static_cast<std::size_t>(block - begin));
    add_free(begin, static_cast<std::size_t>(last - begin));
    if (begin == chunk->first && last == end && limit_ == 0 && idle_ > kIdleBlocks) unmap(begin);
  }

  void trim() noexcept {
    const std::lock_guard lock(mutex_);
    unmap_empty();
    cut_ends();
    for (const auto& [block, size] : free_) madvise(block, size, MADV_DONTNEED);
  }

  std::size_t used() {
    const std::lock_guard lock(mutex_);
    return total_ - idle_;
  }

  std::size_t total() {
    const std::lock_guard lock(mutex_);
    return total_;
  }
  std::size_t limit() {
    const std::lock_guard lock(mutex_);
    return limit_;
  }
  void set_limit(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    limit_ = bytes;
  }

 private:
  bool grow(std::size_t size) {
    const std::size_t least = rounded(size, kHugePage);
    std::size_t chunk = std::max(kChunk, least);
    if (limit_ != 0) {
      // All that is left in one, of which only what is touched takes memory: blocks cannot cross chunks.
      const auto left = [&] { return total_ < limit_ ? (limit_ - total_) / kHugePage * kHugePage : 0; };
      if (left() < least) unmap_empty();
      if (left() < least) return false;
      chunk = left();
    }
    std::byte* const begin = map_chunk(chunk);
    if (begin == nullptr) return false;
    chunks_.emplace(begin, chunk);
    total_ += chunk;
    add_free(begin, chunk);
    return true;
  }

  void unmap_empty() {
    for (auto chunk = chunks_.begin(); chunk != chunks_.end();) {
      const auto here = chunk++;
      const auto block = free_.find(here->first);
      if (block != free_.end() && block->second == here->second) unmap(here->first);
    }
  }

  /// Of chunks that are in use.
  void cut_ends() {
    for (auto& [begin, size] : chunks_) {
      const auto next = free_.lower_bound(begin + size);
      if (next == free_.begin()) continue;
      const auto [block, idle] = *std::prev(next);
      if (block <= begin || block + idle != begin + size) continue;
      remove_free(block, idle);
      munmap(block, idle);
      size -= idle;
      total_ -= idle;
    }
  }

  /// Of a chunk that is one free block.
  void unmap(std::byte* begin) {
    const auto chunk = chunks_.find(begin);
    remove_free(begin, chunk->second);
    munmap(begin, chunk->second);
    total_ -= chunk->second;
    chunks_.erase(chunk);
  }

  /// Takes a part of a free block.
  void cut(std::byte* block, std::size_t room, std::byte* part, std::size_t size) {
    remove_free(block, room);
    if (part > block) add_free(block, static_cast<std::size_t>(part - block));
    std::byte* const end = block + room;
    if (part + size < end) add_free(part + size, static_cast<std::size_t>(end - part) - size);
  }

  void add_free(std::byte* block, std::size_t size) {
    free_.emplace(block, size);
    by_size_.emplace(size, block);
    idle_ += size;
  }

  void remove_free(std::byte* block, std::size_t size) {
    free_.erase(block);
    by_size_.erase({size, block});
    idle_ -= size;
  }

  std::mutex mutex_;
  std::map<std::byte*, std::size_t> chunks_, free_;       // sizes by address
  std::set<std::pair<std::size_t, std::byte*>> by_size_;  // free blocks
  std::size_t total_ = 0, idle_ = 0, limit_ = 0;
  BlockLender lender_;
};

/// Addresses for the blocks of dry runs, which nobody reads or writes: used round and round. A program goes through
/// terabytes of blocks, each of which would cost two system calls.
class DryRegion {
 public:
  void* take(std::size_t size) {
    const std::lock_guard lock(mutex_);
    if (begin_ == nullptr) {
      void* const region =
          mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (region == MAP_FAILED) return nullptr;
      begin_ = static_cast<std::byte*>(region);
    }
    if (size > kBytes) return nullptr;
    if (used_ + size > kBytes) used_ = 0;
    return begin_ + std::exchange(used_, used_ + size);
  }

  /// Gives back what was touched nevertheless.
  void trim() noexcept {
    const std::lock_guard lock(mutex_);
    if (begin_ != nullptr) madvise(begin_, kBytes, MADV_DONTNEED);
  }

  bool holds(const void* block) const {
    const std::byte* const begin = begin_;
    return begin != nullptr && block >= begin && block < begin + kBytes;
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{1} << 38;
  std::mutex mutex_;
  std::atomic<std::byte*> begin_ = nullptr;
  std::size_t used_ = 0;
};

DryRegion& dry_region() {
  static DryRegion* const one = new DryRegion;
  return *one;
}

/// Never destroyed: threads may free blocks while the process ends.
Chunks& chunks() {
  static Chunks* const all = new Chunks;
  return *all;
}

}  // namespace

std::size_t block_bytes(std::size_t bytes) { return rounded(bytes, kPage); }

void* take_block(std::size_t bytes, BlockPlace place) {
  const std::size_t size = block_bytes(bytes);
  if (dry_run()) return dry_region().take(size);
  void* block = chunks().take(size, place);
  if (block != nullptr) return block;
  const BlockLender lender = chunks().lender();
  while (block == nullptr && lender && lender()) block = chunks().take(size, place);
  return block;
}

bool take_block_at(void* block, std::size_t bytes) {
  return chunks().take_at(static_cast<std::byte*>(block), block_bytes(bytes));
}

void set_block_lender(BlockLender lender) { chunks().set_lender(std::move(lender)); }

void give_block(void* block, std::size_t bytes) noexcept {
  if (!dry_region().holds(block)) chunks().give(static_cast<std::byte*>(block), block_bytes(bytes));
}

std::size_t chunk_bytes() { return chunks().total(); }
std::size_t used_chunk_bytes() { return chunks().used(); }
std::size_t chunk_limit() { return chunks().limit(); }
void set_chunk_limit(std::size_t bytes) { chunks().set_limit(bytes); }
void trim_chunks() noexcept {
  chunks().trim();
  dry_region().trim();
}

}  // namespace hearth
