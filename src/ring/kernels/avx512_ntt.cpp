#include "ring/kernels/avx512_ntt.h"

#include "ring/kernels/avx512_math.h"

#if defined(__AVX512F__)

namespace hearth::ring::avx512 {
namespace {

/// A twiddle factor that is the same in all lanes.
struct SharedRoots {
  const std::uint32_t* roots;
  const std::uint32_t* companions;
  std::size_t node;  // of the block that the pass works on

  template <int kStage>
  HEARTH_INLINE Vec multiply(Vec y, int j, Vec q) const {
    const std::size_t i = (node << kStage) + static_cast<std::size_t>(j);
    const Vec companion = broadcast(companions[i]);
    return mul_lazy(y, broadcast(roots[i]), companion, companion, q);
  }
};

/// One twiddle factor a lane, from NttTables::tail_roots.
struct LaneRoots {
  const std::uint32_t* tail;

  template <int kStage>
  HEARTH_INLINE Vec multiply(Vec y, int j, Vec q) const {
    const std::uint32_t* p = tail + 32 * ((1 << kStage) - 1 + j);
    const Vec companion = load(p + 16);
    return mul_lazy(y, load(p), companion, odd_lanes(companion), q);
  }
};

/// Stage kStage of kLogR on the registers v, paired at distance H = 2^(kLogR - 1 - kStage).
///
/// Harvey's butterfly keeps all values in [0, 4q) and adds 2q to X - T. Where the next stage of the same pass only adds
/// (the register is an X there), that addition is left out: the value is in (-2q, 2q) and is lifted instead of reduced.
/// kLazyEnd leaves it out of the last stage, too.
template <int kStage, int kLogR, bool kLazyEnd, typename Roots>
HEARTH_INLINE void stage(Vec (&v)[1 << kLogR], const Roots& roots, const Bounds& m) {
  constexpr int kHalf = 1 << (kLogR - 1 - kStage);
  unrolled<(1 << kLogR) / 2>([&](auto index) __attribute__((always_inline)) {
    constexpr int j = index / kHalf, i = 2 * kHalf * j + index % kHalf;
    constexpr bool kWasDifference = kStage > 0 && j % 2 == 1;
    constexpr bool kLast = kHalf == 1;
    constexpr bool kKeepNegative = kLast ? kLazyEnd : (i & (kHalf / 2)) == 0;
    const Vec x = kWasDifference ? lift_once(v[i], m.q2) : reduce_once(v[i], m.q2);
    const Vec t = roots.template multiply<kStage>(v[i + kHalf], j, m.q);
    v[i] = _mm512_add_epi32(x, t);
    v[i + kHalf] = _mm512_sub_epi32(kKeepNegative ? x : _mm512_add_epi32(x, m.q2), t);
  });
}

template <int kLogR, bool kLazyEnd, typename Roots>
HEARTH_INLINE void all_stages(Vec (&v)[1 << kLogR], const Roots& roots, const Bounds& m) {
  unrolled<kLogR>([&](auto s) __attribute__((always_inline)) { stage<s, kLogR, kLazyEnd>(v, roots, m); });
}

/// kLogR stages of the block of `length` residues that is node `node` of the tree.
template <int kLogR>
void pass(std::uint32_t* x, std::size_t length, std::size_t node, const NttTables& t) {
  constexpr int kRadix = 1 << kLogR;
  const Bounds m(t.modulus.q);
  const SharedRoots roots{t.roots.data(), t.roots_shoup.data(), node};
  const std::size_t stride = length / kRadix;
  for (std::size_t c = 0; c < stride; c += kLanes) {
    Vec v[kRadix];
    unrolled<kRadix>([&](auto i) __attribute__((always_inline)) { v[i] = load(x + i * stride + c); });
    all_stages<kLogR, false>(v, roots, m);
    unrolled<kRadix>([&](auto i) __attribute__((always_inline)) { store(x + i * stride + c, v[i]); });
  }
}

/// The last eight stages, on 256 consecutive residues in registers; canonical results.
void tail(std::uint32_t* x, std::size_t node, const NttTables& t) {
  const Bounds m(t.modulus.q);
  const std::size_t block = node - (std::size_t{1} << (t.log_n - 8));
  Vec v[16];
  unrolled<16>([&](auto i) __attribute__((always_inline)) { v[i] = load(x + 16 * i); });
  all_stages<4, false>(v, SharedRoots{t.roots.data(), t.roots_shoup.data(), node}, m);
  transpose(v);
  all_stages<4, true>(v, LaneRoots{t.tail_roots.data() + block * NttTables::kTailWords}, m);
  unrolled<16>([&](auto i) __attribute__((always_inline)) {
    v[i] = reduce_once(i % 2 ? lift_once(v[i], m.q2) : reduce_once(v[i], m.q2), m.q);
  });
  transpose(v);
  unrolled<16>([&](auto i) __attribute__((always_inline)) { store(x + 16 * i, v[i]); });
}

void blocks(std::uint32_t* x, int log_len, std::size_t node, const NttTables& t) {
  if (log_len == 8) return tail(x, node, t);
  const int stages = pass_stages(log_len);
  const std::size_t length = std::size_t{1} << log_len;
  switch (stages) {
    case 1:
      pass<1>(x, length, node, t);
      break;
    case 2:
      pass<2>(x, length, node, t);
      break;
    case 3:
      pass<3>(x, length, node, t);
      break;
    default:
      pass<4>(x, length, node, t);
      break;
  }
  const std::size_t count = std::size_t{1} << stages;
  for (std::size_t b = 0; b < count; ++b) blocks(x + b * (length >> stages), log_len - stages, node * count + b, t);
}

}  // namespace

void ntt_forward(std::uint32_t* x, const NttTables& t) { blocks(x, t.log_n, 1, t); }

}  // namespace hearth::ring::avx512

#endif
