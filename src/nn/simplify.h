#pragma once

#include "nn/graph.h"

namespace hearth::nn {

/// An equivalent graph with fewer and cheaper operations. Afterwards:
/// - no Identity, no BatchNorm (folded into a neighbouring Conv2d or Dense where that is exact, else MulConstant and
///   AddConstant, or absorbed by a Polynomial), no chains of constants, no nodes the output does not depend on;
/// - x * x is a Polynomial, and scalar or per-channel factors and offsets around a Polynomial are part of it;
/// - zero Pad lives in the pads of the Conv2d it feeds;
/// - AveragePool, GlobalAveragePool and ReduceMean that only feed a Dense (through reshapes) are part of its weights,
/// as
///   far as the weights stay of reasonable size.
/// The function is kept up to rounding: constants are combined in double and rounded to float once a step. Input and
/// output shapes stay. Thread safe.
Graph simplify(const Graph& graph);

}  // namespace hearth::nn
