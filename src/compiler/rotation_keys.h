#pragma once

#include <vector>

#include "ckks/linear_map.h"

namespace hearth::compiler {

/// What baby-step giant-step splits cost, in any unit.
struct SplitCosts {
  double baby = 1;   ///< a rotation of an input
  double giant = 5;  ///< a rotation of a sum
};

/// Splits for maps that share one set of rotation keys, with at most `keys` distinct rotations in all where that is
/// possible. Steps are powers of two, so that maps share babies and giants, and giants may be composed of multiples of
/// `outer` and the rest (BsgsPlan::outer). Each map begins with its cheapest split, and as long as there are too many
/// keys, the map changes to another for which a key saved costs least. Throws Error(kInvalidArgument) for rotations
/// outside [0, slots).
std::vector<ckks::BsgsPlan> split_rotations(const std::vector<const ckks::MapShape*>& maps, int slots, int outer,
                                            const SplitCosts& costs, std::size_t keys);

}  // namespace hearth::compiler
