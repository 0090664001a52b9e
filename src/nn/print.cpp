#include <algorithm>

#include "base/error.h"
#include "nn/graph.h"

namespace hearth::nn {

namespace {

/// A short constant in full, a long one by its shape and range.
std::string summary(const Tensor& tensor) {
  if (tensor.data.empty()) return "empty";
  if (tensor.data.size() <= 4) return fmt::format("{{{:.6g}}}", fmt::join(tensor.data, ", "));
  const auto [low, high] = std::ranges::minmax_element(tensor.data);
  return fmt::format("{} in [{:.4g}, {:.4g}]", to_string(tensor.shape), *low, *high);
}

std::string join(const std::vector<std::int64_t>& values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

std::string window(const HeightWidth& strides, const Pads& pads, const HeightWidth& dilations) {
  std::string out = fmt::format("stride {}x{}", strides[0], strides[1]);
  if (pads != Pads{}) out += fmt::format(", pads {},{},{},{}", pads.top, pads.left, pads.bottom, pads.right);
  if (dilations != HeightWidth{1, 1}) out += fmt::format(", dilation {}x{}", dilations[0], dilations[1]);
  return out;
}

struct Attributes {
  std::string operator()(const Conv2d& op) const {
    return fmt::format("weights {}, {}{}", to_string(op.weights.shape), window(op.strides, op.pads, op.dilations),
                       op.groups == 1 ? "" : fmt::format(", groups {}", op.groups));
  }
  std::string operator()(const Dense& op) const { return fmt::format("weights {}", to_string(op.weights.shape)); }
  std::string operator()(const AddConstant& op) const { return summary(op.constant); }
  std::string operator()(const MulConstant& op) const { return summary(op.constant); }
  std::string operator()(const Polynomial& op) const {
    return fmt::format("degree {}, {}", op.degree(), summary(op.coefficients));
  }
  std::string operator()(const BatchNorm& op) const {
    return fmt::format("scale {}, shift {}", summary(op.scale), summary(op.shift));
  }
  std::string operator()(const AveragePool& op) const {
    return fmt::format("kernel {}x{}, {}{}{}", op.kernel[0], op.kernel[1], window(op.strides, op.pads, op.dilations),
                       op.count_include_pad ? ", counting padding" : "", op.ceil_mode ? ", ceil" : "");
  }
  std::string operator()(const MaxPool& op) const {
    return fmt::format("kernel {}x{}, {}{}", op.kernel[0], op.kernel[1], window(op.strides, op.pads, op.dilations),
                       op.ceil_mode ? ", ceil" : "");
  }
  std::string operator()(const Activation& op) const { return parameters(op); }
  std::string operator()(const ReduceMean& op) const {
    return fmt::format("axes {}{}", join(op.axes), op.keep_dims ? "" : ", dropped");
  }
  std::string operator()(const Pad& op) const {
    return fmt::format("before {}, after {}, value {:.6g}", join(op.before), join(op.after), op.value);
  }
  std::string operator()(const Concat& op) const { return fmt::format("axis {}", op.axis); }
  std::string operator()(const Slice& op) const {
    return fmt::format("starts {}, steps {}", join(op.starts), join(op.steps));
  }
  std::string operator()(const Transpose& op) const { return join(op.permutation); }
  template <typename Other>
  std::string operator()(const Other&) const {
    return {};
  }
};

std::string line(const Graph& graph, ValueId id) {
  const Node& node = graph.nodes[id];
  std::string inputs;
  for (const ValueId input : node.inputs) inputs += fmt::format("{}%{}", inputs.empty() ? "" : ", ", input);
  const std::string attributes = std::visit(Attributes{}, node.op);
  return fmt::format("%{} = {}({}) {}{}{}  # {}{}\n", id, op_name(node.op), inputs, to_string(node.shape),
                     attributes.empty() ? "" : "  ", attributes, node.name, id == graph.output ? "  (output)" : "");
}

}  // namespace

std::string to_string(const Graph& graph) {
  std::string out = fmt::format("graph '{}', {} nodes\n", graph.name, graph.nodes.size());
  for (ValueId id = 0; id < graph.nodes.size(); ++id) out += line(graph, id);
  return out;
}

}  // namespace hearth::nn
