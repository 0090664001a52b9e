#pragma once

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
///
/// `radices`: how many consecutive butterflies each factor merges; positive, summing to log2(s). Factors come in the
/// order of application, and radices[i] belongs to factor i. A factor that merges butterflies up to length 2^j has
/// diagonals of period 2^j. Throws Error(kInvalidArgument) for radices that do not fit.

/// Slots v to the polynomial with w = R v: B_1 first.
std::vector<ComplexLinearMap> slots_to_coefficients_maps(int log_slots, std::span<const int> radices);
/// A polynomial to slots R w, multiplied by `factor`: the inverse of B_m first.
std::vector<ComplexLinearMap> coefficients_to_slots_maps(int log_slots, std::span<const int> radices,
                                                         double factor = 1);

}  // namespace hearth::ckks
