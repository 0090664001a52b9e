#pragma once

#include "nn/graph.h"

namespace hearth::nn {

/// The convolution of the reference executor: each output is the bias plus the products with the weights in the order
/// of the weights, summed in double and rounded to float once; the result does not depend on threads. `x` has the shape
/// that `op` asks for, `shape` is that of the result. Parallel. Internal to reference.cpp.
Tensor convolve(const Conv2d& op, const Tensor& x, const Shape& shape);

}  // namespace hearth::nn
