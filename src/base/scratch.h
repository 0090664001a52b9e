#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "base/buffer.h"

namespace hearth {

/// Working memory that a thread has for the moment.
struct ScratchBlock {
  std::byte* data = nullptr;
  std::size_t bytes = 0;
  Buffer<std::byte> own;  ///< empty for a block of the thread's arena
};

/// Hands out working memory of at least `bytes`, reusing blocks that this thread released before, so that hot functions
/// do not pay for fresh pages on every call. Each thread keeps at most kScratchKept bytes of idle blocks. When chunks
/// (base/block_cache.h) are limited it keeps none of those, and smaller ones up to kSmallScratchKept; blocks of up to
/// five eighths of kScratchArena are then cut from an arena of the thread, so that its processor's caches hold them.
/// The contents are whatever was there: never put secrets in scratch. Prefer the Scratch class.
ScratchBlock acquire_scratch(std::size_t bytes);
void release_scratch(ScratchBlock block) noexcept;
inline constexpr std::size_t kScratchKept = std::size_t{64} << 20, kSmallScratchKept = std::size_t{2} << 20;
/// Of each thread that uses scratch under a limit, besides what limits count of blocks in use.
inline constexpr std::size_t kScratchArena = std::size_t{4} << 20;
/// Bytes of the arenas of all threads.
std::size_t scratch_arena_bytes();

/// Uninitialised array of `size` elements for the time of a scope, aligned as Buffer is. Safe inside nested parallel
/// loops: a task that this thread runs while it waits gets blocks of its own.
template <typename T>
class Scratch {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit Scratch(std::size_t size) : block_(acquire_scratch(size * sizeof(T))), size_(size) {}
  ~Scratch() { release_scratch(std::move(block_)); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* data() { return reinterpret_cast<T*>(block_.data); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data()[i]; }

 private:
  ScratchBlock block_;
  std::size_t size_;
};

}  // namespace hearth
