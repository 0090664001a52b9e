#include "ring/kernels/avx512_linear.h"
#include "ring/kernels/avx512_math.h"
#include "ring/kernels/avx512_ntt.h"
#include "ring/kernels/tables.h"

namespace hearth::ring {

#if defined(__AVX512F__)

namespace avx512 {
namespace {

constexpr int kMinLogN = 8;

void forward_any(std::uint32_t* x, const NttTables& t) {
  t.log_n < kMinLogN ? scalar_kernels().ntt_forward(x, t) : ntt_forward(x, t);
}

void inverse_any(std::uint32_t* x, const NttTables& t) {
  t.log_n < kMinLogN ? scalar_kernels().ntt_inverse(x, t) : ntt_inverse(x, t);
}

void dot_any(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b, std::size_t count,
             int log_run, bool accumulate, std::size_t n, const Modulus& m) {
  (n % kLanes == 0 ? dot : scalar_kernels().dot)(out, a, b, count, log_run, accumulate, n, m);
}

void base_convert_any(std::uint32_t* const* out, const std::uint32_t* const* in, const BaseConvertView& view,
                      std::size_t n) {
  (n % kLanes == 0 ? base_convert : scalar_kernels().base_convert)(out, in, view, n);
}

/// out[i] = f(a[i], b[i]); the end of the arrays under a mask.
template <typename F>
HEARTH_INLINE void map(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::size_t n, F&& f) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, f(load(a + i), load(b + i)));
  if (i < n) {
    const auto mask = static_cast<__mmask16>((1U << (n - i)) - 1);
    const Vec result = f(_mm512_maskz_loadu_epi32(mask, a + i), _mm512_maskz_loadu_epi32(mask, b + i));
    _mm512_mask_storeu_epi32(out + i, mask, result);
  }
}

void add(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::size_t n, const Modulus& m) {
  const Vec q = broadcast(m.q);
  map(
      out, a, b,
      n, [&](Vec x, Vec y) __attribute__((always_inline)) { return reduce_once(_mm512_add_epi32(x, y), q); });
}

void sub(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::size_t n, const Modulus& m) {
  const Vec q = broadcast(m.q);
  map(
      out, a, b, n, [&](Vec x, Vec y) __attribute__((always_inline)) { return lift_once(_mm512_sub_epi32(x, y), q); });
}

void negate(std::uint32_t* out, const std::uint32_t* a, std::size_t n, const Modulus& m) {
  const Vec q = broadcast(m.q), zero = _mm512_setzero_si512();
  map(
      out, a, a, n, [&](Vec x, Vec) __attribute__((always_inline)) { return lift_once(_mm512_sub_epi32(zero, x), q); });
}

/// (x 2^32) y 2^-32: a product with the constant 2^32 in [0, 2q), then Montgomery's reduction of a product below 2q^2.
void mul(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::size_t n, const Modulus& m) {
  const std::uint32_t r1_shoup = static_cast<std::uint32_t>((std::uint64_t{m.r1} << 32) / m.q);
  const Vec q = broadcast(m.q), r1 = broadcast(m.r1), companion = broadcast(r1_shoup);
  const Vec inverse = broadcast(0 - m.neg_inv);
  map(
      out, a, b, n, [&](Vec x, Vec y) __attribute__((always_inline)) {
        const Vec scaled = mul_lazy(x, r1, companion, companion, q);
        const Vec even = _mm512_mul_epu32(scaled, y), odd = _mm512_mul_epu32(odd_lanes(scaled), odd_lanes(y));
        const Vec low_even = _mm512_mul_epu32(_mm512_mul_epu32(even, inverse), q);
        const Vec low_odd = _mm512_mul_epu32(_mm512_mul_epu32(odd, inverse), q);
        return lift_once(_mm512_sub_epi32(merge_high(even, odd), merge_high(low_even, low_odd)), q);
      });
}

void mul_scalar(std::uint32_t* out, const std::uint32_t* a, std::uint32_t w, std::uint32_t w_shoup, std::size_t n,
                const Modulus& m) {
  const Vec q = broadcast(m.q), factor = broadcast(w), companion = broadcast(w_shoup);
  map(
      out, a, a, n, [&](Vec x, Vec) __attribute__((always_inline)) {
        return reduce_once(mul_lazy(x, factor, companion, companion, q), q);
      });
}

void sub_mul_scalar(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::uint32_t w,
                    std::uint32_t w_shoup, std::size_t n, const Modulus& m) {
  const Vec q = broadcast(m.q), factor = broadcast(w), companion = broadcast(w_shoup);
  map(
      out, a, b, n, [&](Vec x, Vec y) __attribute__((always_inline)) {
        const Vec difference = _mm512_add_epi32(_mm512_sub_epi32(x, y), q);
        return reduce_once(mul_lazy(difference, factor, companion, companion, q), q);
      });
}

std::uint32_t reverse_bits(std::uint32_t x, int bits) {
  std::uint32_t reversed = 0;
  for (; bits > 0; --bits, x >>= 1) reversed = 2 * reversed + (x & 1);
  return reversed;
}

// With e = brv(i), the source of output i is at e' = g e + (g - 1) / 2 mod n. The lane of i is the top four bits of e
// (reversed), the vector that i lies in is its other bits. The low bits of e' depend only on the low bits of e, so 16
// consecutive outputs come from one vector of the input; the top bits are g (top of e) + carry, which makes the
// permutation one of 16. Bit reversals of vector numbers are put together from two short tables.
void automorphism(std::uint32_t* out, const std::uint32_t* in, std::uint32_t g, int log_n) {
  if (log_n < 4) return scalar_kernels().automorphism(out, in, g, log_n);
  alignas(64) std::uint32_t permutations[16][16];
  for (std::uint32_t carry = 0; carry < 16; ++carry) {
    for (std::uint32_t lane = 0; lane < 16; ++lane) {
      permutations[carry][lane] = reverse_bits((g * reverse_bits(lane, 4) + carry) & 15, 4);
    }
  }
  const int bits = log_n - 4, low_bits = bits / 2, high_bits = bits - low_bits;
  const std::uint32_t low_count = 1U << low_bits, high_count = 1U << high_bits, mask = (1U << bits) - 1;
  std::uint32_t reversed_low[128], reversed_high[128], term_of_low[128];
  for (std::uint32_t i = 0; i < low_count; ++i) {
    reversed_low[i] = reverse_bits(i, low_bits);
    term_of_low[i] = g * (reversed_low[i] << high_bits);
  }
  for (std::uint32_t i = 0; i < high_count; ++i) reversed_high[i] = reverse_bits(i, high_bits);
  // e' below 2^log_n survives the wrap of 32-bit products.
  for (std::uint32_t high = 0; high < high_count; ++high) {
    const std::uint32_t term_of_high = g * reversed_high[high] + (g >> 1);
    for (std::uint32_t low = 0; low < low_count; ++low) {
      const std::uint32_t e = term_of_high + term_of_low[low];
      const std::uint32_t source_low = reversed_low[(e & mask) >> high_bits];
      const std::uint32_t source = (reversed_high[e & (high_count - 1)] << low_bits) + source_low;
      const Vec permutation = load(permutations[(e >> bits) & 15]);
      store(out + kLanes * ((high << low_bits) + low),
            _mm512_permutexvar_epi32(permutation, load(in + kLanes * source)));
    }
  }
}

}  // namespace
}  // namespace avx512

const Kernels* avx512_kernels() {
  static constexpr Kernels table{"avx512",
                                 avx512::forward_any,
                                 avx512::inverse_any,
                                 avx512::add,
                                 avx512::sub,
                                 avx512::negate,
                                 avx512::mul,
                                 avx512::mul_scalar,
                                 avx512::sub_mul_scalar,
                                 avx512::dot_any,
                                 avx512::base_convert_any,
                                 avx512::automorphism};
  return &table;
}

#else

const Kernels* avx512_kernels() { return nullptr; }

#endif

}  // namespace hearth::ring
