#pragma once

#include <cstdint>

#include "base/unrolled.h"

namespace hearth::ring {

/// Modular arithmetic on the 32-bit lanes of one instruction set (`Lanes`, e.g. avx512_lanes.h). All of it is inlined,
/// so that each instantiation is compiled for its own instruction set only.
template <typename Lanes>
struct Modular : Lanes {
  using Vec = typename Lanes::Vec;

  /// x - bound where that is not negative: [0, 2 bound) -> [0, bound).
  HEARTH_INLINE static Vec reduce_once(Vec x, Vec bound) { return Lanes::min(x, Lanes::sub(x, bound)); }
  /// x + bound where x is negative (two's complement): [-bound, bound) -> [0, bound).
  HEARTH_INLINE static Vec lift_once(Vec x, Vec bound) { return Lanes::min(x, Lanes::add(x, bound)); }
  /// x - bound where x is not negative: [-bound, bound) -> [-bound, 0).
  HEARTH_INLINE static Vec drop_once(Vec x, Vec bound) { return Lanes::max(x, Lanes::sub(x, bound)); }

  /// Odd lanes moved to even ones, where the multiplier reads.
  HEARTH_INLINE static Vec odd_lanes(Vec x) { return Lanes::template shift_right64<32>(x); }

  /// y * w mod q in [0, 2q) for any y: Shoup's product; with kNegate its negative, in (-2q, 0]. `w_shoup_odd` holds the
  /// companions of odd lanes in even ones.
  template <bool kNegate = false>
  HEARTH_INLINE static Vec mul_lazy(Vec y, Vec w, Vec w_shoup, Vec w_shoup_odd, Vec q) {
    const Vec even = Lanes::mul_even(y, w_shoup);
    const Vec odd = Lanes::mul_even(odd_lanes(y), w_shoup_odd);
    const Vec quotient = Lanes::merge_high(even, odd);
    const Vec low = Lanes::mul_low(y, w), multiple = Lanes::mul_low(quotient, q);
    Vec product = kNegate ? Lanes::sub(multiple, low) : Lanes::sub(low, multiple);
    // Hides the subtraction from gcc, which would distribute it over both x + product and x - product.
    asm("" : "+v"(product));
    return product;
  }
  /// The same with one w for all lanes.
  template <bool kNegate = false>
  HEARTH_INLINE static Vec mul_lazy(Vec y, Vec w, Vec w_shoup, Vec q) {
    return mul_lazy<kNegate>(y, w, w_shoup, w_shoup, q);
  }

  /// Modulus and its double in every lane.
  struct Bounds {
    Vec q, q2;
    HEARTH_INLINE explicit Bounds(std::uint32_t prime) : q(Lanes::broadcast(prime)), q2(Lanes::broadcast(2 * prime)) {}
  };
};

}  // namespace hearth::ring
