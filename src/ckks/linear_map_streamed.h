#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ckks/linear_map.h"

namespace hearth::ckks {

/// A map whose diagonals are encoded while it is applied, each for all limbs and once, for maps that would be too large
/// encoded. Same results as PreparedLinearMap, to the bit, with double hoisting. Needs room for the rotated inputs over
/// QP (not one limb of them) and one sum; where they do not fit, steps and rotations are worked on in groups, which
/// rotates inputs again for each group of steps. Immutable; thread safe.
class StreamedLinearMap {
 public:
  /// See PreparedLinearMap; nothing is encoded here. `memory` bounds what apply() holds of rotated inputs, sums and
  /// diagonals; one of each (and one diagonal a thread) are held even if they need more. With Hoisting::kSingle the
  /// results are no longer those of PreparedLinearMap to the bit: see there; it pays when there are more than about
  /// three diagonals for each rotation of an input. Throws as PlannedMap does.
  StreamedLinearMap(const Parameters& parameters, std::shared_ptr<const LinearMapSource> source, const BsgsPlan& plan,
                    int level, double plain_scale, std::size_t memory = kLinearMapMemory,
                    Hoisting hoisting = Hoisting::kDouble);

  /// As PreparedLinearMap::apply.
  std::vector<Ciphertext> apply(const Evaluator& evaluator, std::span<const Ciphertext> in) const;

  int level() const { return map_.level; }

 private:
  std::shared_ptr<const LinearMapSource> source_;
  PlannedMap map_;
  std::size_t memory_;
};

}  // namespace hearth::ckks
