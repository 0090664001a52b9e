#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "ring/kernels/tables.h"
#include "ring/packed.h"

namespace hearth::ring {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr int kReciprocalBits = 58;
constexpr std::size_t kMaxSources = 48;

/// a * w mod q in [0, 2q), for any a: Shoup's product, whose quotient estimate is at most one too small.
u32 mul_lazy(u32 a, u32 w, u32 w_shoup, u32 q) {
  const u32 quotient = static_cast<u32>((u64{a} * w_shoup) >> 32);
  const u32 result = a * w - quotient * q;
  assert(result < 2 * q);
  return result;
}

u32 reduce_once(u32 x, u32 bound) { return x >= bound ? x - bound : x; }

/// One product into a 64-bit sum that stays below 2^33 q: every product is below 2^30 q, and 2^33 q + 2^30 q < 2^64.
u64 accumulate_product(u64 sum, u32 a, u32 b, u64 limit) {
  sum += u64{a} * b;
  return sum >= limit ? sum - limit : sum;
}

/// x * 2^-32 mod q for x < 2^33 q.
u32 reduce_sum(u64 x, const Modulus& m) {
  const u64 half = u64{m.q} << 32;
  return montgomery_reduce(x >= half ? x - half : x, m);
}

// Cooley-Tukey butterflies on values in [0, 4q) (Harvey 2014, Alg. 4), natural to bit-reversed order.
void ntt_forward(u32* x, const NttTables& t) {
  const std::size_t n = std::size_t{1} << t.log_n;
  const u32 q = t.modulus.q;
  for (std::size_t blocks = 1, half = n / 2; half > 0; blocks *= 2, half /= 2) {
    for (std::size_t b = 0; b < blocks; ++b) {
      const auto [w, w_shoup] = t.root(blocks + b);
      u32* lower = x + 2 * half * b;
      u32* upper = lower + half;
      for (std::size_t i = 0; i < half; ++i) {
        assert(u64{lower[i]} < 4 * u64{q} && u64{upper[i]} < 4 * u64{q});
        const u32 a = reduce_once(lower[i], 2 * q);
        const u32 product = mul_lazy(upper[i], w, w_shoup, q);
        lower[i] = a + product;
        upper[i] = a - product + 2 * q;
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) x[i] = reduce_once(reduce_once(x[i], 2 * q), q);
}

// Gentleman-Sande butterflies on values in [0, 2q) (Harvey 2014, Alg. 3), bit-reversed to natural order.
void ntt_inverse(u32* x, const NttTables& t) {
  const std::size_t n = std::size_t{1} << t.log_n;
  const u32 q = t.modulus.q;
  for (std::size_t blocks = n / 2, half = 1; blocks > 0; blocks /= 2, half *= 2) {
    for (std::size_t b = 0; b < blocks; ++b) {
      const auto [w, w_shoup] = t.inverse_root(blocks + b);
      u32* lower = x + 2 * half * b;
      u32* upper = lower + half;
      for (std::size_t i = 0; i < half; ++i) {
        assert(lower[i] < 2 * q && upper[i] < 2 * q);
        const u32 sum = lower[i] + upper[i];
        const u32 difference = lower[i] - upper[i] + 2 * q;
        lower[i] = reduce_once(sum, 2 * q);
        upper[i] = mul_lazy(difference, w, w_shoup, q);
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) x[i] = reduce_once(mul_lazy(x[i], t.n_inverse, t.n_inverse_shoup, q), q);
}

void add(u32* out, const u32* a, const u32* b, std::size_t n, const Modulus& m) {
  for (std::size_t i = 0; i < n; ++i) out[i] = add_mod(a[i], b[i], m);
}

void sub(u32* out, const u32* a, const u32* b, std::size_t n, const Modulus& m) {
  for (std::size_t i = 0; i < n; ++i) out[i] = sub_mod(a[i], b[i], m);
}

void negate(u32* out, const u32* a, std::size_t n, const Modulus& m) {
  for (std::size_t i = 0; i < n; ++i) out[i] = sub_mod(0, a[i], m);
}

void mul(u32* out, const u32* a, const u32* b, std::size_t n, const Modulus& m) {
  for (std::size_t i = 0; i < n; ++i) out[i] = to_montgomery(montgomery_reduce(u64{a[i]} * b[i], m), m);
}

void mul_scalar(u32* out, const u32* a, u32 w, u32 w_shoup, std::size_t n, const Modulus& m) {
  for (std::size_t i = 0; i < n; ++i) out[i] = reduce_once(mul_lazy(a[i], w, w_shoup, m.q), m.q);
}

void sub_mul_scalar(u32* out, const u32* a, const u32* b, u32 w, u32 w_shoup, std::size_t n, const Modulus& m) {
  for (std::size_t i = 0; i < n; ++i) out[i] = reduce_once(mul_lazy(a[i] - b[i] + m.q, w, w_shoup, m.q), m.q);
}

void dot(u32* out, const u32* const* a, const u32* const* b, std::size_t count, int log_run, bool accumulate,
         std::size_t n, const Modulus& m) {
  const u64 limit = u64{m.q} << 33;
  for (std::size_t i = 0; i < n; ++i) {
    u64 sum = 0;
    for (std::size_t k = 0; k < count; ++k) sum = accumulate_product(sum, a[k][i], b[k][i >> log_run], limit);
    const u32 result = reduce_sum(sum, m);
    out[i] = accumulate ? add_mod(out[i], result, m) : result;
  }
}

void base_convert(u32* const* out, const u32* const* in, const BaseConvertView& view, std::size_t n) {
  assert(view.k <= kMaxSources);
  std::array<u32, kMaxSources> y;
  for (std::size_t i = 0; i < n; ++i) {
    u64 quotient = u64{1} << (kReciprocalBits - 1);
    for (std::size_t s = 0; s < view.k; ++s) {
      const u32 q = view.source[s].q;
      y[s] = reduce_once(mul_lazy(in[s][i], view.hat_inv[s], view.hat_inv_shoup[s], q), q);
      quotient += y[s] * view.reciprocal64[s];
    }
    const u32 v = static_cast<u32>(quotient >> kReciprocalBits);
    for (std::size_t t = 0; t < view.m; ++t) {
      const u64 limit = u64{view.target[t].q} << 33;
      u64 sum = u64{v} * view.neg_q[t];
      for (std::size_t s = 0; s < view.k; ++s) sum = accumulate_product(sum, y[s], view.hat[t * view.k + s], limit);
      out[t][i] = reduce_sum(sum, view.target[t]);
    }
  }
}

/// Reversal of the low `bits` bits, at least 1, of x: pairs, nibbles and so on trade places.
std::size_t bit_reverse(std::size_t x, int bits) {
  u32 r = static_cast<u32>(x);
  r = ((r >> 1) & 0x55555555) | ((r & 0x55555555) << 1);
  r = ((r >> 2) & 0x33333333) | ((r & 0x33333333) << 2);
  r = ((r >> 4) & 0x0f0f0f0f) | ((r & 0x0f0f0f0f) << 4);
  r = ((r >> 8) & 0x00ff00ff) | ((r & 0x00ff00ff) << 8);
  return ((r >> 16) | (r << 16)) >> (32 - bits);
}

void unpack(u32* out, const u32* in, std::size_t n) {
  for (std::size_t from = 0; from < n; from += kPackGroup, out += kPackGroup, in += packed_words(kPackGroup)) {
    u32 last[kPackLanes] = {};
    for (std::size_t row = 0; row < kPackRows; ++row) {
      for (std::size_t lane = 0; lane < kPackLanes; ++lane) {
        const u32 word = in[kPackLanes * row + lane];
        out[kPackLanes * row + lane] = word & kPackMask;
        last[lane] |= (word >> kPackBits) << (2 * row);
      }
    }
    std::copy_n(last, kPackLanes, out + packed_words(kPackGroup));
  }
}

void dot_packed(u32* out, const u32* const* a, const u32* const* b, std::size_t count, bool accumulate, std::size_t n,
                const Modulus& m) {
  std::array<std::array<u32, kPackGroup>, kMostPacked> words;
  std::array<const u32*, kMostPacked> x, y;
  for (std::size_t from = 0; from < n; from += kPackGroup) {
    for (std::size_t k = 0; k < count; ++k) {
      unpack(words[k].data(), b[k] + packed_words(from), kPackGroup);
      x[k] = a[k] + from;
      y[k] = words[k].data();
    }
    dot(out + from, x.data(), y.data(), count, 0, accumulate, kPackGroup, m);
  }
}

void automorphism(u32* out, const u32* in, u32 g, int log_n) {
  const std::size_t n = std::size_t{1} << log_n;
  if (n == 1) {
    out[0] = in[0];
    return;
  }
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t exponent = g * (2 * bit_reverse(i, log_n) + 1) % (2 * n);
    out[i] = in[bit_reverse(exponent / 2, log_n)];
  }
}

}  // namespace

const Kernels& scalar_kernels() {
  static constexpr Kernels table{"scalar",   ntt_forward, ntt_inverse,    add, sub,          negate,
                                 mul,        mul_scalar,  sub_mul_scalar, dot, base_convert, unpack,
                                 dot_packed, automorphism};
  return table;
}

}  // namespace hearth::ring
