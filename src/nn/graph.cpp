#include "nn/graph.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::nn {

namespace {

/// Strides, dilations and pads above this are refused, so that no product of two of them with an extent overflows.
constexpr std::int64_t kMaxAttribute = std::int64_t{1} << 20;

template <typename... Args>
void expect(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  require(condition, ErrorKind::kInvalidArgument, format, std::forward<Args>(args)...);
}

void expect_image(const Shape& x, std::string_view op) {
  expect(x.size() == 4 && x[0] == 1, "{} expects an input of shape [1, C, H, W], got {}", op, to_string(x));
}

void expect_vector(const Tensor& tensor, std::int64_t length, std::string_view what) {
  expect(tensor.shape == Shape{length}, "{} must have shape [{}], has {}", what, length, to_string(tensor.shape));
}

/// Windows along one axis: the common part of convolution and pooling.
struct Axis {
  std::int64_t extent, kernel, stride, before, after, dilation;
};

std::int64_t window_count(const Axis& a, bool ceil_mode) {
  const auto small = [](std::int64_t value, std::int64_t least) { return value >= least && value <= kMaxAttribute; };
  expect(small(a.kernel, 1) && small(a.stride, 1) && small(a.dilation, 1) && small(a.before, 0) && small(a.after, 0),
         "kernel {}, stride {}, dilation {} must lie in 1..{} and pads {}, {} in 0..{}", a.kernel, a.stride, a.dilation,
         kMaxAttribute, a.before, a.after, kMaxAttribute);
  const std::int64_t room = a.extent + a.before + a.after - a.dilation * (a.kernel - 1) - 1;
  expect(room >= 0, "a kernel of {} (dilation {}) is larger than the padded input of {} + {} + {}", a.kernel,
         a.dilation, a.extent, a.before, a.after);
  if (!ceil_mode) return room / a.stride + 1;
  const std::int64_t count = (room + a.stride - 1) / a.stride + 1;
  return (count - 1) * a.stride >= a.extent + a.before ? count - 1 : count;
}

/// Refuses windows that see nothing but padding.
void expect_elements(const Axis& a, std::int64_t windows) {
  for (std::int64_t w = 0; w < windows; ++w) {
    const std::int64_t start = w * a.stride - a.before;
    const std::int64_t skipped = start >= 0 ? 0 : (-start + a.dilation - 1) / a.dilation;
    expect(skipped < a.kernel && start + skipped * a.dilation < a.extent,
           "pads {}, {} are too large for a kernel of {} (dilation {}): a window holds nothing but padding", a.before,
           a.after, a.kernel, a.dilation);
  }
}

Shape windowed_shape(const Shape& x, std::int64_t channels, const HeightWidth& kernel, const HeightWidth& strides,
                     const Pads& pads, const HeightWidth& dilations, bool ceil_mode) {
  return {1, channels, window_count({x[2], kernel[0], strides[0], pads.top, pads.bottom, dilations[0]}, ceil_mode),
          window_count({x[3], kernel[1], strides[1], pads.left, pads.right, dilations[1]}, ceil_mode)};
}

Shape same_shape(std::span<const Shape> in) {
  expect(in[0] == in[1], "inputs must have equal shapes, got {} and {}", to_string(in[0]), to_string(in[1]));
  return in[0];
}

Shape with_constant(const Shape& x, const Tensor& constant) {
  expect(broadcast_shape(x, constant.shape) == x, "a constant of shape {} does not broadcast to the input's shape {}",
         to_string(constant.shape), to_string(x));
  return x;
}

std::int64_t channels_of(const Shape& x) { return x.size() >= 2 ? x[1] : -1; }

struct Inference {
  std::span<const Shape> in;

  Shape operator()(const Input& op) const {
    expect(op.shape.empty() || op.shape[0] == 1 || op.shape.size() == 1, "the batch dimension of input {} must be 1",
           to_string(op.shape));
    return op.shape;
  }

  Shape operator()(const Conv2d& op) const {
    const Shape& x = in[0];
    const Shape& w = op.weights.shape;
    expect_image(x, "Conv2d");
    expect(w.size() == 4, "convolution weights must have 4 dimensions, have shape {}", to_string(w));
    expect(op.groups >= 1 && w[0] >= 1 && w[0] % op.groups == 0 && x[1] % op.groups == 0 && x[1] / op.groups == w[1],
           "weights {} with {} groups do not fit an input of shape {}", to_string(w), op.groups, to_string(x));
    expect_vector(op.bias, w[0], "convolution bias");
    return windowed_shape(x, w[0], {w[2], w[3]}, op.strides, op.pads, op.dilations, false);
  }

  Shape operator()(const Dense& op) const {
    const Shape& x = in[0];
    const Shape& w = op.weights.shape;
    expect(w.size() == 2 && !x.empty() && x.back() == w[1], "dense weights {} do not fit an input of shape {}",
           to_string(w), to_string(x));
    expect_vector(op.bias, w[0], "dense bias");
    Shape y = x;
    y.back() = w[0];
    return y;
  }

  Shape operator()(const Add&) const { return same_shape(in); }
  Shape operator()(const Sub&) const { return same_shape(in); }
  Shape operator()(const Multiply&) const { return same_shape(in); }
  Shape operator()(const Max&) const { return same_shape(in); }
  Shape operator()(const AddConstant& op) const { return with_constant(in[0], op.constant); }
  Shape operator()(const MulConstant& op) const { return with_constant(in[0], op.constant); }

  Shape operator()(const Polynomial& op) const {
    const Shape& c = op.coefficients.shape;
    expect(c.size() == 2 && c[0] >= 2 && (c[1] == 1 || c[1] == channels_of(in[0])),
           "polynomial coefficients must have shape [degree + 1, 1 or channels], have {} for an input of shape {}",
           to_string(c), to_string(in[0]));
    return in[0];
  }

  Shape operator()(const BatchNorm& op) const {
    expect(in[0].size() >= 2, "BatchNorm expects channels on axis 1, got shape {}", to_string(in[0]));
    expect_vector(op.scale, in[0][1], "batch normalisation scale");
    expect_vector(op.shift, in[0][1], "batch normalisation shift");
    return in[0];
  }

  Shape operator()(const AveragePool& op) const {
    expect_image(in[0], "AveragePool");
    return windowed_shape(in[0], in[0][1], op.kernel, op.strides, op.pads, op.dilations, op.ceil_mode);
  }

  Shape operator()(const MaxPool& op) const {
    const Shape& x = in[0];
    expect_image(x, "MaxPool");
    Shape y = windowed_shape(x, x[1], op.kernel, op.strides, op.pads, op.dilations, op.ceil_mode);
    element_count(y);
    expect_elements({x[2], op.kernel[0], op.strides[0], op.pads.top, op.pads.bottom, op.dilations[0]}, y[2]);
    expect_elements({x[3], op.kernel[1], op.strides[1], op.pads.left, op.pads.right, op.dilations[1]}, y[3]);
    return y;
  }

  Shape operator()(const GlobalAveragePool&) const {
    expect(in[0].size() >= 3, "GlobalAveragePool expects at least 3 dimensions, got {}", to_string(in[0]));
    Shape y(in[0].size(), 1);
    y[0] = in[0][0];
    y[1] = in[0][1];
    return y;
  }

  Shape operator()(const ReduceMean& op) const {
    const Shape& x = in[0];
    const auto rank = static_cast<std::int64_t>(x.size());
    expect(!op.axes.empty() && op.axes.front() >= 0 && op.axes.back() < rank &&
               std::ranges::adjacent_find(op.axes, std::greater_equal{}) == op.axes.end(),
           "axes [{}] of ReduceMean must be ascending and below {}", fmt::join(op.axes, ", "), rank);
    Shape y;
    for (std::int64_t axis = 0; axis < rank; ++axis) {
      if (!std::ranges::binary_search(op.axes, axis)) {
        y.push_back(x[static_cast<std::size_t>(axis)]);
      } else if (op.keep_dims) {
        y.push_back(1);
      }
    }
    return y;
  }

  Shape operator()(const Reshape& op) const {
    expect(element_count(op.target) == element_count(in[0]), "cannot reshape {} to {}: different numbers of elements",
           to_string(in[0]), to_string(op.target));
    return op.target;
  }

  Shape operator()(const Pad& op) const {
    const Shape& x = in[0];
    expect(op.before.size() == x.size() && op.after.size() == x.size(), "padding for {} axes on an input of shape {}",
           op.before.size(), to_string(x));
    Shape y = x;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto fits = [](std::int64_t pad) { return pad >= 0 && pad <= kMaxElements; };
      expect(fits(op.before[i]) && fits(op.after[i]), "padding of {} and {} is outside 0..{}", op.before[i],
             op.after[i], kMaxElements);
      y[i] += op.before[i] + op.after[i];
    }
    return y;
  }

  Shape operator()(const Concat& op) const {
    Shape y = in[0];
    expect(op.axis >= 0 && op.axis < static_cast<std::int64_t>(y.size()), "no axis {} to concatenate shape {} along",
           op.axis, to_string(y));
    const auto axis = static_cast<std::size_t>(op.axis);
    for (const Shape& x : in.subspan(1)) {
      Shape rest = x;
      if (rest.size() == y.size()) rest[axis] = y[axis];
      expect(rest == y, "shapes {} and {} cannot be joined along axis {}", to_string(y), to_string(x), op.axis);
      y[axis] += x[axis];
      element_count(y);
    }
    return y;
  }

  Shape operator()(const Slice& op) const {
    const Shape& x = in[0];
    expect(op.starts.size() == x.size() && op.steps.size() == x.size() && op.extents.size() == x.size(),
           "a slice of {} axes of an input of shape {}", op.starts.size(), to_string(x));
    element_count(op.extents);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::int64_t step = op.steps[i];
      expect(step != 0 && step >= -kMaxElements && step <= kMaxElements, "slice step {} is not allowed", step);
      const auto inside = [&](std::int64_t index) { return index >= 0 && index < x[i]; };
      expect(inside(op.starts[i]) && inside(op.starts[i] + step * (op.extents[i] - 1)),
             "a slice from {} of {} by {} leaves the extent {}", op.starts[i], op.extents[i], step, x[i]);
    }
    return op.extents;
  }

  Shape operator()(const Transpose& op) const {
    const Shape& x = in[0];
    std::vector<bool> seen(x.size(), false);
    expect(op.permutation.size() == x.size(), "a permutation of {} axes of an input of shape {}", op.permutation.size(),
           to_string(x));
    Shape y;
    for (const std::int64_t axis : op.permutation) {
      const auto i = static_cast<std::size_t>(axis);
      expect(axis >= 0 && i < x.size() && !seen[i], "[{}] is not a permutation of the axes",
             fmt::join(op.permutation, ", "));
      seen[i] = true;
      y.push_back(x[i]);
    }
    return y;
  }

  Shape operator()(const Identity&) const { return in[0]; }

  Shape operator()(const Activation& op) const {
    check(op);
    return in[0];
  }
};

/// Number of inputs an operator takes; Concat takes any number from 1 on.
void expect_arity(const Op& op, std::size_t inputs) {
  if (std::holds_alternative<Concat>(op)) {
    expect(inputs >= 1, "Concat needs an input");
    return;
  }
  const bool binary = std::holds_alternative<Add>(op) || std::holds_alternative<Sub>(op) ||
                      std::holds_alternative<Multiply>(op) || std::holds_alternative<Max>(op);
  const std::size_t arity = std::holds_alternative<Input>(op) ? 0 : binary ? 2 : 1;
  expect(inputs == arity, "{} takes {} inputs, got {}", op_name(op), arity, inputs);
}

Shape infer_node_shape(const Graph& graph, std::size_t index, const Node& node) {
  expect(std::holds_alternative<Input>(node.op) == (index == 0),
         "the first node of a graph, and only it, is the input");
  std::vector<Shape> shapes;
  for (const ValueId id : node.inputs) {
    expect(id < index, "reads value {}, which does not come before it", id);
    shapes.push_back(graph.nodes[id].shape);
  }
  return infer_shape(node.op, shapes);
}

/// Runs `body` and puts the node's name in front of what it complains about.
template <typename Body>
auto naming(const Node& node, const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("node '{}' ({}): {}", node.name, op_name(node.op), error.what()));
  }
}

}  // namespace

std::string_view op_name(const Op& op) {
  static constexpr std::array<std::string_view, std::variant_size_v<Op>> kNames = {
      "Input",       "Conv2d",      "Dense",      "Add",       "Sub",         "Multiply",
      "AddConstant", "MulConstant", "Polynomial", "BatchNorm", "AveragePool", "GlobalAveragePool",
      "ReduceMean",  "Reshape",     "Pad",        "Concat",    "Slice",       "Transpose",
      "Identity",    "Activation",  "Max",        "MaxPool"};
  if (const auto* activation = std::get_if<Activation>(&op)) return name(activation->kind);
  return kNames[op.index()];
}

Shape infer_shape(const Op& op, std::span<const Shape> inputs) {
  expect_arity(op, inputs.size());
  Shape shape = std::visit(Inference{inputs}, op);
  expect(element_count(shape) > 0, "the result of shape {} is empty", to_string(shape));
  return shape;
}

ValueId Graph::add(std::string node_name, Op op, std::vector<ValueId> inputs) {
  Node node{std::move(node_name), std::move(op), std::move(inputs), {}};
  node.shape = naming(node, [&] { return infer_node_shape(*this, nodes.size(), node); });
  nodes.push_back(std::move(node));
  return output = nodes.size() - 1;
}

std::vector<std::vector<ValueId>> Graph::users() const {
  std::vector<std::vector<ValueId>> out(nodes.size());
  for (ValueId id = 0; id < nodes.size(); ++id) {
    for (const ValueId input : nodes[id].inputs) out[input].push_back(id);
  }
  return out;
}

void check(const Graph& graph) {
  expect(graph.output < graph.nodes.size(), "a graph of {} nodes cannot have value {} as its output",
         graph.nodes.size(), graph.output);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    naming(node, [&] {
      const Shape shape = infer_node_shape(graph, i, node);
      expect(shape == node.shape, "its shape is recorded as {} but follows as {}", to_string(node.shape),
             to_string(shape));
    });
  }
}

std::array<std::int64_t, 3> as_chw(const Shape& shape) {
  Shape rest = shape;
  const bool batched = rest.size() >= 2 && rest[0] == 1;
  if (batched) rest.erase(rest.begin());
  require(rest.size() <= 1 || (batched && rest.size() <= 3), ErrorKind::kUnsupported,
          "a value of shape {} is not an image [1, C, H, W], a signal [1, C, L] or a vector [1, F]", to_string(shape));
  if (rest.size() == 2) rest.insert(rest.begin() + 1, 1);
  rest.resize(3, 1);
  return {rest[0], rest[1], rest[2]};
}

}  // namespace hearth::nn
