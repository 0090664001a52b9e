#include "base/scratch.h"

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

/// Whether blocks of this size are left to the cache of all threads.
bool shared(std::size_t bytes) { return dry_run() || (bytes >= kMappedBlock && chunk_limit() != 0); }

}  // namespace

Buffer<std::byte> acquire_scratch(std::size_t bytes) {
  if (shared(bytes)) return Buffer<std::byte>(bytes);
  IdleBlocks& list = idle();
  std::size_t best = list.blocks.size();
  for (std::size_t i = 0; i < list.blocks.size(); ++i) {
    const std::size_t size = list.blocks[i].size();
    // A block more than four times too large stays for those who need it.
    if (size < bytes || size / 4 > bytes) continue;
    if (best == list.blocks.size() || size < list.blocks[best].size()) best = i;
  }
  if (best == list.blocks.size()) return Buffer<std::byte>(bytes);
  Buffer<std::byte> found = std::move(list.blocks[best]);
  std::swap(list.blocks[best], list.blocks.back());
  list.blocks.pop_back();
  list.bytes -= found.size();
  return found;
}

void release_scratch(Buffer<std::byte> block) noexcept {
  if (shared(block.size())) return;
  IdleBlocks& list = idle();
  if (block.empty() || list.bytes + block.size() > (chunk_limit() != 0 ? kScratchKeptLimited : kScratchKept)) return;
  try {
    const std::size_t size = block.size();
    list.blocks.push_back(std::move(block));
    list.bytes += size;
  } catch (...) {
    // No room to remember the block: let it go.
  }
}

}  // namespace hearth
