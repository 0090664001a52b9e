#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/onnx_context.h"

namespace hearth::nn {

namespace {

using Kind = ActivationKind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Exporters write the largest float where they mean no bound.
double without_bound(float value) {
  if (std::abs(value) < std::numeric_limits<float>::max()) return value;
  return value < 0 ? -kInfinity : kInfinity;
}

Activation gelu(const NodeContext& node) {
  const std::string approximate = node.attribute("approximate", "none");
  if (approximate == "none") return {Kind::kGelu};
  if (approximate != "tanh") node.corrupt("attribute 'approximate' is '{}'", printable(approximate));
  return {Kind::kGeluTanh};
}

/// The activation that the node's type and attributes say. Defaults are those of ONNX.
Activation activation_of(const NodeContext& node) {
  const std::string& op = node.op_type();
  if (op == "Relu") return {Kind::kRelu};
  if (op == "LeakyRelu") return {Kind::kLeakyRelu, node.attribute("alpha", 0.01F)};
  if (op == "Elu") return {Kind::kElu, node.attribute("alpha", 1.0F)};
  if (op == "Sigmoid") return {Kind::kSigmoid};
  if (op == "HardSigmoid") return {Kind::kHardSigmoid, node.attribute("alpha", 0.2F), node.attribute("beta", 0.5F)};
  if (op == "HardSwish") return {Kind::kHardSwish};
  if (op == "Gelu") return gelu(node);
  if (op == "Tanh") return {Kind::kTanh};
  if (op == "Erf") return {Kind::kErf};
  if (op == "Softplus") return {Kind::kSoftplus};
  if (op == "Mish") return {Kind::kMish};
  if (op == "Abs") return {Kind::kAbs};
  fail(ErrorKind::kInternal, "no activation is known for this operator");
}

/// A bound of Clip: an attribute before opset 11, from then on an input; without one, `missing`.
double clip_bound(const NodeContext& node, std::size_t input, std::string_view attribute, double missing) {
  if (node.opset() < 11)
    return node.has_attribute(attribute) ? without_bound(node.attribute<float>(attribute)) : missing;
  if (!node.has(input)) return missing;
  const Tensor bound = node.tensor(input);
  if (bound.size() != 1) node.corrupt("the bound '{}' has shape {}", attribute, to_string(bound.shape));
  if (std::isnan(bound.data[0])) node.corrupt("the bound '{}' is not a number", attribute);
  return without_bound(bound.data[0]);
}

bool is_uniform(const Tensor& tensor) {
  return tensor.size() > 0 && std::ranges::count(tensor.data, tensor.data[0]) == tensor.size();
}

/// f of a constant.
Constant folded(NodeContext& node, const Activation& f) {
  check(f);
  node.charge(node.shape(0));
  Constant out = *node.constant(0);
  std::vector<float> values = out.floats();
  for (float& value : values) value = static_cast<float>(evaluate(f, value));
  out.data = std::move(values);
  return out;
}

void set_activation(NodeContext& node, const Activation& f) {
  if (node.is_constant(0)) return node.set(folded(node, f));
  node.set(node.emit(f, {node.value(0)}));
}

}  // namespace

void convert_activation(NodeContext& node) {
  if (node.op_type() == "Abs" && node.is_constant(0)) return convert_unary(node);
  set_activation(node, activation_of(node));
}

void convert_clip(NodeContext& node) {
  if (node.all_constant() && node.constant(0)->is_integer()) {
    Constant out = *node.constant(0);
    if (node.has(1)) out = fold_binary("Max", out, *node.constant(1));
    if (node.has(2)) out = fold_binary("Min", out, *node.constant(2));
    return node.set(std::move(out));
  }
  const double high = clip_bound(node, 2, "max", kInfinity);
  // Where the bounds cross, ONNX lets the upper one win.
  const double low = std::min(clip_bound(node, 1, "min", -kInfinity), high);
  if (low == -kInfinity && high == kInfinity) return node.set(operand_of(node, 0));
  set_activation(node, clip(low, high));
}

void convert_prelu(NodeContext& node) {
  const ValueId x = node.value(0);
  Tensor slope = node.tensor(1);
  const Shape& shape = node.shape(0);
  if (broadcast_shape(shape, slope.shape) != shape) {
    node.corrupt("slopes of shape {} do not broadcast to the input's shape {}", to_string(slope.shape),
                 to_string(shape));
  }
  if (is_uniform(slope)) {
    return node.set(node.emit(Activation{Kind::kLeakyRelu, slope.data[0]}, {x}));
  }
  // slope x + (1 - slope) relu(x)
  const ValueId linear = node.emit(MulConstant{slope}, {x});
  for (float& value : slope.data) value = 1 - value;
  const ValueId relu = node.emit(Activation{Kind::kRelu}, {x});
  const ValueId bend = node.emit(MulConstant{std::move(slope)}, {relu});
  node.set(node.emit(Add{}, {linear, bend}));
}

namespace {

/// The computed inputs, and what the constant ones amount to together.
struct Candidates {
  std::vector<ValueId> values;
  std::optional<Constant> constant;
};

Candidates candidates_of(NodeContext& node) {
  Candidates out;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    if (!node.is_constant(i)) {
      out.values.push_back(node.value(i));
    } else if (!out.constant) {
      out.constant = *node.constant(i);
    } else {
      node.charge(broadcast_shape(out.constant->shape, node.shape(i)));
      out.constant = fold_binary(node.op_type(), *out.constant, *node.constant(i));
    }
  }
  return out;
}

ValueId maximum(NodeContext& node, ValueId x, ValueId y) {
  const Shape shape_x = node.shape_of(x);
  const Shape shape_y = node.shape_of(y);
  x = align(node, x, shape_y);
  return node.emit(Max{}, {x, align(node, y, shape_x)});
}

/// max(x, c): a Clip where c is one number, else c + relu(x - c).
ValueId maximum_with(NodeContext& node, ValueId x, const Tensor& constant) {
  x = align(node, x, constant.shape);
  if (is_uniform(constant)) {
    return node.emit(clip(without_bound(constant.data[0]), kInfinity), {x});
  }
  Tensor negative = constant;
  for (float& value : negative.data) value = -value;
  const ValueId difference = node.emit(AddConstant{std::move(negative)}, {x});
  const ValueId excess = node.emit(Activation{Kind::kRelu}, {difference});
  return node.emit(AddConstant{constant}, {excess});
}

}  // namespace

void convert_extremum(NodeContext& node) {
  if (node.input_count() == 0) node.corrupt("no inputs");
  Candidates candidates = candidates_of(node);
  if (candidates.values.empty()) return node.set(std::move(*candidates.constant));
  // min(x, ...) = -max(-x, ...); with a number alone, simpler.
  const bool minimum = node.op_type() == "Min";
  std::vector<ValueId>& values = candidates.values;
  std::optional<Tensor> constant;
  if (candidates.constant) constant = candidates.constant->tensor();
  if (constant && constant->data.empty()) node.corrupt("an empty constant");
  if (minimum && constant && is_uniform(*constant) && values.size() == 1) {
    const ValueId x = align(node, values[0], constant->shape);
    return node.set(node.emit(clip(-kInfinity, without_bound(constant->data[0])), {x}));
  }
  if (minimum) {
    for (ValueId& value : values) value = negate(node, value);
    if (constant) std::ranges::for_each(constant->data, [](float& v) { v = -v; });
  }
  // As a balanced tree, so that depth grows with the logarithm.
  while (values.size() > 1) {
    std::vector<ValueId> halved;
    for (std::size_t i = 0; i + 1 < values.size(); i += 2) halved.push_back(maximum(node, values[i], values[i + 1]));
    if (values.size() % 2 == 1) halved.push_back(values.back());
    values = std::move(halved);
  }
  ValueId result = constant ? maximum_with(node, values[0], *constant) : values[0];
  if (minimum) result = negate(node, result);
  node.set(result);
}

}  // namespace hearth::nn
