#include <algorithm>
#include <limits>

#include "nn/onnx_context.h"

namespace hearth::nn {

namespace {

/// The slice that takes all of a tensor of this shape.
Slice whole(const Shape& shape) {
  return {std::vector<std::int64_t>(shape.size(), 0), std::vector<std::int64_t>(shape.size(), 1), shape};
}

/// One axis of ONNX Slice: negative and out-of-range bounds resolved as in NumPy.
void slice_axis(const NodeContext& node, Slice& slice, std::size_t axis, std::int64_t start, std::int64_t end,
                std::int64_t step) {
  constexpr std::int64_t kFar = std::int64_t{1} << 40;
  if (step == 0) node.corrupt("a slice with step 0");
  const std::int64_t extent = slice.extents[axis];
  const auto resolve = [&](std::int64_t index) {
    index = std::clamp(index, -kFar, kFar);
    return std::clamp(index < 0 ? index + extent : index, step > 0 ? 0 : std::int64_t{-1},
                      step > 0 ? extent : extent - 1);
  };
  start = resolve(start);
  end = resolve(end);
  // With at most `extent` elements, a longer step reaches the same one element as `extent` itself.
  step = std::clamp(step, -std::max<std::int64_t>(extent, 1), std::max<std::int64_t>(extent, 1));
  const std::int64_t span = step > 0 ? end - start : start - end;
  const std::int64_t stride = step > 0 ? step : -step;
  slice.starts[axis] = start;
  slice.steps[axis] = step;
  slice.extents[axis] = span <= 0 ? 0 : (span + stride - 1) / stride;
}

void set_sliced(NodeContext& node, const Slice& slice, std::size_t output = 0) {
  if (node.is_constant(0)) {
    node.charge(slice.extents);
    return node.set(std::make_shared<Constant>(fold_slice(*node.constant(0), slice)), output);
  }
  const bool everything =
      slice.extents == node.shape(0) && std::ranges::all_of(slice.steps, [](auto s) { return s > 0; });
  node.set(everything ? node.value(0) : node.emit(slice, {node.value(0)}), output);
}

/// Indices a, a + d, a + 2 d, ... as a slice along `axis`.
Slice progression(const NodeContext& node, const std::vector<std::int64_t>& indices, std::size_t axis) {
  Slice slice = whole(node.shape(0));
  const std::int64_t extent = slice.extents[axis];
  std::vector<std::int64_t> from_front;
  for (const std::int64_t index : indices) {
    if (index < -extent || index >= extent) node.corrupt("index {} is outside an extent of {}", index, extent);
    from_front.push_back(index < 0 ? index + extent : index);
  }
  const std::int64_t step = from_front.size() > 1 ? from_front[1] - from_front[0] : 1;
  for (std::size_t i = 1; i < from_front.size(); ++i) {
    if (step == 0 || from_front[i] - from_front[i - 1] != step) {
      node.unsupported("gathering computed values at irregular positions; equally spaced positions are supported");
    }
  }
  slice.starts[axis] = from_front.empty() ? 0 : from_front[0];
  slice.steps[axis] = step;
  slice.extents[axis] = static_cast<std::int64_t>(from_front.size());
  return slice;
}

}  // namespace

void convert_gather(NodeContext& node) {
  const Shape shape = node.shape(0);
  if (shape.empty()) node.corrupt("gathering from a scalar");
  const std::size_t axis = node.axis(node.attribute("axis", std::int64_t{0}), shape.size());
  const ConstantPtr indices = node.constant(1);
  Shape target(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(axis));
  target.insert(target.end(), indices->shape.begin(), indices->shape.end());
  target.insert(target.end(), shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, shape.end());
  if (node.is_constant(0)) {
    node.charge(target);
    node.charge(indices->count());
    return node.set(fold_gather(*node.constant(0), *indices, axis));
  }
  const ValueId part = node.emit(progression(node, indices->integers(), axis), {node.value(0)});
  node.set(node.reshape(part, target));
}

namespace {

/// Constants among the parts of a concatenation of computed values become padding of a neighbour, here of one part on
/// its side; what they hold is added afterwards.
ValueId pad_axis(NodeContext& node, ValueId x, std::size_t axis, std::int64_t before, std::int64_t after) {
  if (before == 0 && after == 0) return x;
  Pad pad;
  pad.before.assign(node.shape_of(x).size(), 0);
  pad.after = pad.before;
  pad.before[axis] = before;
  pad.after[axis] = after;
  return node.emit(std::move(pad), {x});
}

/// The constant parts at their places in the result, zero elsewhere; nothing if they are all zero.
std::optional<Tensor> constant_parts(NodeContext& node, std::size_t axis, const Shape& result) {
  std::vector<ConstantPtr> parts;
  bool zero = true;
  node.charge(result);
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    if (node.is_constant(i)) {
      parts.push_back(node.constant(i));
      zero = zero && std::ranges::all_of(parts.back()->floats(), [](float v) { return v == 0; });
    } else {
      parts.push_back(std::make_shared<Constant>(make_constant(Tensor(node.shape(i)))));
    }
  }
  if (zero) return std::nullopt;
  return fold_concat(parts, axis).tensor();
}

void concat_mixed(NodeContext& node, std::size_t axis, const Shape& result) {
  std::vector<ValueId> values;
  std::int64_t before = 0;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    if (!node.is_constant(i)) {
      values.push_back(pad_axis(node, node.value(i), axis, before, 0));
      before = 0;
    } else if (values.empty()) {
      before += node.shape(i)[axis];
    } else {
      values.back() = pad_axis(node, values.back(), axis, 0, node.shape(i)[axis]);
    }
  }
  const std::optional<Tensor> constants = constant_parts(node, axis, result);
  ValueId joined = values.size() == 1 ? values[0] : node.emit(Concat{static_cast<std::int64_t>(axis)}, values);
  if (constants) joined = node.emit(AddConstant{*constants}, {joined});
  node.set(joined);
}

}  // namespace

void convert_concat(NodeContext& node) {
  if (node.input_count() == 0) node.corrupt("no inputs");
  const std::size_t axis = node.axis(node.attribute<std::int64_t>("axis"), node.rank(0));
  Shape result = node.shape(0);
  for (std::size_t i = 1; i < node.input_count(); ++i) {
    Shape rest = node.shape(i);
    if (rest.size() == result.size()) rest[axis] = result[axis];
    if (rest != result) {
      node.corrupt("shapes {} and {} cannot be joined along axis {}", to_string(result), to_string(node.shape(i)),
                   axis);
    }
    result[axis] += node.shape(i)[axis];
    element_count(result);
  }
  if (!node.all_constant()) return concat_mixed(node, axis, result);
  node.charge(result);
  std::vector<ConstantPtr> parts;
  for (std::size_t i = 0; i < node.input_count(); ++i) parts.push_back(node.constant(i));
  node.set(fold_concat(parts, axis));
}

void convert_slice(NodeContext& node) {
  const Shape& shape = node.shape(0);
  const auto starts = node.integers_at(1, "starts", 10);
  const auto ends = node.integers_at(2, "ends", 10);
  if (!starts || !ends || starts->size() != ends->size())
    node.corrupt("starts and ends are missing or differ in length");
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  axes = node.integers_at(3, "axes", 10).value_or(axes);
  std::vector<std::int64_t> steps(starts->size(), 1);
  if (node.opset() >= 10 && node.has(4)) steps = node.integers(4);
  if (axes.size() != starts->size() || steps.size() != starts->size())
    node.corrupt("axes or steps differ in number from starts");
  node.axes(axes, shape.size());
  Slice slice = whole(shape);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    slice_axis(node, slice, node.axis(axes[i], shape.size()), (*starts)[i], (*ends)[i], steps[i]);
  }
  set_sliced(node, slice);
}

void convert_split(NodeContext& node) {
  const Shape shape = node.shape(0);
  const std::size_t axis = node.axis(node.attribute("axis", std::int64_t{0}), shape.size());
  const auto parts = static_cast<std::int64_t>(node.output_count());
  const std::int64_t even = (shape[axis] + parts - 1) / parts;
  const std::vector<std::int64_t> sizes =
      node.integers_at(1, "split", 13).value_or(std::vector<std::int64_t>(node.output_count(), even));
  if (sizes.size() != node.output_count()) node.corrupt("{} sizes for {} outputs", sizes.size(), node.output_count());
  std::int64_t at = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::int64_t left = shape[axis] - at;
    const std::int64_t size = node.has(1) || node.has_attribute("split") ? sizes[i] : std::min(sizes[i], left);
    if (size < 0 || size > left)
      node.corrupt("sizes [{}] do not split an extent of {}", fmt::join(sizes, ", "), shape[axis]);
    Slice slice = whole(shape);
    slice.starts[axis] = at;
    slice.extents[axis] = size;
    set_sliced(node, slice, i);
    at += size;
  }
  if (at != shape[axis]) node.corrupt("sizes [{}] do not split an extent of {}", fmt::join(sizes, ", "), shape[axis]);
}

namespace {

/// Padding of every axis, {before, after} of axis 0, axis 1, ..., from the forms of the different opsets.
std::vector<std::pair<std::int64_t, std::int64_t>> read_padding(const NodeContext& node) {
  const std::size_t rank = node.rank(0);
  const auto pads = node.integers_at(1, "pads", 11);
  std::vector<std::int64_t> axes(rank);
  for (std::size_t i = 0; i < rank; ++i) axes[i] = static_cast<std::int64_t>(i);
  if (node.opset() >= 18 && node.has(3)) axes = node.integers(3);
  node.axes(axes, rank);
  if (!pads || pads->size() != 2 * axes.size()) node.corrupt("expected {} pads", 2 * axes.size());
  std::vector<std::pair<std::int64_t, std::int64_t>> out(rank, {0, 0});
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t before = (*pads)[i];
    const std::int64_t after = (*pads)[axes.size() + i];
    if (std::min(before, after) < -kMaxElements || std::max(before, after) > kMaxElements) {
      node.corrupt("padding of {} and {}", before, after);
    }
    out[node.axis(axes[i], rank)] = {before, after};
  }
  return out;
}

float padding_value(const NodeContext& node) {
  if (node.opset() < 11) return node.attribute("value", 0.0F);
  if (!node.has(2)) return 0.0F;
  const Tensor value = node.tensor(2);
  if (value.size() != 1) node.corrupt("the padding value has shape {}", to_string(value.shape));
  return value.data[0];
}

}  // namespace

void convert_pad(NodeContext& node) {
  const std::string mode = node.attribute("mode", "constant");
  if (mode != "constant") node.unsupported("mode '{}'; only constant padding is supported", printable(mode));
  ValueId x = node.value(0);
  Slice crop = whole(node.shape(0));
  Pad pad;
  pad.value = padding_value(node);
  if (!(std::abs(pad.value) <= std::numeric_limits<float>::max())) node.corrupt("the padding value is not finite");
  const auto padding = read_padding(node);
  for (std::size_t i = 0; i < padding.size(); ++i) {
    const auto [before, after] = padding[i];
    pad.before.push_back(std::max<std::int64_t>(before, 0));
    pad.after.push_back(std::max<std::int64_t>(after, 0));
    crop.starts[i] = std::max<std::int64_t>(-before, 0);
    crop.extents[i] -= crop.starts[i] + std::max<std::int64_t>(-after, 0);
  }
  if (crop.extents != node.shape(0)) x = node.emit(std::move(crop), {x});
  const auto none = [](const std::vector<std::int64_t>& pads) {
    return std::ranges::count(pads, 0) == std::ssize(pads);
  };
  if (!none(pad.before) || !none(pad.after)) x = node.emit(std::move(pad), {x});
  node.set(x);
}

}  // namespace hearth::nn
