#pragma once

#include <string>
#include <vector>

#include "compiler/arithmetic.h"
#include "compiler/program/layout.h"

namespace hearth::compiler {

/// A graph with a layout for every node. Repacking maps (identity matrices between layouts) may have been inserted
/// where two operands would not meet.
struct LayoutPlan {
  ArithGraph graph;
  std::vector<Layout> layouts;  ///< one a node
  double cost = 0;              ///< in hoisted rotations, see PlacementCost
};

/// Layouts that a tensor of this shape may take on ciphertexts of `slots` slots. Each is a grid of (channel, row,
/// column) with the channels outside the grid or interleaved innermost, rows and columns exact or padded to powers of
/// two, optionally on every `gap`-th point of a coarser tensor's grid, or split into stride x stride phases
/// (space-to-depth). Vectors are contiguous.
struct GridHint {
  std::int64_t height = 0, width = 0;  ///< of a grid to inherit, 0 for none
  std::int64_t gap = 1;
};
std::vector<Layout> candidate_layouts(const nn::Shape& shape, int slots, const std::vector<GridHint>& hints,
                                      const std::vector<std::int64_t>& phases);

/// Beam search over candidate layouts, in topological order, for the least total rotation cost.
LayoutPlan choose_layouts(const ArithGraph& graph, int slots);

std::string to_string(const LayoutPlan& plan);

}  // namespace hearth::compiler
