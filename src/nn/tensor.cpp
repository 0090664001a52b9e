#include "nn/tensor.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::nn {

std::int64_t element_count(const Shape& shape) {
  require(shape.size() <= kMaxRank, ErrorKind::kInvalidArgument, "a tensor of {} dimensions; at most {} are supported",
          shape.size(), kMaxRank);
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    require(extent >= 0, ErrorKind::kInvalidArgument, "negative extent in shape {}", to_string(shape));
    if (extent == 0) {
      empty = true;
      continue;
    }
    require(extent <= kMaxElements / count, ErrorKind::kInvalidArgument,
            "shape {} has more than {} elements; larger tensors are not supported", to_string(shape), kMaxElements);
    count *= extent;
  }
  return empty ? 0 : count;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const std::size_t rank = std::max(a.size(), b.size());
  Shape out(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t x = i + a.size() < rank ? 1 : a[i + a.size() - rank];
    const std::int64_t y = i + b.size() < rank ? 1 : b[i + b.size() - rank];
    require(x == y || x == 1 || y == 1, ErrorKind::kInvalidArgument, "shapes {} and {} do not broadcast", to_string(a),
            to_string(b));
    out[i] = x == 1 ? y : x;
  }
  return out;
}

std::vector<std::int64_t> row_major_strides(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

Tensor::Tensor(Shape extents, float value)
    : shape(std::move(extents)), data(static_cast<std::size_t>(element_count(shape)), value) {}

Tensor::Tensor(Shape extents, std::vector<float> values) : shape(std::move(extents)), data(std::move(values)) {
  require(element_count(shape) == size(), ErrorKind::kInvalidArgument, "a tensor of shape {} needs {} values, got {}",
          to_string(shape), element_count(shape), size());
}

namespace {

/// Gathers result[i, j, ...] = source[i * strides[0] + j * strides[1] + ...] for all indices of `shape`.
std::vector<float> gather_strided(const std::vector<float>& source, const Shape& shape,
                                  const std::vector<std::int64_t>& strides) {
  std::vector<float> out(static_cast<std::size_t>(element_count(shape)));
  std::vector<std::int64_t> index(shape.size(), 0);
  std::int64_t from = 0;
  for (float& value : out) {
    value = source[static_cast<std::size_t>(from)];
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}

}  // namespace

Tensor broadcast_to(const Tensor& tensor, const Shape& shape) {
  require(broadcast_shape(tensor.shape, shape) == shape, ErrorKind::kInvalidArgument,
          "shape {} does not broadcast to {}", to_string(tensor.shape), to_string(shape));
  const std::vector<std::int64_t> own = row_major_strides(tensor.shape);
  const std::size_t lead = shape.size() - tensor.shape.size();
  std::vector<std::int64_t> strides(shape.size(), 0);
  for (std::size_t i = 0; i < own.size(); ++i) strides[lead + i] = tensor.shape[i] == 1 ? 0 : own[i];
  return {shape, gather_strided(tensor.data, shape, strides)};
}

Tensor reshaped(Tensor tensor, Shape shape) {
  require(element_count(shape) == tensor.size(), ErrorKind::kInvalidArgument, "cannot reshape {} to {}",
          to_string(tensor.shape), to_string(shape));
  tensor.shape = std::move(shape);
  return tensor;
}

Tensor transposed(const Tensor& tensor, std::span<const std::int64_t> permutation) {
  require(permutation.size() == tensor.shape.size(), ErrorKind::kInvalidArgument,
          "a permutation of {} axes for a tensor of shape {}", permutation.size(), to_string(tensor.shape));
  const std::vector<std::int64_t> own = row_major_strides(tensor.shape);
  std::vector<bool> seen(own.size(), false);
  Shape shape;
  std::vector<std::int64_t> strides;
  for (const std::int64_t axis : permutation) {
    require(axis >= 0 && axis < static_cast<std::int64_t>(own.size()) && !seen[static_cast<std::size_t>(axis)],
            ErrorKind::kInvalidArgument, "[{}] is not a permutation of {} axes", fmt::join(permutation, ", "),
            own.size());
    seen[static_cast<std::size_t>(axis)] = true;
    shape.push_back(tensor.shape[static_cast<std::size_t>(axis)]);
    strides.push_back(own[static_cast<std::size_t>(axis)]);
  }
  return {shape, gather_strided(tensor.data, shape, strides)};
}

}  // namespace hearth::nn
