#include <algorithm>
#include <numeric>

#include "nn/onnx_context.h"

namespace hearth::nn {

namespace {

/// Padding of one axis, before and after, under auto_pad SAME_UPPER or SAME_LOWER: enough for ceil(extent / stride)
/// windows, an odd element after or before.
std::pair<std::int64_t, std::int64_t> same_padding(std::int64_t extent, std::int64_t kernel, std::int64_t stride,
                                                   std::int64_t dilation, bool upper) {
  const std::int64_t windows = (extent + stride - 1) / stride;
  const std::int64_t total = std::max<std::int64_t>((windows - 1) * stride + dilation * (kernel - 1) + 1 - extent, 0);
  const std::int64_t small = total / 2;
  return upper ? std::pair{small, total - small} : std::pair{total - small, small};
}

/// Values of one attribute, one a spatial axis, all within sane bounds.
std::vector<std::int64_t> bounded(const NodeContext& node, std::string_view name, std::vector<std::int64_t> missing,
                                  std::int64_t least) {
  const std::size_t count = missing.size();
  std::vector<std::int64_t> out = node.attribute(name, std::move(missing));
  if (out.size() != count) node.corrupt("attribute '{}' has {} entries, expected {}", name, out.size(), count);
  for (const std::int64_t value : out) {
    if (value < least && name == "pads") node.unsupported("negative padding [{}]", fmt::join(out, ", "));
    if (value < least || value > 1 << 20) node.corrupt("attribute '{}' holds {}", name, value);
  }
  return out;
}

}  // namespace

Windows read_windows(const NodeContext& node, const std::vector<std::int64_t>& kernel, const Shape& input) {
  const std::size_t axes = input.size() < 2 ? 0 : input.size() - 2;
  if (axes != 1 && axes != 2) {
    node.unsupported("an input of shape {}; supported are signals [1, C, L] and images [1, C, H, W]", to_string(input));
  }
  if (kernel.size() != axes)
    node.corrupt("a kernel of {} dimensions on an input of shape {}", kernel.size(), to_string(input));
  std::vector<std::int64_t> strides = bounded(node, "strides", std::vector<std::int64_t>(axes, 1), 1);
  std::vector<std::int64_t> dilations = bounded(node, "dilations", std::vector<std::int64_t>(axes, 1), 1);
  std::vector<std::int64_t> pads = bounded(node, "pads", std::vector<std::int64_t>(2 * axes, 0), 0);
  const std::string auto_pad = node.attribute("auto_pad", "NOTSET");
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    for (std::size_t i = 0; i < axes; ++i) {
      if (kernel[i] < 1 || kernel[i] > 1 << 20) node.corrupt("a kernel of extent {}", kernel[i]);
      std::tie(pads[i], pads[axes + i]) =
          same_padding(input[2 + i], kernel[i], strides[i], dilations[i], auto_pad == "SAME_UPPER");
    }
  } else if (auto_pad == "VALID") {
    std::ranges::fill(pads, 0);
  } else if (auto_pad != "NOTSET") {
    node.corrupt("attribute 'auto_pad' is '{}'", printable(auto_pad));
  }
  if (axes == 1) return {{1, kernel[0]}, {1, strides[0]}, {1, dilations[0]}, {0, pads[0], 0, pads[1]}};
  return {{kernel[0], kernel[1]},
          {strides[0], strides[1]},
          {dilations[0], dilations[1]},
          {pads[0], pads[1], pads[2], pads[3]}};
}

ValueId as_image(NodeContext& node, ValueId value) {
  const Shape& shape = node.shape_of(value);
  return shape.size() == 3 ? node.reshape(value, {shape[0], shape[1], 1, shape[2]}) : value;
}

void set_like_input(NodeContext& node, ValueId image) {
  const Shape y = node.shape_of(image);
  node.set(node.rank(0) == 3 ? node.reshape(image, {y[0], y[1], y[3]}) : image);
}

void convert_average_pool(NodeContext& node) {
  const ValueId x = node.value(0);
  const auto& kernel = node.attribute<std::vector<std::int64_t>>("kernel_shape");
  const Windows windows = read_windows(node, kernel, node.shape(0));
  AveragePool op{windows.kernel,
                 windows.strides,
                 windows.pads,
                 windows.dilations,
                 node.attribute("count_include_pad", std::int64_t{0}) != 0,
                 node.attribute("ceil_mode", std::int64_t{0}) != 0};
  const ValueId image = as_image(node, x);
  set_like_input(node, node.emit(op, {image}));
}

void convert_max_pool(NodeContext& node) {
  const ValueId x = node.value(0);
  if (node.defines(1)) node.unsupported("output 1, the positions of the maxima; only the maxima are computed");
  const auto& kernel = node.attribute<std::vector<std::int64_t>>("kernel_shape");
  const Windows windows = read_windows(node, kernel, node.shape(0));
  const bool ceil_mode = node.attribute("ceil_mode", std::int64_t{0}) != 0;
  const MaxPool op{windows.kernel, windows.strides, windows.pads, windows.dilations, ceil_mode};
  const ValueId image = as_image(node, x);
  set_like_input(node, node.emit(op, {image}));
}

void convert_global_average_pool(NodeContext& node) { node.set(node.emit(GlobalAveragePool{}, {node.value(0)})); }

void convert_reduce(NodeContext& node) {
  const ValueId x = node.value(0);
  const Shape shape = node.shape(0);
  const bool sum = node.op_type() == "ReduceSum";
  std::vector<std::int64_t> axes =
      node.axes(node.integers_at(1, "axes", sum ? 13 : 18).value_or(std::vector<std::int64_t>{}), shape.size());
  if (axes.empty() && node.attribute("noop_with_empty_axes", std::int64_t{0}) != 0) return node.set(x);
  if (axes.empty()) {
    axes.resize(shape.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (axes.empty()) return node.set(x);
  std::int64_t count = 1;
  for (const std::int64_t axis : axes) count *= shape[static_cast<std::size_t>(axis)];
  ValueId y = node.emit(ReduceMean{axes, node.attribute("keepdims", std::int64_t{1}) != 0}, {x});
  if (sum) y = node.emit(MulConstant{Tensor(Shape{}, static_cast<float>(count))}, {y});
  node.set(y);
}

}  // namespace hearth::nn
