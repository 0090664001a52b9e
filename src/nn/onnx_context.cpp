#include "nn/onnx_context.h"

#include <algorithm>
#include <cmath>

namespace hearth::nn {

namespace {

struct Weights {
  std::vector<const Tensor*> operator()(const Conv2d& o) const { return {&o.weights, &o.bias}; }
  std::vector<const Tensor*> operator()(const Dense& o) const { return {&o.weights, &o.bias}; }
  std::vector<const Tensor*> operator()(const AddConstant& o) const { return {&o.constant}; }
  std::vector<const Tensor*> operator()(const MulConstant& o) const { return {&o.constant}; }
  std::vector<const Tensor*> operator()(const Polynomial& o) const { return {&o.coefficients}; }
  std::vector<const Tensor*> operator()(const BatchNorm& o) const { return {&o.scale, &o.shift}; }
  template <typename Other>
  std::vector<const Tensor*> operator()(const Other&) const {
    return {};
  }
};

/// Every weight tensor of an operation.
std::vector<const Tensor*> constants_of(const Op& op) { return std::visit(Weights{}, op); }

}  // namespace

void NodeContext::fail_at(ErrorKind kind, const std::string& message) const {
  throw NodeError(kind, fmt::format("node '{}' ({}, opset {}): {}", node_.name, node_.op_type, opset(), message));
}

const Operand& NodeContext::operand(std::size_t i) const {
  if (!has(i)) corrupt("input {} is missing", i);
  const auto found = state_.operands.find(node_.inputs[i]);
  if (found == state_.operands.end()) {
    corrupt("input {} reads '{}', which no initializer, graph input or earlier node provides", i,
            printable(node_.inputs[i]));
  }
  return found->second;
}

bool NodeContext::all_constant() const {
  for (std::size_t i = 0; i < input_count(); ++i) {
    if (has(i) && !is_constant(i)) return false;
  }
  return true;
}

const Shape& NodeContext::shape(std::size_t i) const {
  const Operand& found = operand(i);
  if (const ValueId* value = std::get_if<ValueId>(&found)) return shape_of(*value);
  return std::get<ConstantPtr>(found)->shape;
}

ValueId NodeContext::value(std::size_t i) const {
  const ValueId* value = std::get_if<ValueId>(&operand(i));
  if (value == nullptr) unsupported("input {} is a constant where a computed value is expected", i);
  return *value;
}

const ConstantPtr& NodeContext::constant(std::size_t i) const {
  const ConstantPtr* constant = std::get_if<ConstantPtr>(&operand(i));
  if (constant == nullptr) unsupported("input {} must be a constant, but depends on the network's input", i);
  return *constant;
}

std::int64_t NodeContext::attribute(std::string_view name, std::int64_t missing) const {
  return has_attribute(name) ? attribute<std::int64_t>(name) : missing;
}

float NodeContext::attribute(std::string_view name, float missing) const {
  return has_attribute(name) ? attribute<float>(name) : missing;
}

std::string NodeContext::attribute(std::string_view name, const char* missing) const {
  return has_attribute(name) ? attribute<std::string>(name) : missing;
}

std::vector<std::int64_t> NodeContext::attribute(std::string_view name, std::vector<std::int64_t> missing) const {
  return has_attribute(name) ? attribute<std::vector<std::int64_t>>(name) : missing;
}

std::optional<std::vector<std::int64_t>> NodeContext::integers_at(std::size_t i, std::string_view name,
                                                                  std::int64_t since) const {
  if (opset() < since) {
    if (!has_attribute(name)) return std::nullopt;
    return attribute<std::vector<std::int64_t>>(name);
  }
  if (!has(i)) return std::nullopt;
  return integers(i);
}

std::size_t NodeContext::axis(std::int64_t axis, std::size_t rank) const {
  const auto count = static_cast<std::int64_t>(rank);
  if (axis < -count || axis >= count) corrupt("axis {} is outside the {} dimensions", axis, rank);
  return static_cast<std::size_t>(axis < 0 ? axis + count : axis);
}

std::vector<std::int64_t> NodeContext::axes(const std::vector<std::int64_t>& axes, std::size_t rank) const {
  std::vector<std::int64_t> out;
  if (axes.size() > rank) corrupt("{} axes given for {} dimensions", axes.size(), rank);
  for (const std::int64_t a : axes) out.push_back(static_cast<std::int64_t>(axis(a, rank)));
  std::ranges::sort(out);
  if (std::ranges::adjacent_find(out) != out.end()) corrupt("axis given twice in [{}]", fmt::join(axes, ", "));
  return out;
}

ValueId NodeContext::emit(Op op, std::vector<ValueId> inputs) {
  for (const Tensor* tensor : constants_of(op)) {
    charge(tensor->size());
    if (!std::ranges::all_of(tensor->data, [](float v) { return std::isfinite(v); })) {
      corrupt("its weights or constants are, or become, infinite or not a number");
    }
  }
  std::vector<Shape> shapes;
  for (const ValueId input : inputs) shapes.push_back(shape_of(input));
  Shape shape = infer_shape(op, shapes);
  state_.graph.nodes.push_back({node_.name, std::move(op), std::move(inputs), std::move(shape)});
  return state_.graph.nodes.size() - 1;
}

ValueId NodeContext::reshape(ValueId value, const Shape& target) {
  return shape_of(value) == target ? value : emit(Reshape{target}, {value});
}

void NodeContext::set(Operand operand, std::size_t output) {
  if (output >= node_.outputs.size() || node_.outputs[output].empty()) return;
  const bool added = state_.operands.emplace(node_.outputs[output], std::move(operand)).second;
  if (!added) corrupt("output '{}' is defined a second time", printable(node_.outputs[output]));
}

void NodeContext::charge(std::int64_t elements) {
  state_.element_budget -= elements;
  if (state_.element_budget < 0) {
    fail_at(ErrorKind::kResource, "constants of the model expand to far more memory than its file takes");
  }
}

}  // namespace hearth::nn
