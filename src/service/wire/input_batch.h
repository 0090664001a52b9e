#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/npy.h"
#include "compiler/program/bundle.h"

namespace hearth::service {

/// Number of network inputs in an array: 1 if the array has the network's input shape, n if it has one more dimension n
/// in front; dimensions of extent 1 are ignored, so images {n, 28, 28} fit a network of {1, 1, 28, 28}. Images may also
/// have their channels last, {n, H, W, C} for a network of {1, C, H, W}. `input_shape` has the batch dimension 1.
/// Error(kMismatch) naming `file` and both shapes otherwise.
std::size_t count_inputs(const NpyArray& array, std::span<const std::int64_t> input_shape, const std::string& file);

/// The values of input `index` (below count_inputs), in row-major order of `input_shape`.
std::vector<float> input_at(const NpyArray& array, std::span<const std::int64_t> input_shape, std::size_t index);

/// Applies a normalisation to one input in row-major order of `input_shape`. The normalisation is as bundle.h
/// describes; Error(kInvalidArgument) for another number of channels, or a division by zero.
void check_normalisation(const compiler::Normalisation& normalisation, std::span<const std::int64_t> input_shape);
std::vector<float> normalised(std::span<const float> input, const compiler::Normalisation& normalisation,
                              std::span<const std::int64_t> input_shape);

/// "[1, 3, 32, 32]".
std::string format_shape(std::span<const std::int64_t> shape);

}  // namespace hearth::service
