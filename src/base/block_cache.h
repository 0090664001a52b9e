#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace hearth {

/// Memory for large blocks: cut from chunks that come straight from the kernel and are kept, so that working memory
/// needs no fresh pages however its sizes change. Freed blocks grow together with free neighbours. Thread safe.
inline constexpr std::size_t kMappedBlock = std::size_t{64} << 10;  ///< smaller blocks are left to malloc

/// End of a free block that a block is cut from. What stays is best put high, since blocks that come and go are cut
/// from low ends.
enum class BlockPlace : std::uint8_t { kLow, kHigh };

/// What a block of `bytes` takes: whole pages.
std::size_t block_bytes(std::size_t bytes);
/// Aligned to a page; huge pages are asked for. Null if the kernel refuses or the chunks would exceed the limit. In a
/// dry run: memory that costs nothing as long as nobody touches it, and does not count.
void* take_block(std::size_t bytes, BlockPlace place = BlockPlace::kLow);
/// Takes these bytes, whole pages of a chunk, if all of them are free.
bool take_block_at(void* block, std::size_t bytes);
/// Also parts of blocks can be given back, whole pages each.
void give_block(void* block, std::size_t bytes) noexcept;

/// Asked for memory where a block would be refused otherwise; returns whether it has given some back. Called on the
/// thread that needs the block. Empty: nobody.
using BlockLender = std::function<bool()>;
void set_block_lender(BlockLender lender);

/// Bytes of chunks: what all blocks together can take of DRAM, and its limit (0: none).
std::size_t chunk_bytes();
std::size_t used_chunk_bytes();  ///< of them, in blocks that are taken
void set_chunk_limit(std::size_t bytes);
std::size_t chunk_limit();
/// A limit for the time of a scope; none before and after.
class ChunkLimit {
 public:
  explicit ChunkLimit(std::size_t bytes) { set_chunk_limit(bytes); }
  ~ChunkLimit() { set_chunk_limit(0); }
  ChunkLimit(const ChunkLimit&) = delete;
  ChunkLimit& operator=(const ChunkLimit&) = delete;
};
/// Gives what is idle back to the kernel: chunks in which nothing is left, the ends of others, and the memory, but not
/// the addresses, of what lies between blocks. Done of itself for chunks in which nothing is left while more than
/// kIdleBlocks are idle and there is no limit.
void trim_chunks() noexcept;
inline constexpr std::size_t kIdleBlocks = std::size_t{256} << 20;

}  // namespace hearth
