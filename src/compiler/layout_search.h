#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compiler/arithmetic.h"
#include "compiler/diagonals.h"
#include "compiler/program/grid_matrix.h"
#include "compiler/program/layout.h"

namespace hearth::compiler {

/// A graph with a layout for every node. Repacking maps (identity matrices between layouts) may have been inserted
/// where two operands would not meet.
struct LayoutPlan {
  ArithGraph graph;
  std::vector<Layout> layouts;  ///< one a node
  /// Of graphs on one grid (grid_plan.h), one a node; empty for others. `matrices`: null where the node is no layer.
  std::vector<GridLayoutPtr> grids;
  std::vector<std::shared_ptr<const GridMatrix>> matrices;
  LayoutCosts costs;  ///< that were compared
  double cost = 0;    ///< in hoisted rotations, see PlacementCost
};

/// Layouts that a tensor of this shape may take on ciphertexts of `slots` slots. Each is a grid of (channel, row,
/// column) with the channels outside the grid or interleaved innermost, rows and columns exact or padded to powers of
/// two, optionally on every gap-th row and column of a coarser tensor's grid, or split into stride x stride phases
/// (space-to-depth). Vectors are contiguous.
struct GridHint {
  std::int64_t height = 0, width = 0;  ///< of a grid to inherit
  std::int64_t gap_y = 1, gap_x = 1;
};
/// `pitches`: numbers of slots that interleaved channels may take beside the least possible one.
std::vector<Layout> candidate_layouts(const nn::Shape& shape, int slots, const std::vector<GridHint>& hints,
                                      const std::vector<std::int64_t>& phases,
                                      const std::vector<std::int64_t>& pitches = {});

/// Beam search over candidate layouts, in topological order, for the least total cost. Networks with more weights than
/// are kept encoded (kEncodedBudget) are laid out at streamed_costs unless costs are given.
LayoutPlan choose_layouts(const ArithGraph& graph, int slots, const std::optional<LayoutCosts>& costs = std::nullopt);

std::string to_string(const LayoutPlan& plan);

}  // namespace hearth::compiler
