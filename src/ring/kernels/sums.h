#pragma once

#include <cstddef>
#include <cstdint>

#include "ring/kernels/kernels.h"
#include "ring/kernels/modular.h"
#include "ring/packed.h"

namespace hearth::ring {

/// 64-bit sums of products of residues on one instruction set, S = Modular<Lanes>.
///
/// Every product has one factor below 2^30 and one below q, and so is less than a quarter of U = 2^32 q; 4 U < 2^64.
template <typename S>
struct Sums {
  using Vec = typename S::Vec;
  static constexpr std::size_t kLanes = S::kLanes;

  /// The sums for the even and the odd lanes of a vector.
  struct Pair {
    Vec even, odd;
  };

  /// Products that fit a sum that starts at zero, and that fit after each halve().
  static constexpr std::size_t kFirst = 16, kNext = 8;

  struct Reducer {
    Vec q, q2, inverse, high_q2;

    HEARTH_INLINE explicit Reducer(const Modulus& m)
        : q(S::broadcast(m.q)),
          q2(S::broadcast(2 * m.q)),
          inverse(S::broadcast(0 - m.neg_inv)),
          high_q2(S::template shift_left64<32>(q2)) {}

    /// [0, 4U) -> [0, 2U).
    HEARTH_INLINE void halve(Pair& s) const {
      s.even = S::reduce_once(s.even, high_q2);
      s.odd = S::reduce_once(s.odd, high_q2);
    }
    /// [0, 4U) -> times 2^-32 mod q, canonical (Montgomery 1985 with a subtraction: the low halves cancel exactly).
    HEARTH_INLINE Vec finish(const Pair& s) const {
      const Vec even = S::mul_even(S::mul_even(s.even, inverse), q);
      const Vec odd = S::mul_even(S::mul_even(s.odd, inverse), q);
      const Vec high = S::reduce_once(S::reduce_once(S::merge_high(s.even, s.odd), q2), q);
      return S::lift_once(S::sub(high, S::merge_high(even, odd)), q);
    }
  };

  HEARTH_INLINE static void add_product(Pair& s, Vec a, Vec a_odd, Vec b, Vec b_odd) {
    s.even = S::add64(s.even, S::mul_even(a, b));
    s.odd = S::add64(s.odd, S::mul_even(a_odd, b_odd));
  }

  /// Calls add(k) for k < count and `halve` whenever the sums could overflow.
  template <typename Add, typename Halve>
  HEARTH_INLINE static void for_products(std::size_t count, Add&& add, Halve&& halve) {
    std::size_t k = 0;
    for (std::size_t end = count < kFirst ? count : kFirst;;) {
      for (; k < end; ++k) add(k);
      if (k == count) return;
      halve();
      end = count - k < kNext ? count : k + kNext;
    }
  }
};

/// Kernels::dot for n a multiple of the vector's length.
template <typename S>
struct Dot {
  using Vec = typename S::Vec;
  using Pair = typename Sums<S>::Pair;
  using Reducer = typename Sums<S>::Reducer;
  static constexpr std::size_t kLanes = S::kLanes;
  /// Vectors of outputs whose sums are kept in registers together, a quarter of these.
  static constexpr int kVectors = S::kRegisters / 8;
  static constexpr int kLogBlock = S::kLogLanes + (kVectors == 4 ? 2 : 1);
  /// How far ahead of its use a dense second factor is fetched, in words. Keys come from main memory, and the hardware
  /// prefetchers lose track when a block of outputs visits many rows.
  static constexpr std::size_t kAhead = 256;

  // The second factor: entry (i >> log_run) of a row for the lanes from i on. kAlike: adjacent lanes get the same.
  struct Dense {
    static constexpr bool kAlike = false;
    HEARTH_INLINE Vec get(const std::uint32_t* row, std::size_t i) const { return S::load(row + i); }
  };
  struct ShortRuns {
    static constexpr bool kAlike = true;
    int log_run;
    HEARTH_INLINE Vec get(const std::uint32_t* row, std::size_t i) const {
      return S::load_runs(row + (i >> log_run), log_run);
    }
  };
  struct LongRuns {
    static constexpr bool kAlike = true;
    int log_run;
    HEARTH_INLINE Vec get(const std::uint32_t* row, std::size_t i) const { return S::broadcast(row[i >> log_run]); }
  };

  /// kOneRun: each block of outputs lies in one run.
  template <int kCount, bool kOneRun, typename Row>
  static void blocks(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b,
                     std::size_t count, Row row, bool accumulate, std::size_t n, const Modulus& m) {
    const Reducer reducer(m);
    for (std::size_t i = 0; i < n; i += kCount * kLanes) {
      Pair sums[kCount];
      unrolled<kCount>([&](auto v) __attribute__((always_inline)) { sums[v] = {S::zero(), S::zero()}; });
      Sums<S>::for_products(
          count,
          [&](std::size_t k) __attribute__((always_inline)) {
            const std::uint32_t *a_row = a[k] + i, *b_row = b[k];
            unrolled<kCount>([&](auto v) __attribute__((always_inline)) {
              if constexpr (!Row::kAlike) __builtin_prefetch(b_row + i + kAhead + kLanes * v);
              const Vec x = S::load(a_row + kLanes * v), y = row.get(b_row, kOneRun ? i : i + kLanes * v);
              Sums<S>::add_product(sums[v], x, S::odd_lanes(x), y, Row::kAlike ? y : S::odd_lanes(y));
            });
          },
          [&]() __attribute__((always_inline)) {
            unrolled<kCount>([&](auto v) __attribute__((always_inline)) { reducer.halve(sums[v]); });
          });
      unrolled<kCount>([&](auto v) __attribute__((always_inline)) {
        std::uint32_t* target = out + i + kLanes * v;
        const Vec result = reducer.finish(sums[v]);
        S::store(target, accumulate ? S::reduce_once(S::add(result, S::load(target)), reducer.q) : result);
      });
    }
  }

  /// Kernels::dot_packed, for n a multiple of kPackGroup and count <= kMostPacked.
  static void run_packed(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b,
                         std::size_t count, bool accumulate, std::size_t n, const Modulus& m) {
    static_assert(kMostPacked <= Sums<S>::kFirst, "sums must not overflow");
    constexpr std::size_t kParts = kPackLanes / kLanes;  // vectors of a row
    constexpr std::size_t kSteps = kPackGroup / (kVectors * kLanes);
    const Reducer reducer(m);
    const Vec mask = S::broadcast(kPackMask);
    Vec last[kMostPacked][kParts];  // the rows that are left out
    for (std::size_t from = 0, packed = 0; from < n; from += kPackGroup, packed += packed_words(kPackGroup)) {
      unrolled<kSteps>([&](auto step) __attribute__((always_inline)) {
        Pair sums[kVectors];
        unrolled<kVectors>([&](auto v) __attribute__((always_inline)) { sums[v] = {S::zero(), S::zero()}; });
        for (std::size_t k = 0; k < count; ++k) {
          const std::uint32_t *a_row = a[k] + from, *b_row = b[k] + packed;
          Vec tops[kParts];
          unrolled<kParts>([&](auto p)
                               __attribute__((always_inline)) { tops[p] = step == 0 ? S::zero() : last[k][p]; });
          unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
            constexpr int kVector = step * kVectors + v;
            constexpr int kRow = kVector / kParts, kPart = kVector % kParts;
            Vec y = tops[kPart];
            if constexpr (kRow < static_cast<int>(kPackRows)) {
              __builtin_prefetch(b_row + kAhead + kLanes * kVector);
              const Vec word = S::load(b_row + kLanes * kVector);
              tops[kPart] =
                  S::add(tops[kPart], S::template shift_left32<2 * kRow>(S::template shift_right32<kPackBits>(word)));
              y = S::bit_and(word, mask);
            }
            const Vec x = S::load(a_row + kLanes * kVector);
            Sums<S>::add_product(sums[v], x, S::odd_lanes(x), y, S::odd_lanes(y));
          });
          unrolled<kParts>([&](auto p) __attribute__((always_inline)) { last[k][p] = tops[p]; });
        }
        unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
          std::uint32_t* target = out + from + kLanes * (step * kVectors + v);
          const Vec result = reducer.finish(sums[v]);
          S::store(target, accumulate ? S::reduce_once(S::add(result, S::load(target)), reducer.q) : result);
        });
      });
    }
  }

  static void run(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b, std::size_t count,
                  int log_run, bool accumulate, std::size_t n, const Modulus& m) {
    const bool whole = n % (kVectors * kLanes) == 0;
    if (log_run == 0) {
      return whole ? blocks<kVectors, false>(out, a, b, count, Dense{}, accumulate, n, m)
                   : blocks<1, false>(out, a, b, count, Dense{}, accumulate, n, m);
    }
    if (log_run < S::kLogLanes) return blocks<1, false>(out, a, b, count, ShortRuns{log_run}, accumulate, n, m);
    if (whole && log_run >= kLogBlock) {
      return blocks<kVectors, true>(out, a, b, count, LongRuns{log_run}, accumulate, n, m);
    }
    return blocks<1, true>(out, a, b, count, LongRuns{log_run}, accumulate, n, m);
  }
};

/// Kernels::base_convert for n a multiple of the vector's length.
template <typename S>
struct BaseConversion {
  using Vec = typename S::Vec;
  using Pair = typename Sums<S>::Pair;
  using Reducer = typename Sums<S>::Reducer;
  static constexpr std::size_t kLanes = S::kLanes;
  static constexpr int kReciprocalBits = 58;
  static constexpr std::size_t kMaxSources = 48;

  /// The scaled residues y_i of a block of coefficients, split into even and odd lanes, and behind them (as y_k) the
  /// quotient v, so that each target is one sum of products.
  template <int kVectors>
  struct Block {
    Pair y[kMaxSources + 1][kVectors];
  };

  template <int kVectors>
  static void scale(Block<kVectors>& block, const std::uint32_t* const* in, const BaseConvertView& view,
                    std::size_t i) {
    const Vec half = S::broadcast64(std::uint64_t{1} << (kReciprocalBits - 1));
    Pair quotient[kVectors];
    for (auto& s : quotient) s = {half, half};
    for (std::size_t k = 0; k < view.k; ++k) {
      const Vec q = S::broadcast(view.source[k].q), w = S::broadcast(view.hat_inv[k]);
      const Vec companion = S::broadcast(view.hat_inv_shoup[k]);
      const Vec reciprocal = S::broadcast64(view.reciprocal64[k]);
      unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
        const Vec y = S::reduce_once(S::mul_lazy(S::load(in[k] + i + kLanes * v), w, companion, q), q);
        const Vec odd = S::odd_lanes(y);
        block.y[k][v] = {y, odd};
        Sums<S>::add_product(quotient[v], y, odd, reciprocal, reciprocal);
        if (!view.reciprocal) add_high(quotient[v], y, odd, S::odd_lanes(reciprocal));
      });
    }
    unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
      block.y[view.k][v] = {S::template shift_right64<kReciprocalBits>(quotient[v].even),
                            S::template shift_right64<kReciprocalBits>(quotient[v].odd)};
    });
  }

  /// The high words of reciprocals that need more than 32 bits.
  HEARTH_INLINE static void add_high(Pair& quotient, Vec y, Vec odd, Vec high) {
    quotient.even = S::add64(quotient.even, S::template shift_left64<32>(S::mul_even(y, high)));
    quotient.odd = S::add64(quotient.odd, S::template shift_left64<32>(S::mul_even(odd, high)));
  }

  /// kTargets rows of the result from one block. Targets share the loads of y, which keeps the multipliers busy.
  template <int kVectors, int kTargets>
  static void targets(std::uint32_t* const* out, const Block<kVectors>& block, const BaseConvertView& view,
                      std::size_t target, std::size_t i) {
    Pair sums[kTargets][kVectors];
    const std::uint32_t* hat = view.hat + target * view.k;
    const auto add = [&](std::size_t k, int t, Vec factor) __attribute__((always_inline)) {
      unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
        Sums<S>::add_product(sums[t][v], block.y[k][v].even, block.y[k][v].odd, factor, factor);
      });
    };
    unrolled<kTargets>([&](auto t) __attribute__((always_inline)) {
      unrolled<kVectors>([&](auto v) __attribute__((always_inline)) { sums[t][v] = {S::zero(), S::zero()}; });
      add(view.k, t, S::broadcast(view.neg_q[target + t]));
    });
    // The quotient's term counts as the first product.
    Sums<S>::for_products(
        view.k + 1,
        [&](std::size_t k) __attribute__((always_inline)) {
          if (k == 0) return;
          unrolled<kTargets>([&](auto t) __attribute__((always_inline)) {
            add(k - 1, t, S::broadcast(hat[t * view.k + k - 1]));
          });
        },
        [&]() __attribute__((always_inline)) {
          unrolled<kTargets>([&](auto t) __attribute__((always_inline)) {
            const Reducer reducer(view.target[target + t]);
            unrolled<kVectors>([&](auto v) __attribute__((always_inline)) { reducer.halve(sums[t][v]); });
          });
        });
    unrolled<kTargets>([&](auto t) __attribute__((always_inline)) {
      const Reducer reducer(view.target[target + t]);
      unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
        S::store(out[target + t] + i + kLanes * v, reducer.finish(sums[t][v]));
      });
    });
  }

  template <int kVectors>
  static void blocks(std::uint32_t* const* out, const std::uint32_t* const* in, const BaseConvertView& view,
                     std::size_t n) {
    Block<kVectors> block;
    for (std::size_t i = 0; i < n; i += kVectors * kLanes) {
      scale(block, in, view, i);
      std::size_t target = 0;
      for (; target + 2 <= view.m; target += 2) targets<kVectors, 2>(out, block, view, target, i);
      if (target < view.m) targets<kVectors, 1>(out, block, view, target, i);
    }
  }

  static void run(std::uint32_t* const* out, const std::uint32_t* const* in, const BaseConvertView& view,
                  std::size_t n) {
    constexpr int kVectors = S::kRegisters / 8;
    n % (kVectors * kLanes) == 0 ? blocks<kVectors>(out, in, view, n) : blocks<1>(out, in, view, n);
  }
};

}  // namespace hearth::ring
