#include "ring/kernels/avx512_linear.h"

#include <algorithm>

#include "ring/kernels/avx512_math.h"

#if defined(__AVX512F__)

namespace hearth::ring::avx512 {
namespace {

constexpr int kReciprocalBits = 58;
constexpr std::size_t kMaxSources = 48;

/// 64-bit sums of products for the even and the odd lanes of a vector.
struct Sums {
  Vec even, odd;
};

/// What bounds and reduces sums of products of one word below 2^30 and one below q, each therefore less than a quarter
/// of U = 2^32 q; 4 U < 2^64.
struct SumReducer {
  Vec q, q2, inverse, high_q2;

  HEARTH_INLINE explicit SumReducer(const Modulus& m)
      : q(broadcast(m.q)),
        q2(broadcast(2 * m.q)),
        inverse(broadcast(0 - m.neg_inv)),
        high_q2(_mm512_slli_epi64(q2, 32)) {}

  /// Products that fit a sum that starts at zero, and after each halve().
  static constexpr std::size_t kFirst = 16, kNext = 8;

  /// [0, 4U) -> [0, 2U).
  HEARTH_INLINE void halve(Sums& s) const {
    s.even = reduce_once(s.even, high_q2);
    s.odd = reduce_once(s.odd, high_q2);
  }
  /// [0, 4U) -> times 2^-32 mod q, canonical (Montgomery 1985 with a subtraction: the low halves cancel exactly).
  HEARTH_INLINE Vec finish(const Sums& s) const {
    const Vec even = _mm512_mul_epu32(_mm512_mul_epu32(s.even, inverse), q);
    const Vec odd = _mm512_mul_epu32(_mm512_mul_epu32(s.odd, inverse), q);
    const Vec high = reduce_once(reduce_once(merge_high(s.even, s.odd), q2), q);
    return lift_once(_mm512_sub_epi32(high, merge_high(even, odd)), q);
  }
};

HEARTH_INLINE void add_product(Sums& s, Vec a, Vec a_odd, Vec b, Vec b_odd) {
  s.even = _mm512_add_epi64(s.even, _mm512_mul_epu32(a, b));
  s.odd = _mm512_add_epi64(s.odd, _mm512_mul_epu32(a_odd, b_odd));
}

/// How far ahead of their use a dense second factor is fetched, in words. Keys come from main memory, and the hardware
/// prefetchers lose track when a block of outputs visits many rows.
constexpr std::size_t kAhead = 256;

template <int kVectors>
HEARTH_INLINE void prefetch(const std::uint32_t* p) {
  unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
    _mm_prefetch(reinterpret_cast<const char*>(p + kLanes * v), _MM_HINT_T0);
  });
}

/// Calls add(k) for k < count and `halve` whenever the sums could overflow.
template <typename Add, typename Halve>
HEARTH_INLINE void for_products(std::size_t count, Add&& add, Halve&& halve) {
  std::size_t k = 0;
  for (std::size_t end = std::min(count, SumReducer::kFirst);;) {
    for (; k < end; ++k) add(k);
    if (k == count) return;
    halve();
    end = std::min(count, k + SumReducer::kNext);
  }
}

/// The second factor of `dot`: entry (i >> log_run) of a row for the lanes i.
struct DenseRow {
  static constexpr bool kSameInPairs = false;
  template <int kVector>
  HEARTH_INLINE Vec get(const std::uint32_t* row, std::size_t i) const {
    return load(row + i + kLanes * kVector);
  }
};
/// Runs of 2, 4 or 8 lanes: a few entries spread over a vector.
struct ShortRuns {
  static constexpr bool kSameInPairs = true;
  int log_run;
  __mmask16 entries;
  Vec spread;
  explicit ShortRuns(int log)
      : log_run(log),
        entries(static_cast<__mmask16>((1U << (kLanes >> log)) - 1)),
        spread(_mm512_srl_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                _mm_cvtsi32_si128(log))) {}
  template <int kVector>
  HEARTH_INLINE Vec get(const std::uint32_t* row, std::size_t i) const {
    const std::uint32_t* first = row + ((i + kLanes * kVector) >> log_run);
    return _mm512_permutexvar_epi32(spread, _mm512_maskz_loadu_epi32(entries, first));
  }
};
/// Runs of at least one vector.
struct LongRuns {
  static constexpr bool kSameInPairs = true;
  int log_run;
  template <int kVector>
  HEARTH_INLINE Vec get(const std::uint32_t* row, std::size_t i) const {
    return broadcast(row[(i + kLanes * kVector) >> log_run]);
  }
};
/// Runs of at least a block of four vectors: one load for all of them.
struct BlockRuns {
  static constexpr bool kSameInPairs = true;
  int log_run;
  template <int kVector>
  HEARTH_INLINE Vec get(const std::uint32_t* row, std::size_t i) const {
    return broadcast(row[i >> log_run]);
  }
};

template <int kVectors, typename Row>
void dot_blocks(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b, std::size_t count,
                Row row, bool accumulate, std::size_t n, const Modulus& m) {
  const SumReducer reducer(m);
  for (std::size_t i = 0; i < n; i += kVectors * kLanes) {
    Sums sums[kVectors];
    unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
      sums[v] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    });
    for_products(
        count,
        [&](std::size_t k) __attribute__((always_inline)) {
          const std::uint32_t *a_row = a[k] + i, *b_row = b[k];
          if constexpr (!Row::kSameInPairs) prefetch<kVectors>(b_row + i + kAhead);
          unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
            const Vec x = load(a_row + kLanes * v), y = row.template get<v>(b_row, i);
            add_product(sums[v], x, odd_lanes(x), y, Row::kSameInPairs ? y : odd_lanes(y));
          });
        },
        [&]() __attribute__((always_inline)) {
          unrolled<kVectors>([&](auto v) __attribute__((always_inline)) { reducer.halve(sums[v]); });
        });
    unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
      std::uint32_t* target = out + i + kLanes * v;
      const Vec result = reducer.finish(sums[v]);
      store(target, accumulate ? reduce_once(_mm512_add_epi32(result, load(target)), reducer.q) : result);
    });
  }
}

/// The scaled residues y_i of a block of coefficients, split into even and odd lanes, and behind them (as y_k) the
/// quotient v, so that each target is one sum of products.
template <int kVectors>
struct ScaledBlock {
  Sums y[kMaxSources + 1][kVectors];
};

template <int kVectors>
void scale_block(ScaledBlock<kVectors>& block, const std::uint32_t* const* in, const BaseConvertView& view,
                 std::size_t i) {
  const Vec half = _mm512_set1_epi64(1LL << (kReciprocalBits - 1));
  Sums quotient[kVectors];
  for (auto& s : quotient) s = {half, half};
  for (std::size_t k = 0; k < view.k; ++k) {
    const Vec q = broadcast(view.source[k].q), w = broadcast(view.hat_inv[k]);
    const Vec companion = broadcast(view.hat_inv_shoup[k]);
    const Vec reciprocal = _mm512_set1_epi64(static_cast<long long>(view.reciprocal64[k]));
    const Vec reciprocal_high = odd_lanes(reciprocal);
    unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
      const Vec y = reduce_once(mul_lazy(load(in[k] + i + kLanes * v), w, companion, companion, q), q);
      const Vec odd = odd_lanes(y);
      block.y[k][v] = {y, odd};
      add_product(quotient[v], y, odd, reciprocal, reciprocal);
      if (!view.reciprocal) {
        const Vec high_even = _mm512_mul_epu32(y, reciprocal_high), high_odd = _mm512_mul_epu32(odd, reciprocal_high);
        quotient[v].even = _mm512_add_epi64(quotient[v].even, _mm512_slli_epi64(high_even, 32));
        quotient[v].odd = _mm512_add_epi64(quotient[v].odd, _mm512_slli_epi64(high_odd, 32));
      }
    });
  }
  unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
    block.y[view.k][v] = {_mm512_srli_epi64(quotient[v].even, kReciprocalBits),
                          _mm512_srli_epi64(quotient[v].odd, kReciprocalBits)};
  });
}

/// kTargets rows of the result from one block. Sharing the loads of y among targets keeps the multipliers busy.
template <int kVectors, int kTargets>
void convert_block(std::uint32_t* const* out, const ScaledBlock<kVectors>& block, const BaseConvertView& view,
                   std::size_t target, std::size_t i) {
  Sums sums[kTargets][kVectors];
  const std::uint32_t* hat = view.hat + target * view.k;
  // The quotient's term comes first.
  unrolled<kTargets>([&](auto t) __attribute__((always_inline)) {
    const Vec factor = broadcast(view.neg_q[target + t]);
    unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
      const Sums& y = block.y[view.k][v];
      sums[t][v] = {_mm512_mul_epu32(y.even, factor), _mm512_mul_epu32(y.odd, factor)};
    });
  });
  for_products(
      view.k + 1,
      [&](std::size_t k) __attribute__((always_inline)) {
        if (k == 0) return;
        unrolled<kTargets>([&](auto t) __attribute__((always_inline)) {
          const Vec factor = broadcast(hat[t * view.k + k - 1]);
          unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
            const Sums& y = block.y[k - 1][v];
            add_product(sums[t][v], y.even, y.odd, factor, factor);
          });
        });
      },
      [&]() __attribute__((always_inline)) {
        unrolled<kTargets>([&](auto t) __attribute__((always_inline)) {
          const SumReducer reducer(view.target[target + t]);
          unrolled<kVectors>([&](auto v) __attribute__((always_inline)) { reducer.halve(sums[t][v]); });
        });
      });
  unrolled<kTargets>([&](auto t) __attribute__((always_inline)) {
    const SumReducer reducer(view.target[target + t]);
    unrolled<kVectors>([&](auto v) __attribute__((always_inline)) {
      store(out[target + t] + i + kLanes * v, reducer.finish(sums[t][v]));
    });
  });
}

template <int kVectors>
void convert_blocks(std::uint32_t* const* out, const std::uint32_t* const* in, const BaseConvertView& view,
                    std::size_t n) {
  ScaledBlock<kVectors> block;
  for (std::size_t i = 0; i < n; i += kVectors * kLanes) {
    scale_block(block, in, view, i);
    std::size_t target = 0;
    for (; target + 2 <= view.m; target += 2) convert_block<kVectors, 2>(out, block, view, target, i);
    if (target < view.m) convert_block<kVectors, 1>(out, block, view, target, i);
  }
}

}  // namespace

void dot(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b, std::size_t count,
         int log_run, bool accumulate, std::size_t n, const Modulus& m) {
  const bool blocks = n % (4 * kLanes) == 0;
  if (log_run == 0) {
    return blocks ? dot_blocks<4>(out, a, b, count, DenseRow{}, accumulate, n, m)
                  : dot_blocks<1>(out, a, b, count, DenseRow{}, accumulate, n, m);
  }
  if (log_run < 4) return dot_blocks<1>(out, a, b, count, ShortRuns(log_run), accumulate, n, m);
  if (blocks && log_run >= 6) return dot_blocks<4>(out, a, b, count, BlockRuns{log_run}, accumulate, n, m);
  return dot_blocks<1>(out, a, b, count, LongRuns{log_run}, accumulate, n, m);
}

void base_convert(std::uint32_t* const* out, const std::uint32_t* const* in, const BaseConvertView& view,
                  std::size_t n) {
  n % (4 * kLanes) == 0 ? convert_blocks<4>(out, in, view, n) : convert_blocks<1>(out, in, view, n);
}

}  // namespace hearth::ring::avx512

#endif
