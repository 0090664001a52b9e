#pragma once

#include "nn/graph.h"

namespace hearth::nn {

/// An equivalent graph with fewer and cheaper operations. Afterwards:
/// - no Identity, no BatchNorm, no nodes the output does not depend on, no reshapes or transposes that cancel;
/// - x * x is a Polynomial, and so are sums and products of polynomials of one value (degree up to 16);
/// - per-channel factors and offsets (from BatchNormalization or arithmetic with constants) are part of a neighbouring
///   Conv2d or Dense; where there is none, of a neighbouring Polynomial; else one MulConstant and one AddConstant. An
///   offset before a padded convolution becomes an AddConstant behind it, because padding is added after the offset;
/// - zero Pad is part of the pads of the Conv2d or AveragePool it feeds;
/// - pooling, transposition, slicing, padding and another Dense that only feed a Dense are part of its weights, as far
///   as those stay below 4 million elements;
/// - the usual decompositions of Silu, HardSwish, Gelu and LeakyRelu are one Activation, Relu and Clip of one another
///   are one, and one that its input's range makes the identity is gone;
/// - a nondecreasing Activation comes after the Max or MaxPool that alone reads it, where there is less of it to do.
/// The function is kept up to rounding: constants are combined in double and rounded to float once a step. Input and
/// output shapes stay. Throws Error(kInvalidArgument) for a graph that check() refuses. Thread safe.
Graph simplify(const Graph& graph);

}  // namespace hearth::nn
