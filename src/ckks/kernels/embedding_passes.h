#pragma once

// The special Fourier transform on the vectors of one instruction set. Lanes gives: Vec of kLanes = 2^kLogLanes
// doubles; load, store, broadcast, add, sub, mul; transpose(Vec[kLanes]); store_rounded(p, x), which adds
// kBiasedRounder and keeps the low 32 bits of each lane. Files that include this are compiled without contraction to
// fused operations.
#include <cstddef>
#include <cstdint>

#include "base/unrolled.h"
#include "ckks/kernels/embedding_kernels.h"

namespace hearth::ckks {

/// Adding this to |x| < 2^51 leaves round(x) + 2^31 in the low bits of the sum.
inline constexpr double kBiasedRounder = 0x1.8p52 + 0x1p31;

template <typename Lanes>
struct EmbeddingPasses {
  using Vec = typename Lanes::Vec;
  static constexpr int kLogLanes = Lanes::kLogLanes;
  static constexpr std::size_t kLanes = std::size_t{1} << kLogLanes;

  struct Complex {
    Vec re, im;
  };
  HEARTH_INLINE static Complex load(const double* re, const double* im, std::size_t i) {
    return {Lanes::load(re + i), Lanes::load(im + i)};
  }
  HEARTH_INLINE static void store(double* re, double* im, std::size_t i, const Complex& x) {
    Lanes::store(re + i, x.re);
    Lanes::store(im + i, x.im);
  }

  /// (a, b) becomes (a + b, (a - b) * conj(w)).
  HEARTH_INLINE static void butterfly(Complex& a, Complex& b, const Complex& w) {
    const Complex d{Lanes::sub(a.re, b.re), Lanes::sub(a.im, b.im)};
    a = {Lanes::add(a.re, b.re), Lanes::add(a.im, b.im)};
    b = {Lanes::add(Lanes::mul(d.re, w.re), Lanes::mul(d.im, w.im)),
         Lanes::sub(Lanes::mul(d.im, w.re), Lanes::mul(d.re, w.im))};
  }

  /// One stage on 2 half values.
  static void pass2(double* re, double* im, TwiddleView w, std::size_t half) {
    for (std::size_t j = 0; j < half; j += kLanes) {
      Complex a = load(re, im, j), b = load(re, im, j + half);
      butterfly(a, b, load(w.re, w.im, half + j));
      store(re, im, j, a);
      store(re, im, j + half, b);
    }
  }

  /// Two stages on 4 half values.
  static void pass4(double* re, double* im, TwiddleView w, std::size_t half) {
    for (std::size_t j = 0; j < half; j += kLanes) {
      Complex x[4];
      unrolled<4>([&](auto i) __attribute__((always_inline)) { x[i] = load(re, im, j + i * half); });
      butterfly(x[0], x[2], load(w.re, w.im, 2 * half + j));
      butterfly(x[1], x[3], load(w.re, w.im, 3 * half + j));
      const Complex inner = load(w.re, w.im, half + j);
      butterfly(x[0], x[1], inner);
      butterfly(x[2], x[3], inner);
      unrolled<4>([&](auto i) __attribute__((always_inline)) { store(re, im, j + i * half, x[i]); });
    }
  }

  /// All stages down to half = kLanes; depth first, so that small parts are finished while they are in cache.
  static void long_stages(double* re, double* im, TwiddleView w, std::size_t size) {
    if (size <= kLanes) return;
    if (size == 2 * kLanes) return pass2(re, im, w, kLanes);
    const std::size_t part = size / 4;
    pass4(re, im, w, part);
    for (std::size_t i = 0; i < 4; ++i) long_stages(re + i * part, im + i * part, w, part);
  }

  static constexpr std::size_t reversed(std::size_t i, int bits) {
    std::size_t out = 0;
    for (int b = 0; b < bits; ++b) out |= (i >> b & 1) << (bits - 1 - b);
    return out;
  }

  /// The stages inside groups of kLanes values, then bit reversal and rounding. Lane i works on the group whose top
  /// bits are i reversed: then the lanes of a result are neighbours in the reversed order.
  static double short_stages(std::uint32_t* out, const double* re, const double* im, TwiddleView w, std::size_t size,
                             double factor) {
    const std::size_t rows = size / kLanes, blocks = rows / kLanes;
    const Vec scale = Lanes::broadcast(factor);
    Vec largest = Lanes::broadcast(0);
    for (std::size_t block = 0, position = 0; block < blocks; ++block) {
      Vec r[kLanes], v[kLanes];
      unrolled<static_cast<int>(kLanes)>([&](auto i) __attribute__((always_inline)) {
        constexpr std::size_t kRow = reversed(i, kLogLanes);
        r[i] = Lanes::load(re + kRow * rows + block * kLanes);
        v[i] = Lanes::load(im + kRow * rows + block * kLanes);
      });
      Lanes::transpose(r);
      Lanes::transpose(v);
      unrolled<kLogLanes>([&](auto s) __attribute__((always_inline)) {
        constexpr std::size_t kHalf = kLanes >> (s + 1);
        unrolled<static_cast<int>(kLanes / 2)>([&](auto b) __attribute__((always_inline)) {
          constexpr std::size_t kJ = b % kHalf, kLow = b / kHalf * 2 * kHalf + kJ;
          Complex low{r[kLow], v[kLow]}, high{r[kLow + kHalf], v[kLow + kHalf]};
          butterfly(low, high, {Lanes::broadcast(w.re[kHalf + kJ]), Lanes::broadcast(w.im[kHalf + kJ])});
          r[kLow] = low.re, v[kLow] = low.im, r[kLow + kHalf] = high.re, v[kLow + kHalf] = high.im;
        });
      });
      unrolled<static_cast<int>(kLanes)>([&](auto k) __attribute__((always_inline)) {
        std::uint32_t* to = out + reversed(k, kLogLanes) * rows + position;
        const Vec real = Lanes::mul(r[k], scale), imaginary = Lanes::mul(v[k], scale);
        largest = Lanes::larger(Lanes::larger(largest, real), imaginary);
        Lanes::store_rounded(to, real);
        Lanes::store_rounded(to + size, imaginary);
      });
      // The next block number, bit-reversed and in units of kLanes.
      std::size_t bit = rows / 2;
      for (; position & bit; bit /= 2) position ^= bit;
      position ^= bit;
    }
    double lanes[kLanes];
    Lanes::store(lanes, largest);
    // No library functions: they would be shared with code for other instruction sets.
    for (const double lane : lanes) {
      if (__builtin_bit_cast(std::uint64_t, lane) > __builtin_bit_cast(std::uint64_t, lanes[0])) lanes[0] = lane;
    }
    return lanes[0];
  }

  static double round(std::uint32_t* out, double* re, double* im, TwiddleView w, std::size_t size, double factor) {
    long_stages(re, im, w, size);
    return short_stages(out, re, im, w, size, factor);
  }

  static constexpr EmbeddingKernels table(const char* name) { return {name, kLanes * kLanes, round}; }
};

}  // namespace hearth::ckks
