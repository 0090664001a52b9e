// The only file that sees the classes generated from onnx.proto.
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "base/error.h"
#include "nn/onnx_model.h"
#include "nn/onnx_scan.h"

namespace hearth::nn {

namespace {

static_assert(std::endian::native == std::endian::little, "raw_data of ONNX is little-endian");

template <typename... Args>
void expect(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  require(condition, ErrorKind::kCorrupt, format, std::forward<Args>(args)...);
}

/// The elements of a tensor from its raw bytes (as Raw) or else from its typed field, converted to Out.
template <typename Out, typename Raw, typename Field>
std::vector<Out> elements(const onnx::TensorProto& tensor, const Field& field, std::int64_t count) {
  std::vector<Out> out;
  const std::string& raw = tensor.raw_data();
  const auto length = static_cast<std::size_t>(count);
  if (raw.empty()) {
    expect(static_cast<std::size_t>(field.size()) == length, "tensor '{}' needs {} values, the file holds {}",
           printable(tensor.name()), count, field.size());
    out.assign(field.begin(), field.end());
    return out;
  }
  expect(field.empty() && raw.size() == length * sizeof(Raw), "tensor '{}' needs {} bytes, the file holds {}",
         printable(tensor.name()), length * sizeof(Raw), raw.size());
  out.resize(length);
  for (std::size_t i = 0; i < length; ++i) {
    Raw value;
    std::memcpy(&value, raw.data() + i * sizeof(Raw), sizeof(Raw));
    out[i] = static_cast<Out>(value);
  }
  return out;
}

ConstantPtr decode_tensor(const onnx::TensorProto& tensor) {
  const std::string name = printable(tensor.name());
  require(tensor.data_location() != onnx::TensorProto::EXTERNAL && tensor.external_data().empty(),
          ErrorKind::kUnsupported, "tensor '{}' is stored in another file; save the model as one file", name);
  expect(!tensor.has_segment(), "tensor '{}' is stored in segments", name);
  const Shape shape(tensor.dims().begin(), tensor.dims().end());
  const std::int64_t count = element_count(shape);
  const auto integers = [&]<typename Raw>(Raw, const auto& field) {
    return std::make_shared<Constant>(Constant{shape, elements<std::int64_t, Raw>(tensor, field, count)});
  };
  switch (tensor.data_type()) {
    case onnx::TensorProto::FLOAT:
      return std::make_shared<Constant>(Constant{shape, elements<float, float>(tensor, tensor.float_data(), count)});
    case onnx::TensorProto::DOUBLE:
      return std::make_shared<Constant>(Constant{shape, elements<float, double>(tensor, tensor.double_data(), count)});
    case onnx::TensorProto::INT64:
      return integers(std::int64_t{}, tensor.int64_data());
    case onnx::TensorProto::INT32:
      return integers(std::int32_t{}, tensor.int32_data());
    case onnx::TensorProto::INT16:
      return integers(std::int16_t{}, tensor.int32_data());
    case onnx::TensorProto::UINT16:
      return integers(std::uint16_t{}, tensor.int32_data());
    case onnx::TensorProto::INT8:
      return integers(std::int8_t{}, tensor.int32_data());
    case onnx::TensorProto::UINT8:
    case onnx::TensorProto::BOOL:
      return integers(std::uint8_t{}, tensor.int32_data());
    default:
      fail(ErrorKind::kUnsupported, "tensor '{}' has element type {}; supported are float, double, bool and integers",
           name, tensor.data_type());
  }
}

OnnxAttribute decode_attribute(const onnx::AttributeProto& attribute) {
  switch (attribute.type()) {
    case onnx::AttributeProto::INT:
      return attribute.i();
    case onnx::AttributeProto::FLOAT:
      return attribute.f();
    case onnx::AttributeProto::STRING:
      return attribute.s();
    case onnx::AttributeProto::INTS:
      return std::vector<std::int64_t>(attribute.ints().begin(), attribute.ints().end());
    case onnx::AttributeProto::FLOATS:
      return std::vector<float>(attribute.floats().begin(), attribute.floats().end());
    case onnx::AttributeProto::TENSOR:
      return decode_tensor(attribute.t());
    default:
      return OtherAttribute{};
  }
}

OnnxNode decode_node(const onnx::NodeProto& proto) {
  OnnxNode node;
  node.op_type = printable(proto.op_type());
  node.domain = proto.domain();
  node.inputs.assign(proto.input().begin(), proto.input().end());
  node.outputs.assign(proto.output().begin(), proto.output().end());
  expect(!node.outputs.empty(), "a node '{}' ({}) has no outputs", printable(proto.name()), node.op_type);
  node.name = printable(proto.name().empty() ? node.op_type + " of " + node.outputs[0] : proto.name());
  for (const onnx::AttributeProto& attribute : proto.attribute()) {
    const bool added = node.attributes.emplace(attribute.name(), decode_attribute(attribute)).second;
    expect(added, "node '{}' ({}) has two attributes '{}'", node.name, node.op_type, printable(attribute.name()));
  }
  return node;
}

OnnxInput decode_input(const onnx::ValueInfoProto& proto) {
  OnnxInput input;
  input.name = proto.name();
  if (!proto.type().has_tensor_type()) return input;
  const onnx::TypeProto::Tensor& type = proto.type().tensor_type();
  input.element_type = type.elem_type();
  input.has_shape = type.has_shape();
  for (const auto& dim : type.shape().dim()) {
    // Exporters write a dynamic extent as a name, as nothing, or as 0 or -1.
    input.dims.push_back(dim.has_dim_value() && dim.dim_value() > 0 ? dim.dim_value() : -1);
  }
  return input;
}

std::int64_t default_opset(const onnx::ModelProto& model) {
  std::int64_t opset = 0;
  for (const auto& entry : model.opset_import()) {
    if (entry.domain().empty() || entry.domain() == "ai.onnx") opset = std::max(opset, entry.version());
  }
  require(opset >= 7 && opset <= 21, ErrorKind::kUnsupported,
          "the model uses opset {} of the default domain; supported are 7 to 21", opset);
  return opset;
}

void decode_graph(const onnx::GraphProto& graph, OnnxModel& out) {
  out.name = printable(graph.name());
  std::set<std::string> initialized;
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    expect(!tensor.name().empty() && initialized.insert(tensor.name()).second,
           "two initializers are named '{}', or one has no name", printable(tensor.name()));
    out.initializers.emplace_back(tensor.name(), decode_tensor(tensor));
  }
  require(graph.sparse_initializer().empty(), ErrorKind::kUnsupported,
          "the model holds sparse initializers; export it with dense weights");
  for (const onnx::ValueInfoProto& input : graph.input()) {
    if (!initialized.contains(input.name())) out.inputs.push_back(decode_input(input));
  }
  for (const onnx::ValueInfoProto& output : graph.output()) out.outputs.push_back(output.name());
  for (const onnx::NodeProto& node : graph.node()) out.nodes.push_back(decode_node(node));
}

}  // namespace

std::string printable(const std::string& text) {
  constexpr std::size_t kLongest = 120;
  std::string out = text.substr(0, kLongest);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = '?';
  }
  if (text.size() > kLongest) out += "...";
  return out;
}

OnnxModel decode_onnx(std::span<const std::byte> bytes) {
  require(bytes.size() < (std::size_t{1} << 31), ErrorKind::kResource,
          "an ONNX file of {} bytes; protobuf files are limited to 2 GiB", bytes.size());
  scan_onnx(bytes);
  onnx::ModelProto model;
  expect(model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())),
         "not an ONNX file, or a damaged one: protobuf cannot decode its {} bytes", bytes.size());
  expect(model.has_graph(), "not an ONNX file, or a damaged one: no graph in its {} bytes", bytes.size());
  OnnxModel out;
  out.bytes = bytes.size();
  out.opset = default_opset(model);
  decode_graph(model.graph(), out);
  return out;
}

}  // namespace hearth::nn
