#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hearth::nn {

/// Extents of a dense array, outermost first. An empty shape is a scalar (one element).
using Shape = std::vector<std::int64_t>;

/// No tensor of a network has more dimensions or elements than this; larger ones are refused before anything is
/// allocated (an ImageNet network's largest tensor is far below).
inline constexpr std::size_t kMaxRank = 8;
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;

/// Number of elements. Throws Error(kInvalidArgument) for a rank above kMaxRank, a negative extent, or extents
/// other than 0 whose product exceeds kMaxElements; never overflows, and neither do the strides of an accepted shape.
std::int64_t element_count(const Shape& shape);

/// "[1, 3, 32, 32]".
std::string to_string(const Shape& shape);

/// NumPy broadcasting of two shapes. Throws Error(kInvalidArgument) if they do not fit.
Shape broadcast_shape(const Shape& a, const Shape& b);

/// Row-major strides in elements, one a dimension.
std::vector<std::int64_t> row_major_strides(const Shape& shape);

/// Dense float32 array in row-major order. Invariant: data.size() == element_count(shape). Value semantics; const use
/// is thread safe.
struct Tensor {
  Shape shape;
  std::vector<float> data;

  /// A scalar zero.
  Tensor() : data(1, 0.0F) {}
  /// Zero filled, or filled with `value`.
  explicit Tensor(Shape extents, float value = 0.0F);
  /// Throws Error(kInvalidArgument) if `values` is not exactly as long as `extents` says.
  Tensor(Shape extents, std::vector<float> values);

  std::int64_t size() const { return static_cast<std::int64_t>(data.size()); }
  bool operator==(const Tensor&) const = default;
};

/// `tensor` repeated along its extents of 1 (and along missing leading dimensions) until it has `shape`. Throws
/// Error(kInvalidArgument) if it does not broadcast to exactly `shape`.
Tensor broadcast_to(const Tensor& tensor, const Shape& shape);

/// The same elements under another shape. Throws Error(kInvalidArgument) if the counts differ.
Tensor reshaped(Tensor tensor, Shape shape);

/// Dimensions permuted: result.shape[i] = tensor.shape[permutation[i]].
Tensor transposed(const Tensor& tensor, std::span<const std::int64_t> permutation);

}  // namespace hearth::nn
