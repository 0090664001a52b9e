#include <array>

#include "ring/kernels/avx512_math.h"
#include "ring/kernels/avx512_ntt.h"

#if defined(__AVX512F__)

namespace hearth::ring::avx512 {
namespace {

/// What multiplies the difference of a butterfly: the same in all lanes, from the tree of roots.
struct SharedRoots {
  const std::uint32_t* roots;
  const std::uint32_t* companions;
  std::size_t node;

  template <int kDepth, bool kNegate>
  HEARTH_INLINE Vec multiply(Vec y, int j, Vec q) const {
    const std::size_t i = (node << kDepth) + static_cast<std::size_t>(j);
    const Vec companion = broadcast(companions[i]);
    return mul_lazy<kNegate>(y, broadcast(roots[i]), companion, companion, q);
  }
};

/// One root a lane, from NttTables::inverse_tail_roots.
struct LaneRoots {
  const std::uint32_t* tail;

  template <int kDepth, bool kNegate>
  HEARTH_INLINE Vec multiply(Vec y, int j, Vec q) const {
    const std::uint32_t* p = tail + 32 * ((1 << kDepth) - 1 + j);
    const Vec companion = load(p + 16);
    return mul_lazy<kNegate>(y, load(p), companion, odd_lanes(companion), q);
  }
};

/// Which registers hold their value minus 2q, in [-2q, 0), at the start of each stage. Only the upper inputs of
/// butterflies ever do: there it saves the 2q that keeps X - Y from going negative. A product is negated for free by
/// swapping two subtractions, if its own Y was not shifted; a sum is shifted for free if its own Y was.
template <int kLogR>
constexpr std::array<std::array<bool, 1 << kLogR>, kLogR> shifted_registers() {
  std::array<std::array<bool, 1 << kLogR>, kLogR> shifted{};
  for (int stage = 0; stage + 1 < kLogR; ++stage) {
    const int half = 1 << stage;
    for (int i = 0; i < (1 << kLogR); ++i) {
      const bool next_is_upper = (i & (2 * half)) != 0;
      const bool is_product = (i & half) != 0;
      const bool y_shifted = shifted[stage][i | half];
      shifted[stage + 1][i] = next_is_upper && is_product != y_shifted;
    }
  }
  return shifted;
}

/// Gentleman-Sande butterflies at distance H = 2^kStage among the registers: X + Y and (X - Y) w, in [0, 2q) but for
/// the shifts above. kScale: this is the transform's last stage, its two outputs get the factors `n_inverse` and the
/// root's product with it, and are canonical.
template <int kStage, int kLogR, bool kScale, typename Roots>
HEARTH_INLINE void stage(Vec (&v)[1 << kLogR], const Roots& roots, const Bounds& m, const NttTables& t) {
  constexpr int kHalf = 1 << kStage;
  constexpr auto kShifted = shifted_registers<kLogR>();
  unrolled<(1 << kLogR) / 2>([&](auto index) __attribute__((always_inline)) {
    constexpr int j = index / kHalf, i = 2 * kHalf * j + index % kHalf, k = i + kHalf;
    constexpr bool kYShifted = kShifted[kStage][k];
    const Vec x = v[i], y = v[k];
    const Vec sum = _mm512_add_epi32(x, y);
    if constexpr (kScale) {
      const Vec scale = broadcast(t.n_inverse_shoup), scale_root = broadcast(t.n_inverse_root_shoup);
      const Vec difference = _mm512_sub_epi32(kYShifted ? x : _mm512_add_epi32(x, m.q2), y);
      const Vec positive = kYShifted ? _mm512_add_epi32(sum, m.q2) : sum;
      v[i] = reduce_once(mul_lazy(positive, broadcast(t.n_inverse), scale, scale, m.q), m.q);
      v[k] = reduce_once(mul_lazy(difference, broadcast(t.n_inverse_root), scale_root, scale_root, m.q), m.q);
    } else {
      constexpr int kNext = kStage + 1 < kLogR ? kStage + 1 : kStage;
      constexpr bool kShiftSum = kNext > kStage && kShifted[kNext][i];
      constexpr bool kShiftProduct = kNext > kStage && kShifted[kNext][k];
      const Vec from = kShiftProduct ? y : x, take = kShiftProduct ? x : y;
      const Vec difference = _mm512_sub_epi32(kYShifted ? from : _mm512_add_epi32(from, m.q2), take);
      v[i] = !kYShifted ? reduce_once(sum, m.q2) : kShiftSum ? drop_once(sum, m.q2) : lift_once(sum, m.q2);
      v[k] = roots.template multiply<kLogR - 1 - kStage, kShiftProduct>(difference, j, m.q);
    }
  });
}

template <int kLogR, bool kScale, typename Roots>
HEARTH_INLINE void all_stages(Vec (&v)[1 << kLogR], const Roots& roots, const Bounds& m, const NttTables& t) {
  unrolled<kLogR>([&](auto s)
                      __attribute__((always_inline)) { stage<s, kLogR, kScale && s == kLogR - 1>(v, roots, m, t); });
}

/// kLogR stages of the block of `length` residues that is node `node` of the tree.
template <int kLogR, bool kScale>
void pass(std::uint32_t* x, std::size_t length, std::size_t node, const NttTables& t) {
  constexpr int kRadix = 1 << kLogR;
  const Bounds m(t.modulus.q);
  const SharedRoots roots{t.inverse_roots.data(), t.inverse_roots_shoup.data(), node};
  const std::size_t stride = length / kRadix;
  for (std::size_t c = 0; c < stride; c += kLanes) {
    Vec v[kRadix];
    unrolled<kRadix>([&](auto i) __attribute__((always_inline)) { v[i] = load(x + i * stride + c); });
    all_stages<kLogR, kScale>(v, roots, m, t);
    unrolled<kRadix>([&](auto i) __attribute__((always_inline)) { store(x + i * stride + c, v[i]); });
  }
}

/// The first eight stages, on 256 consecutive residues in registers.
template <bool kScale>
void tail(std::uint32_t* x, std::size_t node, const NttTables& t) {
  const Bounds m(t.modulus.q);
  const std::size_t block = node - (std::size_t{1} << (t.log_n - 8));
  Vec v[16];
  unrolled<16>([&](auto i) __attribute__((always_inline)) { v[i] = load(x + 16 * i); });
  transpose(v);
  all_stages<4, false>(v, LaneRoots{t.inverse_tail_roots.data() + block * NttTables::kTailWords}, m, t);
  transpose(v);
  all_stages<4, kScale>(v, SharedRoots{t.inverse_roots.data(), t.inverse_roots_shoup.data(), node}, m, t);
  unrolled<16>([&](auto i) __attribute__((always_inline)) { store(x + 16 * i, v[i]); });
}

template <bool kScale>
void blocks(std::uint32_t* x, int log_len, std::size_t node, const NttTables& t) {
  if (log_len == 8) return tail<kScale>(x, node, t);
  const int stages = pass_stages(log_len);
  const std::size_t length = std::size_t{1} << log_len, count = std::size_t{1} << stages;
  for (std::size_t b = 0; b < count; ++b) {
    blocks<false>(x + b * (length >> stages), log_len - stages, node * count + b, t);
  }
  switch (stages) {
    case 1:
      return pass<1, kScale>(x, length, node, t);
    case 2:
      return pass<2, kScale>(x, length, node, t);
    case 3:
      return pass<3, kScale>(x, length, node, t);
    default:
      return pass<4, kScale>(x, length, node, t);
  }
}

}  // namespace

void ntt_inverse(std::uint32_t* x, const NttTables& t) { blocks<true>(x, t.log_n, 1, t); }

}  // namespace hearth::ring::avx512

#endif
