#pragma once

#include <cstddef>

namespace hearth {

/// Blocks of memory straight from the kernel, at least kMappedBlock bytes each. Freed ones are kept for the next of
/// their size, which then need no fresh pages, and given back when they are many or a limit asks for it. Thread safe.
inline constexpr std::size_t kMappedBlock = std::size_t{64} << 10;

/// What a block of `bytes` takes: whole pages.
std::size_t mapped_bytes(std::size_t bytes);
/// Aligned to 2 MiB if it is that large, else to a page; the whole huge pages in it are asked for as such. Null if the
/// kernel refuses.
void* map_block(std::size_t bytes);
void unmap_block(void* block, std::size_t bytes) noexcept;

/// Bytes of idle blocks now.
std::size_t idle_block_bytes();
/// Gives idle blocks back, the largest first, until at most `keep` bytes of them are left.
void trim_idle_blocks(std::size_t keep) noexcept;
/// How many bytes of idle blocks are kept from now on.
void set_idle_block_limit(std::size_t bytes);
inline constexpr std::size_t kIdleBlocks = std::size_t{256} << 20;  ///< unless told otherwise

}  // namespace hearth
