#include <algorithm>
#include <cmath>

#include "nn/onnx_context.h"

namespace hearth::nn {

namespace {

/// Output 0 becomes input 0 under another shape, whether constant or computed.
void set_reshaped(NodeContext& node, const Shape& target) {
  if (!node.is_constant(0)) return node.set(node.reshape(node.value(0), target));
  node.charge(node.shape(0));
  node.set(fold_reshape(*node.constant(0), target));
}

Shape leading(const Shape& shape, std::size_t count) {
  return Shape(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(count));
}

/// Extents given as data: none negative (element_count checks the rest).
Shape as_shape(const NodeContext& node, const std::vector<std::int64_t>& extents) {
  if (extents.size() > kMaxRank)
    node.unsupported("a tensor of {} dimensions; at most {} are supported", extents.size(), kMaxRank);
  element_count(extents);
  return extents;
}

/// The target of Reshape with 0 (copy) and -1 (whatever is left) resolved.
Shape resolve_reshape(const NodeContext& node, std::vector<std::int64_t> target, bool allow_zero) {
  const Shape& from = node.shape(0);
  if (target.size() > kMaxRank)
    node.unsupported("a reshape to {} dimensions; at most {} are supported", target.size(), kMaxRank);
  std::ptrdiff_t open = -1;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] == 0 && !allow_zero) {
      if (i >= from.size()) node.corrupt("a reshape of {} to [{}]", to_string(from), fmt::join(target, ", "));
      target[i] = from[i];
    } else if (target[i] == -1) {
      if (open >= 0) node.corrupt("two extents of -1 in [{}]", fmt::join(target, ", "));
      open = static_cast<std::ptrdiff_t>(i);
    }
  }
  if (open < 0) return target;
  target[static_cast<std::size_t>(open)] = 1;
  const std::int64_t known = element_count(target);
  const std::int64_t total = element_count(from);
  if (known == 0 || total % known != 0) {
    node.corrupt("{} elements do not fill a shape of [{}] with -1 at position {}", total, fmt::join(target, ", "),
                 open);
  }
  target[static_cast<std::size_t>(open)] = total / known;
  return target;
}

}  // namespace

void convert_constant(NodeContext& node) {
  if (node.has_attribute("value")) return node.set(node.attribute<ConstantPtr>("value"));
  if (node.has_attribute("value_int")) return node.set_scalar(node.attribute<std::int64_t>("value_int"));
  if (node.has_attribute("value_float")) {
    return node.set(make_constant(Tensor(Shape{}, node.attribute<float>("value_float"))));
  }
  if (node.has_attribute("value_ints")) {
    return node.set(integer_vector(node.attribute<std::vector<std::int64_t>>("value_ints")));
  }
  if (node.has_attribute("value_floats")) {
    const auto& values = node.attribute<std::vector<float>>("value_floats");
    return node.set(make_constant(Tensor(Shape{static_cast<std::int64_t>(values.size())}, values)));
  }
  node.unsupported("the constant is neither a tensor nor numbers");
}

void convert_constant_of_shape(NodeContext& node) {
  const Shape shape = as_shape(node, node.integers(0));
  node.charge(shape);
  if (!node.has_attribute("value")) return node.set(make_constant(Tensor(shape)));
  const ConstantPtr value = node.attribute<ConstantPtr>("value");
  if (value->count() != 1) node.corrupt("attribute 'value' holds {} elements, expected 1", value->count());
  node.set(fold_expand(fold_reshape(*value, {}), shape));
}

void convert_range(NodeContext& node) {
  std::array<std::int64_t, 3> bounds{};
  for (std::size_t i = 0; i < 3; ++i) {
    if (node.constant(i)->count() != 1) node.corrupt("input {} must be a single number", i);
    bounds[i] = node.integers(i)[0];
    if (std::abs(bounds[i]) > kMaxElements) node.unsupported("a range bound of {}", bounds[i]);
  }
  const auto [start, limit, step] = bounds;
  if (step == 0) node.corrupt("a range with step 0");
  std::vector<std::int64_t> values;
  node.charge(std::max<std::int64_t>((limit - start) / step + 1, 0));
  for (std::int64_t v = start; step > 0 ? v < limit : v > limit; v += step) values.push_back(v);
  node.set(integer_vector(std::move(values)));
}

void convert_shape(NodeContext& node) {
  const Shape& shape = node.shape(0);
  const auto rank = static_cast<std::int64_t>(shape.size());
  const auto clamp = [&](std::int64_t axis) {
    return std::clamp<std::int64_t>(axis < 0 ? axis + rank : axis, 0, rank);
  };
  const std::int64_t start = clamp(node.attribute("start", std::int64_t{0}));
  const std::int64_t end = std::max(start, clamp(node.attribute("end", rank)));
  node.set(integer_vector(Shape(shape.begin() + start, shape.begin() + end)));
}

void convert_size(NodeContext& node) { node.set_scalar(element_count(node.shape(0))); }

void convert_reshape(NodeContext& node) {
  const bool allow_zero = node.opset() >= 14 && node.attribute("allowzero", std::int64_t{0}) != 0;
  set_reshaped(node, resolve_reshape(node, node.integers(1), allow_zero));
}

void convert_flatten(NodeContext& node) {
  const Shape& shape = node.shape(0);
  const auto rank = static_cast<std::int64_t>(shape.size());
  const std::int64_t axis = node.attribute("axis", std::int64_t{1});
  if (axis < -rank || axis > rank) node.corrupt("axis {} is outside the {} dimensions", axis, rank);
  const std::int64_t rows = element_count(leading(shape, static_cast<std::size_t>(axis < 0 ? axis + rank : axis)));
  const std::int64_t total = element_count(shape);
  set_reshaped(node, {rows, rows == 0 ? 0 : total / rows});
}

void convert_squeeze(NodeContext& node) {
  const Shape& shape = node.shape(0);
  const auto axes = node.integers_at(1, "axes", 13);
  const std::vector<std::int64_t> drop = node.axes(axes.value_or(std::vector<std::int64_t>{}), shape.size());
  Shape target;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool listed = std::ranges::binary_search(drop, static_cast<std::int64_t>(i));
    if (listed && shape[i] != 1) node.corrupt("axis {} of shape {} is not 1", i, to_string(shape));
    if (!(axes ? listed : shape[i] == 1)) target.push_back(shape[i]);
  }
  set_reshaped(node, target);
}

void convert_unsqueeze(NodeContext& node) {
  const auto axes = node.integers_at(1, "axes", 13);
  if (!axes) node.corrupt("no axes given");
  const std::size_t rank = node.rank(0) + axes->size();
  if (rank > kMaxRank) node.unsupported("a result of {} dimensions; at most {} are supported", rank, kMaxRank);
  Shape target = node.shape(0);
  for (const std::int64_t axis : node.axes(*axes, rank)) target.insert(target.begin() + axis, 1);
  set_reshaped(node, target);
}

void convert_expand(NodeContext& node) {
  const Shape target = broadcast_shape(node.shape(0), as_shape(node, node.integers(1)));
  if (node.is_constant(0)) {
    node.charge(target);
    return node.set(fold_expand(*node.constant(0), target));
  }
  if (element_count(target) != element_count(node.shape(0))) {
    node.unsupported("expanding a computed tensor of shape {} to {}", to_string(node.shape(0)), to_string(target));
  }
  node.set(node.reshape(node.value(0), target));
}

void convert_transpose(NodeContext& node) {
  const std::size_t rank = node.rank(0);
  std::vector<std::int64_t> reversed;
  for (std::size_t i = rank; i-- > 0;) reversed.push_back(static_cast<std::int64_t>(i));
  const std::vector<std::int64_t> permutation = node.attribute("perm", reversed);
  if (permutation.size() != rank || node.axes(permutation, rank).size() != rank ||
      std::ranges::any_of(permutation, [](std::int64_t axis) { return axis < 0; })) {
    node.corrupt("[{}] is not a permutation of {} axes", fmt::join(permutation, ", "), rank);
  }
  if (!node.is_constant(0)) return node.set(node.emit(Transpose{permutation}, {node.value(0)}));
  node.charge(node.shape(0));
  node.set(fold_transpose(*node.constant(0), permutation));
}

}  // namespace hearth::nn
