#pragma once

#include <complex>
#include <span>
#include <vector>

#include "ckks/linear_map.h"

namespace hearth::ckks {

/// The canonical embedding as products of sparse maps, for moving coefficients into slots and back under encryption.
///
/// With s = n/2 slots, coefficient k and k + s of a polynomial form the complex number w_k, and its slots are
/// z = B_m ... B_2 B_1 R w: R is the bit reversal and B_i the butterflies of length 2^i (Cheon, Han, Kim, Kim, Song
/// 2018; merged stages as in Han and Ki 2020). Both directions leave out R, so that SlotsToCoeffs, something on
/// coefficients, CoeffsToSlots keeps the order of the slots.

/// Merging `radix` butterflies, of lengths up to 2^last, makes a map that rotates by the multiples of 2^(last - radix)
/// below 2^last, both ways, modulo the period 2^stages. Rotating one way takes fewer keys. So every factor but the one of
/// the longest butterflies, which goes around the period anyway, gives its result rotated to the left, far enough that
/// it rotates to the left alone, and the factor of the longest butterflies takes all of these rotations back: they sum up
/// to its unit.

/// The factor without its values; its diagonals have period 2^last. Rotations to the right, of the longest butterflies,
/// are those of all `slots`, a multiple of the period, so that they lie near to the others.
MapShape factor_shape(int radix, int last, int stages, int slots);

/// That factor, of SlotsToCoeffs or, inverse, of CoeffsToSlots. Every value is a product of `radix` entries, made when
/// it is asked for. Immutable; thread safe.
class ButterflyFactor final : public ComplexLinearMapSource {
 public:
  enum class Direction { kSlotsToCoefficients, kCoefficientsToSlots };
  /// `factor` multiplies all values. Throws Error(kInvalidArgument) unless 1 <= radix <= last <= stages and 2^stages
  /// divides `slots`.
  ButterflyFactor(Direction direction, int radix, int last, int stages, int slots, double factor = 1);

  const MapShape& shape() const override { return shape_; }
  void diagonal(const DiagonalPlace& place, std::span<std::complex<double>> out) const override;

 private:
  std::complex<double> value(int slot, int from) const;

  Direction direction_;
  int radix_, last_, stages_;
  double factor_;
  std::vector<std::complex<double>> twiddles_;  // embedding_twiddles
  MapShape shape_;
};

/// `radices`: how many consecutive butterflies each factor merges; positive, summing to log2(s). Factors come in the
/// order of application, and radices[i] belongs to factor i. Throws Error(kInvalidArgument) for radices that do not
/// fit.

/// Slots v to the polynomial with w = R v: B_1 first.
std::vector<ButterflyFactor> slots_to_coefficients(int log_slots, std::span<const int> radices, int slots);
/// A polynomial to slots R w, multiplied by `factor`: the inverse of B_m first.
std::vector<ButterflyFactor> coefficients_to_slots(int log_slots, std::span<const int> radices, int slots,
                                                   double factor = 1);

}  // namespace hearth::ckks
