#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "nn/onnx_model.h"

/// What the conversion of one ONNX operator sees of the model. Internal to the ONNX import.
namespace hearth::nn {

/// What an ONNX name stands for: a value of the graph, or a constant known at import.
using Operand = std::variant<ValueId, ConstantPtr>;

/// The state of one import: the graph so far, the meaning of names, and how much memory constants may still take.
struct ImportState {
  Graph graph;
  std::map<std::string, Operand, std::less<>> operands;
  std::int64_t opset = 0;
  std::int64_t element_budget = 0;  ///< elements that weights and folded constants may still add up to
};

/// An Error whose message already names the ONNX node.
class NodeError : public Error {
 public:
  using Error::Error;
};

/// One node being converted. Accessors check presence, kind and type and fail with the node's name. Shapes are those of
/// ONNX with the batch 1.
class NodeContext {
 public:
  NodeContext(ImportState& state, const OnnxNode& node) : state_(state), node_(node) {}

  std::int64_t opset() const { return state_.opset; }
  const std::string& op_type() const { return node_.op_type; }
  std::size_t input_count() const { return node_.inputs.size(); }
  std::size_t output_count() const { return node_.outputs.size(); }
  /// True if the node names output i.
  bool defines(std::size_t i) const { return i < node_.outputs.size() && !node_.outputs[i].empty(); }

  // ---- Inputs ----
  bool has(std::size_t i) const { return i < node_.inputs.size() && !node_.inputs[i].empty(); }
  bool is_constant(std::size_t i) const { return std::holds_alternative<ConstantPtr>(operand(i)); }
  /// True if every input present is constant (so also if there is none).
  bool all_constant() const;
  const Shape& shape(std::size_t i) const;
  std::size_t rank(std::size_t i) const { return shape(i).size(); }
  /// Fails as unsupported if input i is a constant, or a computed value, where the operator needs the other.
  ValueId value(std::size_t i) const;
  const ConstantPtr& constant(std::size_t i) const;
  Tensor tensor(std::size_t i) const { return constant(i)->tensor(); }
  const std::vector<std::int64_t>& integers(std::size_t i) const { return constant(i)->integers(); }

  // ---- Attributes ----
  bool has_attribute(std::string_view name) const { return node_.attributes.contains(name); }
  std::int64_t attribute(std::string_view name, std::int64_t missing) const;
  float attribute(std::string_view name, float missing) const;
  std::string attribute(std::string_view name, const char* missing) const;
  std::vector<std::int64_t> attribute(std::string_view name, std::vector<std::int64_t> missing) const;
  template <typename T>
  const T& attribute(std::string_view name) const {
    const auto found = node_.attributes.find(name);
    if (found == node_.attributes.end()) corrupt("attribute '{}' is missing", name);
    const T* value = std::get_if<T>(&found->second);
    if (value == nullptr) corrupt("attribute '{}' has the wrong type", name);
    return *value;
  }
  /// Integers that moved from an attribute to input i in opset `since`; nothing if given in neither way.
  std::optional<std::vector<std::int64_t>> integers_at(std::size_t i, std::string_view name, std::int64_t since) const;
  /// `axis` counted from the front, checked against `rank`.
  std::size_t axis(std::int64_t axis, std::size_t rank) const;
  /// Axes counted from the front, ascending and distinct.
  std::vector<std::int64_t> axes(const std::vector<std::int64_t>& axes, std::size_t rank) const;

  // ---- Results ----
  /// Appends an operation to the graph; its constants are checked to be finite and counted.
  ValueId emit(Op op, std::vector<ValueId> inputs);
  /// The value under another shape: itself if it has that shape already.
  ValueId reshape(ValueId value, const Shape& target);
  const Shape& shape_of(ValueId value) const { return state_.graph.nodes[value].shape; }
  /// Defines output 0 (or `output`).
  void set(Operand operand, std::size_t output = 0);
  void set(Constant constant) { set(std::make_shared<Constant>(std::move(constant))); }
  void set_scalar(std::int64_t value) { set(Constant{{}, std::vector<std::int64_t>{value}}); }
  /// Counts elements about to be created against the memory allowance.
  void charge(std::int64_t elements);
  void charge(const Shape& shape) { charge(element_count(shape)); }

  // ---- Errors ----
  template <typename... Args>
  [[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) const {
    fail_at(ErrorKind::kUnsupported, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  [[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    fail_at(ErrorKind::kCorrupt, fmt::format(format, std::forward<Args>(args)...));
  }
  [[noreturn]] void fail_at(ErrorKind kind, const std::string& message) const;

 private:
  const Operand& operand(std::size_t i) const;

  ImportState& state_;
  const OnnxNode& node_;
};

// ---- Conversions, one an operator or family; grouped by file. ----

// onnx_linear.cpp
void convert_conv(NodeContext& node);
void convert_gemm(NodeContext& node);
void convert_matmul(NodeContext& node);
void convert_batch_normalization(NodeContext& node);

// onnx_pool.cpp
void convert_average_pool(NodeContext& node);
void convert_max_pool(NodeContext& node);
void convert_global_average_pool(NodeContext& node);
void convert_reduce(NodeContext& node);  ///< ReduceMean, ReduceSum

/// Kernel windows as Conv and AveragePool give them, for two spatial axes (height 1 is added where there is one).
struct Windows {
  HeightWidth kernel, strides, dilations;
  Pads pads;
};
Windows read_windows(const NodeContext& node, const std::vector<std::int64_t>& kernel, const Shape& input);
/// {1, C, L} as {1, C, 1, L}; an image stays.
ValueId as_image(NodeContext& node, ValueId value);
/// Defines output 0 as `image`, without the height if input 0 had none.
void set_like_input(NodeContext& node, ValueId image);

// onnx_activation.cpp
void convert_activation(NodeContext& node);  ///< Relu, Sigmoid, ... whose parameters are attributes, if they have any
void convert_clip(NodeContext& node);
void convert_prelu(NodeContext& node);
void convert_extremum(NodeContext& node);  ///< Max, Min

// onnx_elementwise.cpp
void convert_arithmetic(NodeContext& node);  ///< Add, Sub, Mul, Div, Pow and, on constants only, Mod, Equal, ...
void convert_sum(NodeContext& node);
void convert_unary(NodeContext& node);  ///< Neg, Identity and, on constants only, Floor, Ceil, Sqrt, ...
void convert_dropout(NodeContext& node);
void convert_cast(NodeContext& node);
void convert_where(NodeContext& node);
/// The operand that input i names.
Operand operand_of(const NodeContext& node, std::size_t i);
/// Reshapes `x` to what broadcasting with `other` gives, which must not repeat its elements.
ValueId align(NodeContext& node, ValueId x, const Shape& other);
ValueId negate(NodeContext& node, ValueId x);
/// x + sign * y for operands of which at most one is constant, broadcasting as ONNX does.
ValueId add_operands(NodeContext& node, Operand x, Operand y, float sign);

// onnx_shape.cpp
void convert_constant(NodeContext& node);
void convert_constant_of_shape(NodeContext& node);
void convert_range(NodeContext& node);
void convert_shape(NodeContext& node);
void convert_size(NodeContext& node);
void convert_reshape(NodeContext& node);
void convert_flatten(NodeContext& node);
void convert_squeeze(NodeContext& node);
void convert_unsqueeze(NodeContext& node);
void convert_expand(NodeContext& node);
void convert_transpose(NodeContext& node);

// onnx_index.cpp
void convert_gather(NodeContext& node);
void convert_concat(NodeContext& node);
void convert_slice(NodeContext& node);
void convert_split(NodeContext& node);
void convert_pad(NodeContext& node);

}  // namespace hearth::nn
