#if defined(__AVX2__)

#include "ring/kernels/avx2_ntt.h"

#include "ring/kernels/avx2_lanes.h"
#include "ring/kernels/butterflies.h"

namespace hearth::ring::avx2 {
namespace {

using S = Modular<Lanes>;
using B = Butterflies<S>;

/// Residues that one call of a tail works on: eight rows of 16, so that a vector of NttTables::tail_roots is read half
/// by half.
constexpr std::size_t kTail = 128;
constexpr int kLogTail = 7;

/// The roots in NttTables' copy that belong to the tail block `x` starts at.
const std::uint32_t* tail_roots(const Buffer<std::uint32_t>& copy, std::size_t block) {
  return copy.data() + block / 2 * NttTables::kTailWords + 8 * (block % 2);
}

/// The last three stages on the lower (kHalf = 0) or upper eight residues of each of eight rows of 16.
template <int kHalf>
HEARTH_INLINE void forward_rows(std::uint32_t* x, const std::uint32_t* roots, const S::Bounds& m) {
  S::Vec v[8];
  unrolled<8>([&](auto r) __attribute__((always_inline)) { v[r] = S::load(x + 16 * r + 8 * kHalf); });
  S::transpose(v);
  B::forward_stages<3, true>(v, B::LaneRoots<2 + kHalf>{roots}, m);
  B::reduce_end(v, m);
  S::transpose(v);
  unrolled<8>([&](auto r) __attribute__((always_inline)) { S::store(x + 16 * r + 8 * kHalf, v[r]); });
}

template <int kHalf>
HEARTH_INLINE void inverse_rows(std::uint32_t* x, const std::uint32_t* roots, const S::Bounds& m, const NttTables& t) {
  S::Vec v[8];
  unrolled<8>([&](auto r) __attribute__((always_inline)) { v[r] = S::load(x + 16 * r + 8 * kHalf); });
  S::transpose(v);
  B::inverse_stages<3, false>(v, B::LaneRoots<2 + kHalf>{roots}, m, t);
  S::transpose(v);
  unrolled<8>([&](auto r) __attribute__((always_inline)) { S::store(x + 16 * r + 8 * kHalf, v[r]); });
}

void forward_tail(std::uint32_t* x, std::size_t node, const NttTables& t) {
  B::forward_pass<2>(x, kTail, node, t);
  for (std::size_t b = 0; b < 4; ++b) B::forward_pass<2>(x + 32 * b, 32, 4 * node + b, t);
  const S::Bounds m(t.modulus.q);
  const std::uint32_t* roots = tail_roots(t.tail_roots, node - (std::size_t{1} << (t.log_n - kLogTail)));
  forward_rows<0>(x, roots, m);
  forward_rows<1>(x, roots, m);
}

void inverse_tail(std::uint32_t* x, std::size_t node, const NttTables& t) {
  const S::Bounds m(t.modulus.q);
  const std::uint32_t* roots = tail_roots(t.inverse_tail_roots, node - (std::size_t{1} << (t.log_n - kLogTail)));
  inverse_rows<0>(x, roots, m, t);
  inverse_rows<1>(x, roots, m, t);
  for (std::size_t b = 0; b < 4; ++b) B::inverse_pass<2, false>(x + 32 * b, 32, 4 * node + b, t);
  B::inverse_pass<2, false>(x, kTail, node, t);
}

/// Stages of the outermost pass over 2^log_len residues: three, as eight streams and their temporaries fill sixteen
/// registers, after what does not divide.
constexpr int pass_stages(int log_len) {
  const int left = log_len - kLogTail;
  return left % 3 == 0 ? 3 : left % 3;
}

void forward_blocks(std::uint32_t* x, int log_len, std::size_t node, const NttTables& t) {
  if (log_len == kLogTail) return forward_tail(x, node, t);
  const int stages = pass_stages(log_len);
  const std::size_t length = std::size_t{1} << log_len, count = std::size_t{1} << stages;
  switch (stages) {
    case 1:
      B::forward_pass<1>(x, length, node, t);
      break;
    case 2:
      B::forward_pass<2>(x, length, node, t);
      break;
    default:
      B::forward_pass<3>(x, length, node, t);
      break;
  }
  for (std::size_t b = 0; b < count; ++b) {
    forward_blocks(x + b * (length >> stages), log_len - stages, node * count + b, t);
  }
}

template <bool kScale>
void inverse_blocks(std::uint32_t* x, int log_len, std::size_t node, const NttTables& t) {
  if (log_len == kLogTail) return inverse_tail(x, node, t);
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
    default:
      return B::inverse_pass<3, kScale>(x, length, node, t);
  }
}

}  // namespace

// The transform is longer than a tail, so its last stage is in a pass.
void ntt_forward(std::uint32_t* x, const NttTables& t) { forward_blocks(x, t.log_n, 1, t); }

void ntt_inverse(std::uint32_t* x, const NttTables& t) { inverse_blocks<true>(x, t.log_n, 1, t); }

}  // namespace hearth::ring::avx2

#endif
