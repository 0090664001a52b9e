#pragma once

// AVX2 as Modular (modular.h) sees it. Only files compiled for AVX2 may include this.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "base/unrolled.h"

namespace hearth::ring::avx2 {

struct Lanes {
  using Vec = __m256i;
  static constexpr int kLogLanes = 3;
  static constexpr std::size_t kLanes = 8;
  static constexpr int kRegisters = 16;

  HEARTH_INLINE static Vec load(const std::uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const Vec*>(p)); }
  HEARTH_INLINE static void store(std::uint32_t* p, Vec v) { _mm256_storeu_si256(reinterpret_cast<Vec*>(p), v); }
  HEARTH_INLINE static Vec zero() { return _mm256_setzero_si256(); }
  HEARTH_INLINE static Vec broadcast(std::uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
  HEARTH_INLINE static Vec broadcast64(std::uint64_t x) { return _mm256_set1_epi64x(static_cast<long long>(x)); }
  /// p[lane >> log_run], for runs shorter than a vector; reads nothing else.
  HEARTH_INLINE static Vec load_runs(const std::uint32_t* p, int log_run) {
    const Vec lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const Vec mask = _mm256_cmpgt_epi32(broadcast(static_cast<std::uint32_t>(kLanes >> log_run)), lane);
    const Vec entries = _mm256_maskload_epi32(reinterpret_cast<const int*>(p), mask);
    return permute(entries, _mm256_srl_epi32(lane, _mm_cvtsi32_si128(log_run)));
  }

  HEARTH_INLINE static Vec add(Vec a, Vec b) { return _mm256_add_epi32(a, b); }
  HEARTH_INLINE static Vec sub(Vec a, Vec b) { return _mm256_sub_epi32(a, b); }
  HEARTH_INLINE static Vec min(Vec a, Vec b) { return _mm256_min_epu32(a, b); }
  HEARTH_INLINE static Vec max(Vec a, Vec b) { return _mm256_max_epu32(a, b); }
  HEARTH_INLINE static Vec mul_low(Vec a, Vec b) { return _mm256_mullo_epi32(a, b); }
  HEARTH_INLINE static Vec permute(Vec v, Vec index) { return _mm256_permutevar8x32_epi32(v, index); }

  HEARTH_INLINE static Vec bit_and(Vec a, Vec b) { return _mm256_and_si256(a, b); }
  template <int kBits>
  HEARTH_INLINE static Vec shift_right32(Vec a) {
    return _mm256_srli_epi32(a, kBits);
  }
  template <int kBits>
  HEARTH_INLINE static Vec shift_left32(Vec a) {
    return _mm256_slli_epi32(a, kBits);
  }

  HEARTH_INLINE static Vec add64(Vec a, Vec b) { return _mm256_add_epi64(a, b); }
  /// 64-bit products of the even lanes.
  HEARTH_INLINE static Vec mul_even(Vec a, Vec b) { return _mm256_mul_epu32(a, b); }
  template <int kBits>
  HEARTH_INLINE static Vec shift_right64(Vec a) {
    return _mm256_srli_epi64(a, kBits);
  }
  template <int kBits>
  HEARTH_INLINE static Vec shift_left64(Vec a) {
    return _mm256_slli_epi64(a, kBits);
  }
  /// High halves of the 64-bit values that belong to even lanes and of those that belong to odd lanes, in lane order.
  HEARTH_INLINE static Vec merge_high(Vec even, Vec odd) {
    return _mm256_blend_epi32(odd, _mm256_srli_epi64(even, 32), 0x55);
  }

  /// Swaps register index and lane index of an 8 x 8 matrix.
  HEARTH_INLINE static void transpose(Vec (&v)[8]) {
    Vec t[8];
    unrolled<4>([&](auto i) __attribute__((always_inline)) {
      t[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
      t[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    });
    // v[4i + c]: column c of each 4 x 4 block of rows 4i..4i+3.
    unrolled<2>([&](auto i) __attribute__((always_inline)) {
      v[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
      v[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
      v[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
      v[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    });
    unrolled<4>([&](auto c) __attribute__((always_inline)) {
      t[c] = _mm256_permute2x128_si256(v[c], v[4 + c], 0x20);
      t[4 + c] = _mm256_permute2x128_si256(v[c], v[4 + c], 0x31);
    });
    unrolled<8>([&](auto i) __attribute__((always_inline)) { v[i] = t[i]; });
  }
};

}  // namespace hearth::ring::avx2
