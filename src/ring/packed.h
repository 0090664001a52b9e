#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::ring {

// Residues take 30 bits of their 32. Packed, a group of 256 words is 15 rows of 16 instead of 16: each keeps its low 30
// bits where they were, and the top two of row r hold bits 2r and 2r + 1 of the row that is left out.
inline constexpr std::size_t kPackRows = 15, kPackLanes = 16, kPackGroup = (kPackRows + 1) * kPackLanes;
inline constexpr std::size_t kMostPacked = 16;  ///< rows that Kernels::dot_packed multiplies at once
inline constexpr int kPackBits = 30;
inline constexpr std::uint32_t kPackMask = (1U << kPackBits) - 1;

/// Words that n words, a multiple of kPackGroup, take when packed.
constexpr std::size_t packed_words(std::size_t n) { return n / (kPackRows + 1) * kPackRows; }

/// Packs the low 30 bits of n words, a multiple of kPackGroup. Kernels::unpack is the inverse.
inline void pack_words(std::uint32_t* out, const std::uint32_t* in, std::size_t n) {
  for (std::size_t from = 0; from < n; from += kPackGroup, in += kPackGroup) {
    const std::uint32_t* const last = in + packed_words(kPackGroup);
    for (std::size_t row = 0; row < kPackRows; ++row) {
      for (std::size_t lane = 0; lane < kPackLanes; ++lane, ++out) {
        const std::uint32_t top = last[lane] >> (2 * row) & 3;
        *out = (in[kPackLanes * row + lane] & kPackMask) | top << kPackBits;
      }
    }
  }
}

}  // namespace hearth::ring
