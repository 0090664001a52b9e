#include "base/scratch.h"

#include <atomic>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "base/block_cache.h"
#include "base/dry_run.h"

namespace hearth {
namespace {

struct IdleBlocks {
  std::vector<Buffer<std::byte>> blocks;
  std::size_t bytes = 0;
};

IdleBlocks& idle() {
  thread_local IdleBlocks list;
  return list;
}

bool limited() { return chunk_limit() != 0; }

/// Whether blocks of this size are left to the cache of all threads.
bool shared(std::size_t bytes) { return dry_run() || (bytes >= kMappedBlock && limited()); }

std::atomic<std::size_t> arena_bytes{0};

/// A thread's memory for blocks that are too large for malloc: the lowest gap that fits is taken, which is most likely
/// the one used last, as scopes nest.
class Arena {
 public:
  Arena() = default;
  ~Arena() { arena_bytes -= memory_.size(); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::byte* take(std::size_t bytes) {
    if (bytes > kScratchArena / 8 * 5) return nullptr;  // a limb of eight rotated inputs of 2^15 fits
    if (memory_.empty()) {
      memory_ = Buffer<std::byte>(kScratchArena);
      // What is counted as taken is also resident: a process that is planned for is measured by that.
      std::memset(memory_.data(), 0, memory_.size());
      arena_bytes += memory_.size();
    }
    std::size_t begin = 0;
    auto next = used_.begin();
    for (; next != used_.end() && next->first - begin < bytes; ++next) begin = next->first + next->second;
    if (begin + bytes > kScratchArena) return nullptr;
    used_.emplace_hint(next, begin, bytes);
    return memory_.data() + begin;
  }

  void give(const std::byte* block) noexcept { used_.erase(static_cast<std::size_t>(block - memory_.data())); }

 private:
  Buffer<std::byte> memory_;
  std::map<std::size_t, std::size_t> used_;  // sizes by offset
};

Arena& arena() {
  thread_local Arena one;
  return one;
}

ScratchBlock owning(Buffer<std::byte> buffer) {
  std::byte* const data = buffer.data();
  const std::size_t bytes = buffer.size();
  return {data, bytes, std::move(buffer)};
}

}  // namespace

std::size_t scratch_arena_bytes() { return arena_bytes; }

ScratchBlock acquire_scratch(std::size_t bytes) {
  if (shared(bytes)) {
    const std::size_t whole = block_bytes(bytes);  // pages, so that rows stay aligned
    if (std::byte* const data = dry_run() ? nullptr : arena().take(whole)) return {data, whole, {}};
    return owning(Buffer<std::byte>(bytes));
  }
  IdleBlocks& list = idle();
  std::size_t best = list.blocks.size();
  for (std::size_t i = 0; i < list.blocks.size(); ++i) {
    const std::size_t size = list.blocks[i].size();
    // A block more than four times too large stays for those who need it.
    if (size < bytes || size / 4 > bytes) continue;
    if (best == list.blocks.size() || size < list.blocks[best].size()) best = i;
  }
  if (best == list.blocks.size()) return owning(Buffer<std::byte>(bytes));
  Buffer<std::byte> found = std::move(list.blocks[best]);
  std::swap(list.blocks[best], list.blocks.back());
  list.blocks.pop_back();
  list.bytes -= found.size();
  return owning(std::move(found));
}

void release_scratch(ScratchBlock block) noexcept {
  if (block.own.empty() && block.data != nullptr) return arena().give(block.data);
  if (shared(block.bytes)) return;
  IdleBlocks& list = idle();
  if (block.own.empty() || list.bytes + block.bytes > (limited() ? kSmallScratchKept : kScratchKept)) return;
  try {
    list.blocks.push_back(std::move(block.own));
    list.bytes += block.bytes;
  } catch (...) {
    // No room to remember the block: let it go.
  }
}

}  // namespace hearth
