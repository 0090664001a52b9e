#include "onnx_builder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "base/error.h"
#include "nn/onnx_import.h"

namespace hearth::nn::testing {

namespace {

void describe(onnx::ValueInfoProto& info, const std::string& name, const Shape& shape) {
  info.set_name(name);
  onnx::TypeProto::Tensor& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t extent : shape) {
    auto* dim = type.mutable_shape()->add_dim();
    if (extent >= 0) {
      dim->set_dim_value(extent);
    } else {
      dim->set_dim_param("batch");
    }
  }
  type.mutable_shape();
}

onnx::AttributeProto& add(onnx::NodeProto& node, const std::string& name, onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

}  // namespace

OnnxBuilder::OnnxBuilder(const Shape& input, std::int64_t opset) {
  model_.set_ir_version(7);
  model_.add_opset_import()->set_version(opset);
  model_.mutable_graph()->set_name("test");
  describe(*model_.mutable_graph()->add_input(), "x", input);
  model_.mutable_graph()->add_output()->set_name("y");
}

onnx::NodeProto& OnnxBuilder::node(const std::string& op_type, const std::vector<std::string>& inputs,
                                   const std::vector<std::string>& outputs) {
  onnx::NodeProto& node = *model_.mutable_graph()->add_node();
  node.set_op_type(op_type);
  node.set_name("node_" + outputs.at(0));
  for (const std::string& input : inputs) node.add_input(input);
  for (const std::string& output : outputs) node.add_output(output);
  return node;
}

OnnxBuilder& OnnxBuilder::floats(const std::string& name, const Tensor& tensor) {
  *model_.mutable_graph()->add_initializer() = float_tensor(name, tensor);
  return *this;
}

OnnxBuilder& OnnxBuilder::integers(const std::string& name, const std::vector<std::int64_t>& values) {
  *model_.mutable_graph()->add_initializer() = integer_tensor(name, {static_cast<std::int64_t>(values.size())}, values);
  return *this;
}

OnnxBuilder& OnnxBuilder::integer(const std::string& name, std::int64_t value) {
  *model_.mutable_graph()->add_initializer() = integer_tensor(name, {}, {value});
  return *this;
}

Graph OnnxBuilder::import() const {
  Graph graph = import_bytes(bytes());
  check(graph);
  return graph;
}

void set(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  add(node, name, onnx::AttributeProto::INT).set_i(value);
}

void set(onnx::NodeProto& node, const std::string& name, float value) {
  add(node, name, onnx::AttributeProto::FLOAT).set_f(value);
}

void set(onnx::NodeProto& node, const std::string& name, const char* value) {
  add(node, name, onnx::AttributeProto::STRING).set_s(value);
}

void set(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values) {
  onnx::AttributeProto& attribute = add(node, name, onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

void set(onnx::NodeProto& node, const std::string& name, const Tensor& tensor) {
  set(node, name, float_tensor("", tensor));
}

void set(onnx::NodeProto& node, const std::string& name, const onnx::TensorProto& tensor) {
  *add(node, name, onnx::AttributeProto::TENSOR).mutable_t() = tensor;
}

onnx::TensorProto float_tensor(const std::string& name, const Tensor& tensor) {
  onnx::TensorProto proto;
  proto.set_name(name);
  proto.set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t extent : tensor.shape) proto.add_dims(extent);
  proto.set_raw_data(tensor.data.data(), tensor.data.size() * sizeof(float));
  return proto;
}

onnx::TensorProto integer_tensor(const std::string& name, const Shape& shape, const std::vector<std::int64_t>& values) {
  onnx::TensorProto proto;
  proto.set_name(name);
  proto.set_data_type(onnx::TensorProto::INT64);
  for (const std::int64_t extent : shape) proto.add_dims(extent);
  for (const std::int64_t value : values) proto.add_int64_data(value);
  return proto;
}

OnnxBuilder rich_model() {
  using Ints = std::vector<std::int64_t>;
  OnnxBuilder model({-1, 2, 6, 6});
  model.floats("w", random_tensor({2, 1, 3, 3}, 1)).floats("s", random_tensor({2}, 2));
  model.floats("v", Tensor(Shape{2}, 1.0F)).floats("d", random_tensor({3, 8}, 3)).floats("two", Tensor(Shape{}, 2.0F));
  onnx::NodeProto& conv = model.node("Conv", {"x", "w", "s"}, {"a"});
  set(conv, "group", std::int64_t{2});
  set(conv, "pads", {1, 1, 1, 1});
  set(conv, "strides", Ints{2, 2});
  model.node("BatchNormalization", {"a", "s", "s", "s", "v"}, {"b"});
  model.node("Clip", {"b", "", "two"}, {"clipped"});
  onnx::NodeProto& maxima = model.node("MaxPool", {"clipped"}, {"maxima"});
  set(maxima, "kernel_shape", Ints{2, 2});
  set(maxima, "pads", {0, 0, 1, 1});
  set(model.node("LeakyRelu", {"maxima"}, {"leaky"}), "alpha", 0.5F);
  model.node("Max", {"leaky", "b"}, {"larger"});
  model.node("Pow", {"larger", "two"}, {"c"});
  model.integers("pads", {0, 0, 0, 0, 0, 0, 1, 1});
  model.node("Pad", {"c", "pads"}, {"e"});
  onnx::NodeProto& pool = model.node("AveragePool", {"e"}, {"f"});
  set(pool, "kernel_shape", Ints{2, 2});
  set(pool, "strides", Ints{2, 2});
  model.node("Shape", {"f"}, {"shape"});
  model.integer("zero", 0).integers("zeros", {0}).integers("rest", {-1});
  model.node("Gather", {"shape", "zero"}, {"n"});
  model.node("Unsqueeze", {"n", "zeros"}, {"n1"});
  set(model.node("Concat", {"n1", "rest"}, {"target"}), "axis", std::int64_t{0});
  model.node("Reshape", {"f", "target"}, {"flat"});
  set(model.node("Gemm", {"flat", "d"}, {"g"}), "transB", std::int64_t{1});
  model.integers("one", {1}).integers("axis", {1}).integers("far", {INT64_MAX});
  model.node("Slice", {"g", "one", "far", "axis"}, {"h"});
  set(model.node("Transpose", {"h"}, {"t"}), "perm", Ints{1, 0});
  set(model.node("ReduceMean", {"t"}, {"y"}), "axes", Ints{0, 1});
  return model;
}

Tensor random_tensor(const Shape& shape, std::uint32_t seed) {
  std::mt19937 generator(seed);
  Tensor out(shape);
  for (float& value : out.data) value = static_cast<float>(generator() >> 8) * 0x1p-23F - 1.0F;
  return out;
}

Graph import_bytes(const std::string& bytes) { return import_onnx(std::as_bytes(std::span(bytes))); }

std::string message_of(const std::function<void()>& body, ErrorKind kind) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.kind()), to_string(kind)) << error.what();
    return error.what();
  }
  return "";
}

double distance(const Tensor& a, const Tensor& b) {
  if (a.shape != b.shape) return std::numeric_limits<double>::infinity();
  double out = 0;
  for (std::size_t i = 0; i < a.data.size(); ++i) out = std::max(out, std::abs(double{a.data[i]} - b.data[i]));
  return out;
}

}  // namespace hearth::nn::testing
