#pragma once

#include "nn/graph.h"

namespace hearth::nn {

struct ConvolveKernels;

/// The convolution of the reference executor, for output extents given by the caller: element (m, y, x) of the result
/// is
///
///   bias[m] + sum over c, ky, kx, in this order, of
///     weights[m, c, ky, kx] * image[c + m's group's first channel,
///                                   y strides[0] - pads.top + ky dilations[0], x strides[1] - pads.left + kx
///                                   dilations[1]]
///
/// where the image reads 0 outside of its extents. Pads may be negative, which cuts rows or columns off; bottom and
/// right do not matter, because `shape`, {1, M, H', W'}, says how many outputs there are (also none, or more than the
/// image reaches). Sums are in double and rounded to float once; the result depends neither on threads nor on the
/// instruction set. Padding adds 0 * weight, which matters only for weights that are not finite.
///
/// `x` is {1, C, H, W}. Throws Error(kInvalidArgument) if the shapes do not fit each other, or strides or dilations are
/// not positive. Pads, strides, dilations and extents up to 2^20 in size never overflow. Parallel, thread safe.
Tensor convolve(const Conv2d& op, const Tensor& x, const Shape& shape);

/// The same with the kernels of one instruction set (nn/kernels/convolve_kernels.h), to compare them.
Tensor convolve_with(const ConvolveKernels& kernels, const Conv2d& op, const Tensor& x, const Shape& shape);

}  // namespace hearth::nn
