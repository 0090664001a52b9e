#pragma once

#include <onnx/onnx_pb.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hearth/error.h"
#include "nn/graph.h"

namespace hearth::nn::testing {

/// Builds small ONNX models in memory, the way exporters write them.
class OnnxBuilder {
 public:
  /// A model with a float input "x" of shape `input` (-1: a dynamic extent) and an output "y".
  explicit OnnxBuilder(const Shape& input, std::int64_t opset = 13);

  /// Adds a node named like its first output. Returns it, to add attributes.
  onnx::NodeProto& node(const std::string& op_type, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs);

  OnnxBuilder& floats(const std::string& name, const Tensor& tensor);
  OnnxBuilder& integers(const std::string& name, const std::vector<std::int64_t>& values);
  OnnxBuilder& integer(const std::string& name, std::int64_t value);

  onnx::ModelProto& proto() { return model_; }
  std::string bytes() const { return model_.SerializeAsString(); }
  Graph import() const;

 private:
  onnx::ModelProto model_;
};

void set(onnx::NodeProto& node, const std::string& name, std::int64_t value);
void set(onnx::NodeProto& node, const std::string& name, float value);
void set(onnx::NodeProto& node, const std::string& name, const char* value);
void set(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values);
void set(onnx::NodeProto& node, const std::string& name, const Tensor& tensor);
void set(onnx::NodeProto& node, const std::string& name, const onnx::TensorProto& tensor);

/// Raw little-endian tensor messages.
onnx::TensorProto float_tensor(const std::string& name, const Tensor& tensor);
onnx::TensorProto integer_tensor(const std::string& name, const Shape& shape, const std::vector<std::int64_t>& values);

/// A model of a few hundred bytes with most operators, shape arithmetic among them.
OnnxBuilder rich_model();

/// Deterministic values in [-1, 1).
Tensor random_tensor(const Shape& shape, std::uint32_t seed);

/// Import of the bytes of a string.
Graph import_bytes(const std::string& bytes);

/// The message of the Error that `body` throws; "" if it throws none. Records a test failure for another kind than
/// `kind`.
std::string message_of(const std::function<void()>& body, ErrorKind kind);

/// Largest |a - b|; infinity for different shapes.
double distance(const Tensor& a, const Tensor& b);

}  // namespace hearth::nn::testing
