#pragma once

// Building blocks of the AVX-512 kernels. Only files compiled for AVX-512 may include this.
#if defined(__AVX512F__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#define HEARTH_INLINE [[gnu::always_inline]] inline

namespace hearth::ring::avx512 {

/// Calls f(integral_constant i) for i < kCount, unrolled, so that arrays indexed by i live in registers.
template <int kCount, typename F>
HEARTH_INLINE void unrolled(F&& f) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, kIndex>{}), ...);
  }
  (std::make_integer_sequence<int, kCount>{});
}

using Vec = __m512i;  // 16 lanes of 32 bits, or 8 of 64

inline constexpr std::size_t kLanes = 16;
inline constexpr __mmask16 kEvenLanes = 0x5555;

HEARTH_INLINE Vec load(const std::uint32_t* p) { return _mm512_loadu_si512(p); }
HEARTH_INLINE void store(std::uint32_t* p, Vec v) { _mm512_storeu_si512(p, v); }
HEARTH_INLINE Vec broadcast(std::uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }

/// Modulus and its double in every lane.
struct Bounds {
  Vec q, q2;
  HEARTH_INLINE explicit Bounds(std::uint32_t prime) : q(broadcast(prime)), q2(broadcast(2 * prime)) {}
};

/// x - bound where that is not negative: [0, 2 bound) -> [0, bound).
HEARTH_INLINE Vec reduce_once(Vec x, Vec bound) { return _mm512_min_epu32(x, _mm512_sub_epi32(x, bound)); }
/// x + bound where x is negative (two's complement): [-bound, bound) -> [0, bound).
HEARTH_INLINE Vec lift_once(Vec x, Vec bound) { return _mm512_min_epu32(x, _mm512_add_epi32(x, bound)); }

/// x - bound where x is not negative (two's complement): [-bound, bound) -> [-bound, 0).
HEARTH_INLINE Vec drop_once(Vec x, Vec bound) { return _mm512_max_epu32(x, _mm512_sub_epi32(x, bound)); }

/// Odd lanes moved to even ones, for the multiplier that reads even lanes.
HEARTH_INLINE Vec odd_lanes(Vec x) { return _mm512_srli_epi64(x, 32); }
/// High halves of eight 64-bit values that belong to even lanes and of eight that belong to odd lanes, in lane order.
HEARTH_INLINE Vec merge_high(Vec even, Vec odd) {
  return _mm512_mask_shuffle_epi32(odd, kEvenLanes, even, static_cast<_MM_PERM_ENUM>(0xf5));
}

/// y * w mod q in [0, 2q) for any y: Shoup's product; with kNegate its negative, in (-2q, 0]. `w_shoup_odd` holds the
/// companions of odd lanes in even ones.
template <bool kNegate = false>
HEARTH_INLINE Vec mul_lazy(Vec y, Vec w, Vec w_shoup, Vec w_shoup_odd, Vec q) {
  const Vec even = _mm512_mul_epu32(y, w_shoup);
  const Vec odd = _mm512_mul_epu32(odd_lanes(y), w_shoup_odd);
  const Vec quotient = merge_high(even, odd);
  const Vec low = _mm512_mullo_epi32(y, w), multiple = _mm512_mullo_epi32(quotient, q);
  Vec product = kNegate ? _mm512_sub_epi32(multiple, low) : _mm512_sub_epi32(low, multiple);
  // Hides the subtraction from gcc, which would distribute it over both x + product and x - product.
  asm("" : "+v"(product));
  return product;
}

/// Swaps register index and lane index of a 16 x 16 matrix.
HEARTH_INLINE void transpose(Vec (&v)[16]) {
  Vec t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
  }
  // v[4i + c]: column c of each 4 x 4 block of rows 4i..4i+3.
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    v[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    v[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    v[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    v[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  // The same on the 4 x 4 matrix of 128-bit blocks: register 4i + c to lane block i.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    t[c] = _mm512_shuffle_i32x4(v[c], v[4 + c], 0x44);
    t[4 + c] = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0x44);
    t[8 + c] = _mm512_shuffle_i32x4(v[c], v[4 + c], 0xee);
    t[12 + c] = _mm512_shuffle_i32x4(v[8 + c], v[12 + c], 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    v[c] = _mm512_shuffle_i32x4(t[c], t[4 + c], 0x88);
    v[4 + c] = _mm512_shuffle_i32x4(t[c], t[4 + c], 0xdd);
    v[8 + c] = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0x88);
    v[12 + c] = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0xdd);
  }
}

}  // namespace hearth::ring::avx512

#endif
