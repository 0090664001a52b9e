#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "base/buffer.h"

namespace hearth {

/// Hands out working memory of at least `bytes`, reusing blocks that this thread released before, so that hot functions
/// do not pay for fresh pages on every call. Each thread keeps at most kScratchKept bytes of idle blocks, and none of
/// those in chunks (base/block_cache.h) when memory is limited. The contents are whatever was there: never
/// put secrets in scratch. Prefer the Scratch class.
Buffer<std::byte> acquire_scratch(std::size_t bytes);
void release_scratch(Buffer<std::byte> block) noexcept;
inline constexpr std::size_t kScratchKept = std::size_t{64} << 20, kScratchKeptLimited = std::size_t{2} << 20;

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

  T* data() { return reinterpret_cast<T*>(block_.data()); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data()[i]; }

 private:
  Buffer<std::byte> block_;
  std::size_t size_;
};

}  // namespace hearth
