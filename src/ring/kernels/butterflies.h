#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ring/kernels/modular.h"
#include "ring/ntt.h"

namespace hearth::ring {

/// Passes of the number theoretic transform on registers of one instruction set, S = Modular<Lanes>. A pass does kLogR
/// stages on 2^kLogR registers. `node` numbers the block a pass works on in the tree of roots (see NttTables); the
/// roots of stage s of the pass are those of nodes (node << s) + j.
template <typename S>
struct Butterflies {
  using Vec = typename S::Vec;
  using Bounds = typename S::Bounds;

  /// Roots that are the same in all lanes.
  struct SharedRoots {
    const std::uint32_t* roots;
    const std::uint32_t* companions;
    std::size_t node;

    template <int kDepth, bool kNegate>
    HEARTH_INLINE Vec multiply(Vec y, int j, Vec q) const {
      const std::size_t i = (node << kDepth) + static_cast<std::size_t>(j);
      return S::template mul_lazy<kNegate>(y, S::broadcast(roots[i]), S::broadcast(companions[i]), q);
    }
  };

  /// One root a lane, from a copy as NttTables::tail_roots. The pass starts at node kFirst of the four stages there.
  template <int kFirst>
  struct LaneRoots {
    const std::uint32_t* tail;

    template <int kDepth, bool kNegate>
    HEARTH_INLINE Vec multiply(Vec y, int j, Vec q) const {
      const std::uint32_t* p = tail + 32 * ((kFirst << kDepth) - 1 + j);
      const Vec companion = S::load(p + 16);
      return S::template mul_lazy<kNegate>(y, S::load(p), companion, S::odd_lanes(companion), q);
    }
  };

  HEARTH_INLINE static SharedRoots forward_roots(const NttTables& t, std::size_t node) {
    return {t.roots.data(), t.roots_shoup.data(), node};
  }
  HEARTH_INLINE static SharedRoots inverse_roots(const NttTables& t, std::size_t node) {
    return {t.inverse_roots.data(), t.inverse_roots_shoup.data(), node};
  }

  /// Cooley-Tukey butterflies (X + wY, X - wY) at distance 2^(kLogR - 1 - kStage) among the registers.
  ///
  /// Harvey's butterfly (2014, Alg. 4) keeps all values in [0, 4q) and adds 2q to X - wY. Where the next stage of the
  /// same pass only adds (the register is an X there), that addition is left out: the value is in (-2q, 2q) and is
  /// lifted instead of reduced. kLazyEnd leaves it out of the pass's last stage, too.
  template <int kStage, int kLogR, bool kLazyEnd, typename Roots>
  HEARTH_INLINE static void forward_stage(Vec (&v)[1 << kLogR], const Roots& roots, const Bounds& m) {
    constexpr int kHalf = 1 << (kLogR - 1 - kStage);
    unrolled<(1 << kLogR) / 2>([&](auto index) __attribute__((always_inline)) {
      constexpr int j = index / kHalf, i = 2 * kHalf * j + index % kHalf;
      constexpr bool kWasDifference = kStage > 0 && j % 2 == 1;
      constexpr bool kKeepNegative = kHalf == 1 ? kLazyEnd : (i & (kHalf / 2)) == 0;
      const Vec x = kWasDifference ? S::lift_once(v[i], m.q2) : S::reduce_once(v[i], m.q2);
      const Vec t = roots.template multiply<kStage, false>(v[i + kHalf], j, m.q);
      v[i] = S::add(x, t);
      v[i + kHalf] = S::sub(kKeepNegative ? x : S::add(x, m.q2), t);
    });
  }

  template <int kLogR, bool kLazyEnd, typename Roots>
  HEARTH_INLINE static void forward_stages(Vec (&v)[1 << kLogR], const Roots& roots, const Bounds& m) {
    unrolled<kLogR>([&](auto s) __attribute__((always_inline)) { forward_stage<s, kLogR, kLazyEnd>(v, roots, m); });
  }

  /// Canonical values from those a pass with kLazyEnd leaves: [0, 4q) in even registers, (-2q, 2q) in odd ones.
  template <int kCount>
  HEARTH_INLINE static void reduce_end(Vec (&v)[kCount], const Bounds& m) {
    unrolled<kCount>([&](auto i) __attribute__((always_inline)) {
      v[i] = S::reduce_once(i % 2 ? S::lift_once(v[i], m.q2) : S::reduce_once(v[i], m.q2), m.q);
    });
  }

  /// Which registers of an inverse pass hold their value minus 2q, in [-2q, 0), at the start of each stage. Only the
  /// upper inputs of butterflies ever do: there it saves the 2q that keeps X - Y from going negative. A product is
  /// negated for free by swapping two subtractions, if its own Y was not shifted; a sum is shifted for free if its own
  /// Y was.
  template <int kLogR>
  static constexpr std::array<std::array<bool, 1 << kLogR>, kLogR> shifted_registers() {
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

  /// Gentleman-Sande butterflies (X + Y, (X - Y) w) at distance 2^kStage among the registers (Harvey 2014, Alg. 3),
  /// values in [0, 2q) but for the shifts above.
  template <int kStage, int kLogR, typename Roots>
  HEARTH_INLINE static void inverse_stage(Vec (&v)[1 << kLogR], const Roots& roots, const Bounds& m) {
    constexpr int kHalf = 1 << kStage;
    constexpr auto kShifted = shifted_registers<kLogR>();
    unrolled<(1 << kLogR) / 2>([&](auto index) __attribute__((always_inline)) {
      constexpr int j = index / kHalf, i = 2 * kHalf * j + index % kHalf, k = i + kHalf;
      constexpr int kNext = kStage + 1 < kLogR ? kStage + 1 : 0;  // at the start of a pass nothing is shifted
      constexpr bool kYShifted = kShifted[kStage][k], kShiftSum = kShifted[kNext][i], kNegate = kShifted[kNext][k];
      const Vec x = v[i], y = v[k], sum = S::add(x, y);
      const Vec from = kNegate ? y : x, take = kNegate ? x : y;
      const Vec difference = S::sub(kYShifted ? from : S::add(from, m.q2), take);
      v[i] = !kYShifted ? S::reduce_once(sum, m.q2) : kShiftSum ? S::drop_once(sum, m.q2) : S::lift_once(sum, m.q2);
      v[k] = roots.template multiply<kLogR - 1 - kStage, kNegate>(difference, j, m.q);
    });
  }

  /// The last stage of the inverse transform: its two outputs get the factors 1/n and w/n, and are canonical.
  template <int kLogR>
  HEARTH_INLINE static void scaled_stage(Vec (&v)[1 << kLogR], const Bounds& m, const NttTables& t) {
    constexpr int kHalf = 1 << (kLogR - 1);
    constexpr auto kShifted = shifted_registers<kLogR>();
    const Vec scale = S::broadcast(t.n_inverse), scale_companion = S::broadcast(t.n_inverse_shoup);
    const Vec root = S::broadcast(t.n_inverse_root), root_companion = S::broadcast(t.n_inverse_root_shoup);
    unrolled<kHalf>([&](auto i) __attribute__((always_inline)) {
      constexpr bool kYShifted = kShifted[kLogR - 1][i + kHalf];
      const Vec x = v[i], y = v[i + kHalf], sum = S::add(x, y);
      const Vec difference = S::sub(kYShifted ? x : S::add(x, m.q2), y);
      v[i] = S::reduce_once(S::mul_lazy(kYShifted ? S::add(sum, m.q2) : sum, scale, scale_companion, m.q), m.q);
      v[i + kHalf] = S::reduce_once(S::mul_lazy(difference, root, root_companion, m.q), m.q);
    });
  }

  template <int kLogR, bool kScale, typename Roots>
  HEARTH_INLINE static void inverse_stages(Vec (&v)[1 << kLogR], const Roots& roots, const Bounds& m,
                                           const NttTables& t) {
    unrolled<kLogR - (kScale ? 1 : 0)>([&](auto s)
                                           __attribute__((always_inline)) { inverse_stage<s, kLogR>(v, roots, m); });
    if constexpr (kScale) scaled_stage<kLogR>(v, m, t);
  }

  /// Calls stages(v) for each column of registers of a block of `length` residues.
  template <int kLogR, typename Stages>
  HEARTH_INLINE static void for_columns(std::uint32_t* x, std::size_t length, Stages&& stages) {
    constexpr int kRadix = 1 << kLogR;
    const std::size_t stride = length / kRadix;
    for (std::size_t c = 0; c < stride; c += S::kLanes) {
      Vec v[kRadix];
      unrolled<kRadix>([&](auto i) __attribute__((always_inline)) { v[i] = S::load(x + i * stride + c); });
      stages(v);
      unrolled<kRadix>([&](auto i) __attribute__((always_inline)) { S::store(x + i * stride + c, v[i]); });
    }
  }

  template <int kLogR>
  static void forward_pass(std::uint32_t* x, std::size_t length, std::size_t node, const NttTables& t) {
    const Bounds m(t.modulus.q);
    const SharedRoots roots = forward_roots(t, node);
    for_columns<kLogR>(
        x,
        length, [&](Vec(&v)[1 << kLogR]) __attribute__((always_inline)) { forward_stages<kLogR, false>(v, roots, m); });
  }

  /// kScale: this pass holds the transform's last stage.
  template <int kLogR, bool kScale>
  static void inverse_pass(std::uint32_t* x, std::size_t length, std::size_t node, const NttTables& t) {
    const Bounds m(t.modulus.q);
    const SharedRoots roots = inverse_roots(t, node);
    for_columns<kLogR>(
        x, length, [&](Vec(&v)[1 << kLogR]) __attribute__((always_inline)) {
          inverse_stages<kLogR, kScale>(v, roots, m, t);
        });
  }
};

}  // namespace hearth::ring
