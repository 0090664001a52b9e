#include "nn/onnx_import.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <string>

#include "nn/onnx_context.h"

namespace hearth::nn {

namespace {

struct Conversion {
  std::string_view op_type;
  void (*convert)(NodeContext&);
};

constexpr std::array kConversions = {
    Conversion{"Abs", convert_activation},
    Conversion{"Add", convert_arithmetic},
    Conversion{"AveragePool", convert_average_pool},
    Conversion{"BatchNormalization", convert_batch_normalization},
    Conversion{"Cast", convert_cast},
    Conversion{"Clip", convert_clip},
    Conversion{"Concat", convert_concat},
    Conversion{"Constant", convert_constant},
    Conversion{"ConstantOfShape", convert_constant_of_shape},
    Conversion{"Conv", convert_conv},
    Conversion{"Div", convert_arithmetic},
    Conversion{"Dropout", convert_dropout},
    Conversion{"Elu", convert_activation},
    Conversion{"Erf", convert_activation},
    Conversion{"Expand", convert_expand},
    Conversion{"Flatten", convert_flatten},
    Conversion{"Gather", convert_gather},
    Conversion{"Gelu", convert_activation},
    Conversion{"Gemm", convert_gemm},
    Conversion{"GlobalAveragePool", convert_global_average_pool},
    Conversion{"HardSigmoid", convert_activation},
    Conversion{"HardSwish", convert_activation},
    Conversion{"Identity", convert_unary},
    Conversion{"LeakyRelu", convert_activation},
    Conversion{"MatMul", convert_matmul},
    Conversion{"Max", convert_extremum},
    Conversion{"MaxPool", convert_max_pool},
    Conversion{"Min", convert_extremum},
    Conversion{"Mish", convert_activation},
    Conversion{"Mul", convert_arithmetic},
    Conversion{"Neg", convert_unary},
    Conversion{"PRelu", convert_prelu},
    Conversion{"Pad", convert_pad},
    Conversion{"Pow", convert_arithmetic},
    Conversion{"Range", convert_range},
    Conversion{"ReduceMean", convert_reduce},
    Conversion{"ReduceSum", convert_reduce},
    Conversion{"Relu", convert_activation},
    Conversion{"Reshape", convert_reshape},
    Conversion{"Shape", convert_shape},
    Conversion{"Sigmoid", convert_activation},
    Conversion{"Size", convert_size},
    Conversion{"Slice", convert_slice},
    Conversion{"Softplus", convert_activation},
    Conversion{"Split", convert_split},
    Conversion{"Squeeze", convert_squeeze},
    Conversion{"Sub", convert_arithmetic},
    Conversion{"Sum", convert_sum},
    Conversion{"Tanh", convert_activation},
    Conversion{"Transpose", convert_transpose},
    Conversion{"Unsqueeze", convert_unsqueeze},
};

/// Operators that only fold constants; not listed as supported, since a network cannot compute them.
constexpr std::array kConstantConversions = {
    Conversion{"And", convert_arithmetic},     Conversion{"Ceil", convert_unary},
    Conversion{"Equal", convert_arithmetic},   Conversion{"Floor", convert_unary},
    Conversion{"Greater", convert_arithmetic}, Conversion{"Less", convert_arithmetic},
    Conversion{"Mod", convert_arithmetic},     Conversion{"Not", convert_unary},
    Conversion{"Or", convert_arithmetic},      Conversion{"Reciprocal", convert_unary},
    Conversion{"Sqrt", convert_unary},         Conversion{"Where", convert_where},
};

/// Functions of one variable that are known not to be supported.
constexpr std::array<std::string_view, 15> kOtherFunctions = {
    "Ceil", "Celu", "Cos", "Exp",      "Floor", "Log",   "Reciprocal",     "Round",
    "Selu", "Sign", "Sin", "Softsign", "Sqrt",  "Swish", "ThresholdedRelu"};

const Conversion* find(std::span<const Conversion> table, std::string_view op_type) {
  const auto found = std::ranges::find(table, op_type, &Conversion::op_type);
  return found == table.end() ? nullptr : &*found;
}

std::string supported_operators() {
  std::string out;
  for (const Conversion& entry : kConversions) out += fmt::format("{}{}", out.empty() ? "" : ", ", entry.op_type);
  return out;
}

[[noreturn]] void fail_unsupported(const NodeContext& node) {
  const std::string& op = node.op_type();
  if (std::ranges::find(kOtherFunctions, op) != kOtherFunctions.end()) {
    node.unsupported(
        "this function of computed values is not supported; replace it by a supported activation. Supported operators: "
        "{}",
        supported_operators());
  }
  if (op == "Softmax" || op == "LogSoftmax") {
    node.unsupported(
        "not supported; as the last operator it can be left out of the model and applied after decryption. Supported "
        "operators: {}",
        supported_operators());
  }
  node.unsupported("this operator is not supported. Supported operators: {}", supported_operators());
}

const Conversion& conversion_of(const NodeContext& node, const OnnxNode& onnx) {
  if (!onnx.domain.empty() && onnx.domain != "ai.onnx") {
    node.unsupported("operators of domain '{}' are not supported. Supported operators: {}", printable(onnx.domain),
                     supported_operators());
  }
  if (const Conversion* found = find(kConversions, onnx.op_type)) return *found;
  const Conversion* found = find(kConstantConversions, onnx.op_type);
  if (found == nullptr || !node.all_constant()) fail_unsupported(node);
  return *found;
}

/// Converts one node; what goes wrong below is reported with the node's name.
void convert_node(ImportState& state, const OnnxNode& onnx) {
  NodeContext node(state, onnx);
  try {
    conversion_of(node, onnx).convert(node);
  } catch (const NodeError&) {
    throw;
  } catch (const Error& error) {
    // A contract broken by what the file says is the file's fault, not the caller's.
    node.fail_at(error.kind() == ErrorKind::kInvalidArgument ? ErrorKind::kCorrupt : error.kind(), error.what());
  }
}

Shape input_shape(const OnnxInput& input) {
  constexpr std::int32_t kFloat = 1;
  const std::string name = printable(input.name);
  require(input.element_type == kFloat, ErrorKind::kUnsupported,
          "input '{}' has ONNX element type {}; expected a float32 tensor (1)", name, input.element_type);
  require(input.has_shape, ErrorKind::kUnsupported, "input '{}' has no shape; export the model with a static shape",
          name);
  Shape shape = input.dims;
  if (shape.size() >= 2 && shape[0] == -1) shape[0] = 1;
  require(std::ranges::find(shape, -1) == shape.end(), ErrorKind::kUnsupported,
          "input '{}' has shape {}, where -1 is dynamic; only the batch may be: export with a fixed image size", name,
          to_string(shape));
  require(shape.size() < 2 || shape[0] == 1, ErrorKind::kUnsupported,
          "input '{}' has shape {}; the first dimension is the batch and must be 1 or dynamic", name, to_string(shape));
  return shape;
}

void define_inputs(ImportState& state, const OnnxModel& model) {
  for (const auto& [name, constant] : model.initializers) state.operands.emplace(name, constant);
  require(model.inputs.size() == 1, ErrorKind::kUnsupported,
          "the model has {} inputs without a value; exactly one is supported", model.inputs.size());
  const OnnxInput& input = model.inputs[0];
  const ValueId id = state.graph.add(printable(input.name), Input{input_shape(input)});
  state.operands.emplace(input.name, id);
}

void define_output(ImportState& state, const OnnxModel& model) {
  require(model.outputs.size() == 1, ErrorKind::kUnsupported, "the model has {} outputs; exactly one is supported",
          model.outputs.size());
  const auto found = state.operands.find(model.outputs[0]);
  require(found != state.operands.end(), ErrorKind::kCorrupt, "no node computes the output '{}'",
          printable(model.outputs[0]));
  const ValueId* value = std::get_if<ValueId>(&found->second);
  require(value != nullptr, ErrorKind::kUnsupported, "the output '{}' does not depend on the input",
          printable(model.outputs[0]));
  state.graph.output = *value;
}

Graph build_graph(const OnnxModel& model) {
  // Weights may appear once as read, a few times transposed or scaled, and small constants may be expanded.
  constexpr std::int64_t kSpareElements = std::int64_t{1} << 24;
  ImportState state;
  state.graph.name = model.name;
  state.opset = model.opset;
  state.element_budget = kSpareElements + static_cast<std::int64_t>(model.bytes);
  define_inputs(state, model);
  for (const OnnxNode& node : model.nodes) convert_node(state, node);
  define_output(state, model);
  return std::move(state.graph);
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  require(file.good() && !error, ErrorKind::kIo, "cannot read '{}'{}{}", path.string(), error ? ": " : "",
          error ? error.message() : "");
  require(size < (std::uintmax_t{1} << 31), ErrorKind::kResource,
          "'{}' has {} bytes; protobuf files are limited to 2 GiB", path.string(), size);
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  require(static_cast<std::uintmax_t>(file.gcount()) == size, ErrorKind::kIo, "cannot read all of '{}'", path.string());
  return bytes;
}

}  // namespace

Graph import_onnx(std::span<const std::byte> bytes) {
  try {
    return build_graph(decode_onnx(bytes));
  } catch (const NodeError& error) {
    throw Error(error.kind(), error.what());
  } catch (const Error& error) {
    throw Error(error.kind() == ErrorKind::kInvalidArgument ? ErrorKind::kCorrupt : error.kind(), error.what());
  }
}

Graph import_onnx(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  try {
    return import_onnx(bytes);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("'{}': {}", path.string(), error.what()));
  }
}

}  // namespace hearth::nn
