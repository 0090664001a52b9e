#pragma once

#include <cstddef>
#include <cstdint>

#include "ring/kernels/modular.h"
#include "ring/kernels/sums.h"
#include "ring/kernels/tables.h"
#include "ring/packed.h"

namespace hearth::ring {

/// The kernels on one instruction set, S = Modular<Lanes>, but for the transforms: those are passed to table(). What is
/// shorter than a vector is left to the scalar kernels.
template <typename S>
struct VectorKernels {
  using Vec = typename S::Vec;
  static constexpr std::size_t kLanes = S::kLanes;

  /// out[i] = f(a[i], b[i]) for whole vectors; returns how many elements that was.
  template <typename F>
  HEARTH_INLINE static std::size_t map(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b,
                                       std::size_t n, F&& f) {
    const std::size_t whole = n - n % kLanes;
    for (std::size_t i = 0; i < whole; i += kLanes) S::store(out + i, f(S::load(a + i), S::load(b + i)));
    return whole;
  }

  static void add(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::size_t n, const Modulus& m) {
    const Vec q = S::broadcast(m.q);
    const std::size_t done = map(
        out, a, b, n, [&](Vec x, Vec y) __attribute__((always_inline)) { return S::reduce_once(S::add(x, y), q); });
    if (done < n) scalar_kernels().add(out + done, a + done, b + done, n - done, m);
  }

  static void sub(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::size_t n, const Modulus& m) {
    const Vec q = S::broadcast(m.q);
    const std::size_t done = map(
        out, a, b, n, [&](Vec x, Vec y) __attribute__((always_inline)) { return S::lift_once(S::sub(x, y), q); });
    if (done < n) scalar_kernels().sub(out + done, a + done, b + done, n - done, m);
  }

  static void negate(std::uint32_t* out, const std::uint32_t* a, std::size_t n, const Modulus& m) {
    const Vec q = S::broadcast(m.q);
    const std::size_t done = map(
        out, a, a, n, [&](Vec x, Vec) __attribute__((always_inline)) { return S::lift_once(S::sub(S::zero(), x), q); });
    if (done < n) scalar_kernels().negate(out + done, a + done, n - done, m);
  }

  /// (x 2^32) y 2^-32: a product with the constant 2^32 in [0, 2q), then Montgomery's reduction of a product below
  /// 2q^2.
  static void mul(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::size_t n, const Modulus& m) {
    const Vec q = S::broadcast(m.q), r1 = S::broadcast(m.r1);
    const Vec companion = S::broadcast(static_cast<std::uint32_t>((std::uint64_t{m.r1} << 32) / m.q));
    const Vec inverse = S::broadcast(0 - m.neg_inv);
    const std::size_t done = map(
        out, a, b, n, [&](Vec x, Vec y) __attribute__((always_inline)) {
          const Vec scaled = S::mul_lazy(x, r1, companion, q);
          const Vec even = S::mul_even(scaled, y), odd = S::mul_even(S::odd_lanes(scaled), S::odd_lanes(y));
          const Vec low_even = S::mul_even(S::mul_even(even, inverse), q);
          const Vec low_odd = S::mul_even(S::mul_even(odd, inverse), q);
          return S::lift_once(S::sub(S::merge_high(even, odd), S::merge_high(low_even, low_odd)), q);
        });
    if (done < n) scalar_kernels().mul(out + done, a + done, b + done, n - done, m);
  }

  static void mul_scalar(std::uint32_t* out, const std::uint32_t* a, std::uint32_t w, std::uint32_t w_shoup,
                         std::size_t n, const Modulus& m) {
    const Vec q = S::broadcast(m.q), factor = S::broadcast(w), companion = S::broadcast(w_shoup);
    const std::size_t done = map(
        out, a, a, n, [&](Vec x, Vec) __attribute__((always_inline)) {
          return S::reduce_once(S::mul_lazy(x, factor, companion, q), q);
        });
    if (done < n) scalar_kernels().mul_scalar(out + done, a + done, w, w_shoup, n - done, m);
  }

  static void sub_mul_scalar(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::uint32_t w,
                             std::uint32_t w_shoup, std::size_t n, const Modulus& m) {
    const Vec q = S::broadcast(m.q), factor = S::broadcast(w), companion = S::broadcast(w_shoup);
    const std::size_t done = map(
        out, a, b, n, [&](Vec x, Vec y) __attribute__((always_inline)) {
          return S::reduce_once(S::mul_lazy(S::add(S::sub(x, y), q), factor, companion, q), q);
        });
    if (done < n) scalar_kernels().sub_mul_scalar(out + done, a + done, b + done, w, w_shoup, n - done, m);
  }

  static void dot(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b, std::size_t count,
                  int log_run, bool accumulate, std::size_t n, const Modulus& m) {
    (n % kLanes == 0 ? Dot<S>::run : scalar_kernels().dot)(out, a, b, count, log_run, accumulate, n, m);
  }

  static void dot_packed(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b,
                         std::size_t count, bool accumulate, std::size_t n, const Modulus& m) {
    Dot<S>::run_packed(out, a, b, count, accumulate, n, m);
  }

  static void base_convert(std::uint32_t* const* out, const std::uint32_t* const* in, const BaseConvertView& view,
                           std::size_t n) {
    (n % kLanes == 0 ? BaseConversion<S>::run : scalar_kernels().base_convert)(out, in, view, n);
  }

  static void unpack(std::uint32_t* out, const std::uint32_t* in, std::size_t n) {
    const Vec mask = S::broadcast(kPackMask);
    constexpr std::size_t kVectors = kPackLanes / kLanes;  // of a row
    for (std::size_t from = 0; from < n; from += kPackGroup, out += kPackGroup, in += packed_words(kPackGroup)) {
      for (std::size_t v = 0; v < kVectors; ++v) {
        Vec last = S::zero();
        unrolled<kPackRows>([&](auto row) __attribute__((always_inline)) {
          const Vec word = S::load(in + kPackLanes * row + kLanes * v);
          S::store(out + kPackLanes * row + kLanes * v, S::bit_and(word, mask));
          last = S::add(last, S::template shift_left32<2 * row>(S::template shift_right32<kPackBits>(word)));
        });
        S::store(out + packed_words(kPackGroup) + kLanes * v, last);
      }
    }
  }

  static std::uint32_t reverse_bits(std::uint32_t x, int bits) {
    std::uint32_t reversed = 0;
    for (; bits > 0; --bits, x >>= 1) reversed = 2 * reversed + (x & 1);
    return reversed;
  }

  // With e = brv(i), the source of output i is at e' = g e + (g - 1) / 2 mod n. The lane of i is the top bits of e
  // (reversed), the vector that i lies in is its other bits. The low bits of e' depend only on the low bits of e, so
  // the outputs of one vector come from one vector of the input; the top bits are g (top of e) + carry, which makes the
  // permutation one of kLanes. Bit reversals of vector numbers are put together from two short tables.
  static void automorphism(std::uint32_t* out, const std::uint32_t* in, std::uint32_t g, int log_n) {
    constexpr int kLog = S::kLogLanes;
    constexpr std::uint32_t kMask = kLanes - 1;
    if (log_n < kLog) return scalar_kernels().automorphism(out, in, g, log_n);
    alignas(64) std::uint32_t permutations[kLanes][kLanes];
    for (std::uint32_t carry = 0; carry < kLanes; ++carry) {
      for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
        permutations[carry][lane] = reverse_bits((g * reverse_bits(lane, kLog) + carry) & kMask, kLog);
      }
    }
    const int bits = log_n - kLog, low_bits = bits / 2, high_bits = bits - low_bits;
    const std::uint32_t low_count = 1U << low_bits, high_count = 1U << high_bits, mask = (1U << bits) - 1;
    std::uint32_t reversed_low[128], reversed_high[128], term_of_low[128];
    for (std::uint32_t i = 0; i < low_count; ++i) {
      reversed_low[i] = reverse_bits(i, low_bits);
      term_of_low[i] = g * (reversed_low[i] << high_bits);
    }
    for (std::uint32_t i = 0; i < high_count; ++i) reversed_high[i] = reverse_bits(i, high_bits);
    // The wrap of 32-bit products leaves e' modulo n intact.
    for (std::uint32_t high = 0; high < high_count; ++high) {
      const std::uint32_t term_of_high = g * reversed_high[high] + (g >> 1);
      for (std::uint32_t low = 0; low < low_count; ++low) {
        const std::uint32_t e = term_of_high + term_of_low[low];
        const std::uint32_t source_low = reversed_low[(e & mask) >> high_bits];
        const std::uint32_t source = (reversed_high[e & (high_count - 1)] << low_bits) + source_low;
        const Vec permutation = S::load(permutations[(e >> bits) & kMask]);
        S::store(out + kLanes * ((high << low_bits) + low), S::permute(S::load(in + kLanes * source), permutation));
      }
    }
  }

  /// kForward, kInverse: the transforms for log_n >= 8.
  template <auto kForward, auto kInverse>
  static constexpr Kernels table(const char* name) {
    return {name,
            [](std::uint32_t* x, const NttTables& t) { (t.log_n < 8 ? scalar_kernels().ntt_forward : kForward)(x, t); },
            [](std::uint32_t* x, const NttTables& t) { (t.log_n < 8 ? scalar_kernels().ntt_inverse : kInverse)(x, t); },
            add,
            sub,
            negate,
            mul,
            mul_scalar,
            sub_mul_scalar,
            dot,
            base_convert,
            unpack,
            dot_packed,
            automorphism};
  }
};

}  // namespace hearth::ring
