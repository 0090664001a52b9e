#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nn/graph.h"

namespace hearth::nn {

/// Statistics of a set of numbers. `rms` is the root of the mean square.
struct Range {
  float min = 0;
  float max = 0;
  float abs_max = 0;
  float rms = 0;
};

/// Ranges of one value of the graph over all calibration inputs.
struct ValueRange {
  Range overall;
  std::vector<Range> channels;  ///< along axis 1 (one entry if the value has rank below 2)
};

struct Calibration {
  std::int64_t inputs = 0;         ///< how many inputs were seen
  std::vector<ValueRange> values;  ///< indexed by ValueId
};

/// Runs the reference executor on every input and records the range of every value. Parallel over inputs, of which each
/// thread holds only the values still needed for one; the result does not depend on the number of threads. Throws
/// Error(kInvalidArgument) for no inputs, Error(kMismatch) for a wrong shape, Error(kInvalidArgument) naming the node
/// if a value is not finite.
Calibration calibrate(const Graph& graph, std::span<const Tensor> inputs);

/// Splits an array {count, ...} into `count` tensors {1, ...}, e.g. images read from a .npy file, in the shape
/// `input_shape` wants. Throws Error(kMismatch) if the element counts do not fit.
std::vector<Tensor> split_batch(const Tensor& batch, const Shape& input_shape);

}  // namespace hearth::nn
