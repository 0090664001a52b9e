#include <algorithm>
#include <cmath>

#include "nn/onnx_context.h"

namespace hearth::nn {

namespace {

constexpr int kMaxDegree = 16;

}  // namespace

Operand operand_of(const NodeContext& node, std::size_t i) {
  if (node.is_constant(i)) return node.constant(i);
  return node.value(i);
}

ValueId align(NodeContext& node, ValueId x, const Shape& other) {
  const Shape target = broadcast_shape(node.shape_of(x), other);
  if (element_count(target) != element_count(node.shape_of(x))) {
    node.unsupported(
        "broadcasting a computed tensor of shape {} to {}; computed tensors must already have the shape of the result",
        to_string(node.shape_of(x)), to_string(target));
  }
  return node.reshape(x, target);
}

ValueId negate(NodeContext& node, ValueId x) { return node.emit(MulConstant{Tensor(Shape{}, -1.0F)}, {x}); }

namespace {

template <typename Op>
ValueId combine(NodeContext& node, ValueId x, ValueId y) {
  const Shape shape_x = node.shape_of(x);
  const Shape shape_y = node.shape_of(y);
  x = align(node, x, shape_y);
  return node.emit(Op{}, {x, align(node, y, shape_x)});
}

Tensor mapped(const Constant& constant, const auto& function) {
  Tensor out = constant.tensor();
  std::ranges::transform(out.data, out.data.begin(), function);
  return out;
}

ValueId add_constant(NodeContext& node, ValueId x, const Constant& constant, float sign) {
  x = align(node, x, constant.shape);
  return node.emit(AddConstant{mapped(constant, [&](float v) { return sign * v; })}, {x});
}

ValueId multiply_constant(NodeContext& node, ValueId x, Tensor constant) {
  x = align(node, x, constant.shape);
  return node.emit(MulConstant{std::move(constant)}, {x});
}

void convert_multiply(NodeContext& node) {
  if (node.is_constant(0)) return node.set(multiply_constant(node, node.value(1), node.tensor(0)));
  if (node.is_constant(1)) return node.set(multiply_constant(node, node.value(0), node.tensor(1)));
  node.set(combine<Multiply>(node, node.value(0), node.value(1)));
}

void convert_divide(NodeContext& node) {
  if (!node.is_constant(1)) node.unsupported("division by a computed tensor; only division by a constant is supported");
  Tensor inverse = mapped(*node.constant(1), [](float v) { return 1.0F / v; });
  node.set(multiply_constant(node, node.value(0), std::move(inverse)));
}

void convert_power(NodeContext& node) {
  const Constant exponents = fold_cast(*node.constant(1), false);
  const std::vector<float>& values = exponents.floats();
  const float exponent = values.empty() ? 0.0F : values[0];
  const bool uniform = std::ranges::all_of(values, [&](float v) { return v == exponent; });
  if (!uniform || exponent != std::floor(exponent) || exponent < 1 || exponent > kMaxDegree) {
    node.unsupported("supported exponents are the whole numbers from 1 to {}", kMaxDegree);
  }
  const ValueId x = align(node, node.value(0), exponents.shape);
  Tensor coefficients(Shape{static_cast<std::int64_t>(exponent) + 1, 1});
  coefficients.data.back() = 1.0F;
  node.set(node.emit(Polynomial{std::move(coefficients)}, {x}));
}

Constant fold_two(NodeContext& node, const Constant& a, const Constant& b) {
  node.charge(broadcast_shape(a.shape, b.shape));
  return fold_binary(node.op_type(), a, b);
}

}  // namespace

ValueId add_operands(NodeContext& node, Operand x, Operand y, float sign) {
  const ConstantPtr* constant_y = std::get_if<ConstantPtr>(&y);
  if (constant_y != nullptr) return add_constant(node, std::get<ValueId>(x), **constant_y, sign);
  ValueId value_y = std::get<ValueId>(y);
  const ConstantPtr* constant_x = std::get_if<ConstantPtr>(&x);
  if (constant_x != nullptr) {
    if (sign < 0) value_y = negate(node, value_y);
    return add_constant(node, value_y, **constant_x, 1.0F);
  }
  const ValueId value_x = std::get<ValueId>(x);
  return sign > 0 ? combine<Add>(node, value_x, value_y) : combine<Sub>(node, value_x, value_y);
}

void convert_arithmetic(NodeContext& node) {
  const std::string& op = node.op_type();
  if (node.is_constant(0) && node.is_constant(1)) {
    // An exponent may be an integer while the base is not.
    return node.set(
        fold_two(node, *node.constant(0),
                 op == "Pow" ? fold_cast(*node.constant(1), node.constant(0)->is_integer()) : *node.constant(1)));
  }
  if (op == "Add" || op == "Sub") {
    return node.set(add_operands(node, operand_of(node, 0), operand_of(node, 1), op == "Add" ? 1.0F : -1.0F));
  }
  if (op == "Mul") return convert_multiply(node);
  if (op == "Div") return convert_divide(node);
  if (op == "Pow") return convert_power(node);
  node.unsupported("this operator is supported on constants only");
}

void convert_sum(NodeContext& node) {
  if (node.input_count() == 0) node.corrupt("no inputs");
  Operand sum = operand_of(node, 0);
  for (std::size_t i = 1; i < node.input_count(); ++i) {
    const Operand next = operand_of(node, i);
    if (std::holds_alternative<ConstantPtr>(sum) && std::holds_alternative<ConstantPtr>(next)) {
      node.unsupported("a sum that starts with two constants");
    }
    sum = add_operands(node, sum, next, 1.0F);
  }
  node.set(sum);
}

void convert_unary(NodeContext& node) {
  const std::string& op = node.op_type();
  if (op == "Identity") return node.set(operand_of(node, 0));
  if (node.is_constant(0)) {
    node.charge(node.shape(0));
    return node.set(fold_unary(op, *node.constant(0)));
  }
  if (op == "Neg") return node.set(negate(node, node.value(0)));
  node.unsupported("this operator is supported on constants only");
}

void convert_dropout(NodeContext& node) {
  if (node.has(2)) {
    const std::vector<std::int64_t>& training = node.integers(2);
    if (training.size() != 1 || training[0] != 0) node.unsupported("dropout in training mode; export for inference");
  }
  node.set(operand_of(node, 0));
}

void convert_cast(NodeContext& node) {
  constexpr std::int64_t kFloat = 1;
  constexpr std::int64_t kBool = 9;
  constexpr std::array<std::int64_t, 9> kIntegers = {2, 3, 4, 5, 6, 7, kBool, 12, 13};
  const std::int64_t to = node.attribute<std::int64_t>("to");
  if (!node.is_constant(0)) {
    if (to != kFloat) node.unsupported("a cast of a computed tensor to element type {}; only float32 is computed", to);
    return node.set(node.value(0));
  }
  node.charge(node.shape(0));
  const bool integer = std::ranges::find(kIntegers, to) != kIntegers.end();
  if (!integer && to != kFloat && to != 11) node.unsupported("a cast to element type {}", to);
  if (to != kBool) return node.set(fold_cast(*node.constant(0), integer));
  Constant out{node.shape(0), {}};
  std::vector<std::int64_t> truth;
  std::visit(
      [&](const auto& values) {
        for (const auto value : values) truth.push_back(value != 0);
      },
      node.constant(0)->data);
  out.data = std::move(truth);
  node.set(std::move(out));
}

void convert_where(NodeContext& node) {
  const Shape shape = broadcast_shape(node.shape(0), broadcast_shape(node.shape(1), node.shape(2)));
  node.charge(shape);
  node.set(fold_where(*node.constant(0), *node.constant(1), *node.constant(2)));
}

}  // namespace hearth::nn
