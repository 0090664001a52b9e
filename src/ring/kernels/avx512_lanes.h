#pragma once

// AVX-512 as Modular (modular.h) sees it. Only files compiled for AVX-512 may include this.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "base/unrolled.h"

namespace hearth::ring::avx512 {

struct Lanes {
  using Vec = __m512i;
  static constexpr int kLogLanes = 4;
  static constexpr std::size_t kLanes = 16;
  static constexpr int kRegisters = 32;

  HEARTH_INLINE static Vec load(const std::uint32_t* p) { return _mm512_loadu_si512(p); }
  HEARTH_INLINE static void store(std::uint32_t* p, Vec v) { _mm512_storeu_si512(p, v); }
  HEARTH_INLINE static Vec zero() { return _mm512_setzero_si512(); }
  HEARTH_INLINE static Vec broadcast(std::uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  HEARTH_INLINE static Vec broadcast64(std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
  /// p[lane >> log_run], for runs shorter than a vector; reads nothing else.
  HEARTH_INLINE static Vec load_runs(const std::uint32_t* p, int log_run) {
    const auto entries = static_cast<__mmask16>((1U << (kLanes >> log_run)) - 1);
    const Vec lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return permute(_mm512_maskz_loadu_epi32(entries, p), _mm512_srl_epi32(lane, _mm_cvtsi32_si128(log_run)));
  }

  HEARTH_INLINE static Vec add(Vec a, Vec b) { return _mm512_add_epi32(a, b); }
  HEARTH_INLINE static Vec sub(Vec a, Vec b) { return _mm512_sub_epi32(a, b); }
  HEARTH_INLINE static Vec min(Vec a, Vec b) { return _mm512_min_epu32(a, b); }
  HEARTH_INLINE static Vec max(Vec a, Vec b) { return _mm512_max_epu32(a, b); }
  HEARTH_INLINE static Vec mul_low(Vec a, Vec b) { return _mm512_mullo_epi32(a, b); }
  HEARTH_INLINE static Vec permute(Vec v, Vec index) { return _mm512_permutexvar_epi32(index, v); }

  HEARTH_INLINE static Vec bit_and(Vec a, Vec b) { return _mm512_and_si512(a, b); }
  template <int kBits>
  HEARTH_INLINE static Vec shift_right32(Vec a) {
    return _mm512_srli_epi32(a, kBits);
  }
  template <int kBits>
  HEARTH_INLINE static Vec shift_left32(Vec a) {
    return _mm512_slli_epi32(a, kBits);
  }

  HEARTH_INLINE static Vec add64(Vec a, Vec b) { return _mm512_add_epi64(a, b); }
  /// 64-bit products of the even lanes.
  HEARTH_INLINE static Vec mul_even(Vec a, Vec b) { return _mm512_mul_epu32(a, b); }
  template <int kBits>
  HEARTH_INLINE static Vec shift_right64(Vec a) {
    return _mm512_srli_epi64(a, kBits);
  }
  template <int kBits>
  HEARTH_INLINE static Vec shift_left64(Vec a) {
    return _mm512_slli_epi64(a, kBits);
  }
  /// High halves of the 64-bit values that belong to even lanes and of those that belong to odd lanes, in lane order.
  HEARTH_INLINE static Vec merge_high(Vec even, Vec odd) {
    return _mm512_mask_shuffle_epi32(odd, 0x5555, even, static_cast<_MM_PERM_ENUM>(0xf5));
  }

  /// Swaps register index and lane index of a 16 x 16 matrix.
  HEARTH_INLINE static void transpose(Vec (&v)[16]) {
    Vec t[16];
    unrolled<8>([&](auto i) __attribute__((always_inline)) {
      t[2 * i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
      t[2 * i + 1] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    });
    // v[4i + c]: column c of each 4 x 4 block of rows 4i..4i+3.
    unrolled<4>([&](auto i) __attribute__((always_inline)) {
      v[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
      v[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
      v[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
      v[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    });
    // The same on the 4 x 4 matrix of 128-bit blocks: register 4i + c to lane block i.
    unrolled<4>([&](auto c) __attribute__((always_inline)) {
      t[c] = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x44);
      t[4 + c] = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x44);
      t[8 + c] = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xee);
      t[12 + c] = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xee);
    });
    unrolled<4>([&](auto c) __attribute__((always_inline)) {
      v[c] = _mm512_shuffle_i32x4(t[c], t[4 + c], 0x88);
      v[4 + c] = _mm512_shuffle_i32x4(t[c], t[4 + c], 0xdd);
      v[8 + c] = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0x88);
      v[12 + c] = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0xdd);
    });
  }
};

}  // namespace hearth::ring::avx512
