#if defined(__AVX512F__)

#include "ring/kernels/avx512_ntt.h"

#include "ring/kernels/avx512_lanes.h"
#include "ring/kernels/butterflies.h"

namespace hearth::ring::avx512 {
namespace {

using S = Modular<Lanes>;
using B = Butterflies<S>;

/// The last eight stages of the forward transform, on 256 consecutive residues in registers: four among rows of 16
/// residues, four within the rows after a transposition. Canonical results.
void forward_tail(std::uint32_t* x, std::size_t node, const NttTables& t) {
  const S::Bounds m(t.modulus.q);
  const std::size_t block = node - (std::size_t{1} << (t.log_n - 8));
  S::Vec v[16];
  unrolled<16>([&](auto i) __attribute__((always_inline)) { v[i] = S::load(x + 16 * i); });
  B::forward_stages<4, false>(v, B::forward_roots(t, node), m);
  S::transpose(v);
  B::forward_stages<4, true>(v, B::LaneRoots<1>{t.tail_roots.data() + block * NttTables::kTailWords}, m);
  B::reduce_end(v, m);
  S::transpose(v);
  unrolled<16>([&](auto i) __attribute__((always_inline)) { S::store(x + 16 * i, v[i]); });
}

/// The first eight stages of the inverse transform, likewise.
template <bool kScale>
void inverse_tail(std::uint32_t* x, std::size_t node, const NttTables& t) {
  const S::Bounds m(t.modulus.q);
  const std::size_t block = node - (std::size_t{1} << (t.log_n - 8));
  S::Vec v[16];
  unrolled<16>([&](auto i) __attribute__((always_inline)) { v[i] = S::load(x + 16 * i); });
  S::transpose(v);
  const B::LaneRoots<1> lane_roots{t.inverse_tail_roots.data() + block * NttTables::kTailWords};
  B::inverse_stages<4, false>(v, lane_roots, m, t);
  S::transpose(v);
  B::inverse_stages<4, kScale>(v, B::inverse_roots(t, node), m, t);
  unrolled<16>([&](auto i) __attribute__((always_inline)) { S::store(x + 16 * i, v[i]); });
}

/// How many stages the outermost pass over 2^log_len residues takes; the rest, but the last eight, follow block by
/// block. Sixteen streams fill the registers, and blocks of up to 2^12 residues stay in the first-level cache.
constexpr int pass_stages(int log_len) {
  const int left = log_len - 8;
  return left <= 4 ? left : left <= 8 ? left - 4 : 4;
}

void forward_blocks(std::uint32_t* x, int log_len, std::size_t node, const NttTables& t) {
  if (log_len == 8) return forward_tail(x, node, t);
  const int stages = pass_stages(log_len);
  const std::size_t length = std::size_t{1} << log_len, count = std::size_t{1} << stages;
  switch (stages) {
    case 1:
      B::forward_pass<1>(x, length, node, t);
      break;
    case 2:
      B::forward_pass<2>(x, length, node, t);
      break;
    case 3:
      B::forward_pass<3>(x, length, node, t);
      break;
    default:
      B::forward_pass<4>(x, length, node, t);
      break;
  }
  for (std::size_t b = 0; b < count; ++b) {
    forward_blocks(x + b * (length >> stages), log_len - stages, node * count + b, t);
  }
}

template <bool kScale>
void inverse_blocks(std::uint32_t* x, int log_len, std::size_t node, const NttTables& t) {
  if (log_len == 8) return inverse_tail<kScale>(x, node, t);
  const int stages = pass_stages(log_len);
  const std::size_t length = std::size_t{1} << log_len, count = std::size_t{1} << stages;
  for (std::size_t b = 0; b < count; ++b) {
    inverse_blocks<false>(x + b * (length >> stages), log_len - stages, node * count + b, t);
  }
  switch (stages) {
    case 1:
      return B::inverse_pass<1, kScale>(x, length, node, t);
    case 2:
      return B::inverse_pass<2, kScale>(x, length, node, t);
    case 3:
      return B::inverse_pass<3, kScale>(x, length, node, t);
    default:
      return B::inverse_pass<4, kScale>(x, length, node, t);
  }
}

}  // namespace

void ntt_forward(std::uint32_t* x, const NttTables& t) { forward_blocks(x, t.log_n, 1, t); }

void ntt_inverse(std::uint32_t* x, const NttTables& t) { inverse_blocks<true>(x, t.log_n, 1, t); }

}  // namespace hearth::ring::avx512

#endif
