#pragma once

#include <cstddef>

#include "base/parallel.h"

namespace hearth::ring {

/// Work below this many words is done on the calling thread: waking others would cost more than it saves.
inline constexpr std::size_t kSerialWords = std::size_t{1} << 14;

/// Calls body(i) for i < count, in parallel when count items of `words` words each are worth it.
template <typename Body>
void for_each_limb(std::size_t count, std::size_t words, Body&& body) {
  if (count < 2 || count * words < kSerialWords) {
    for (std::size_t i = 0; i < count; ++i) body(i);
  } else {
    parallel_for(0, count, [&body](std::size_t i) { body(i); });
  }
}

/// for_each_limb() whose bodies begin in order, see parallel_for_in_order().
template <typename Body>
void for_each_limb_in_order(std::size_t count, std::size_t words, Body&& body) {
  if (count < 2 || count * words < kSerialWords) {
    for (std::size_t i = 0; i < count; ++i) body(i);
  } else {
    parallel_for_in_order(0, count, [&body](std::size_t i) { body(i); });
  }
}

/// Calls body(begin, length) for consecutive blocks of at most `block` items covering [0, size); `weight` is the number
/// of words that one item stands for.
template <typename Body>
void for_each_block(std::size_t size, std::size_t block, std::size_t weight, Body&& body) {
  if (size <= block || size * weight < kSerialWords) {
    for (std::size_t i = 0; i < size; i += block) body(i, size - i < block ? size - i : block);
  } else {
    parallel_for(0, (size + block - 1) / block,
                 [&](std::size_t i) { body(i * block, size - i * block < block ? size - i * block : block); });
  }
}

}  // namespace hearth::ring
