#pragma once

#include <optional>

#include "compiler/layout_search.h"

namespace hearth::compiler {

/// Lays a graph of implicit layers on one grid (compiler/program/grid_layout.h): the resolution of each image follows
/// from the strides, and the grid is that of the coarsest, with margins as wide as windows reach beyond images. Empty
/// when an image does not fit `slots`. Throws Error(kUnsupported), naming the node, for graphs that no grid holds:
/// operands of an addition that came through different strides, views and concatenations that move elements, and
/// windows over margins that are not zero.
std::optional<LayoutPlan> plan_on_grid(const ArithGraph& graph, int slots);

/// Where a node's margins should be far below zero: implicit layers whose result, alone or added to others, is only
/// read by one activation that vanishes there. [node] -> value in the margins, 0 elsewhere. A ReLU's error is largest
/// at 0, where the margins would lie otherwise.
std::vector<double> margin_values(const ArithGraph& graph);

}  // namespace hearth::compiler
