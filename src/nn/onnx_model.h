#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "nn/constant.h"

/// An ONNX model as plain data: what the protobuf file says, with types and lengths checked and nothing interpreted.
/// Internal to the ONNX import; keeps the generated classes inside one translation unit.
namespace hearth::nn {

/// An attribute of a kind that no supported operator has (a subgraph, a list of tensors, ...).
struct OtherAttribute {};

using OnnxAttribute = std::variant<OtherAttribute, std::int64_t, float, std::string, std::vector<std::int64_t>,
                                   std::vector<float>, ConstantPtr>;

struct OnnxNode {
  std::string name;  ///< printable; made from the operator and first output where the file has none
  std::string op_type;
  std::string domain;
  std::vector<std::string> inputs;   ///< an empty name is an absent optional input
  std::vector<std::string> outputs;  ///< the same for outputs
  std::map<std::string, OnnxAttribute, std::less<>> attributes;
};

struct OnnxInput {
  std::string name;
  std::int32_t element_type = 0;  ///< TensorProto::DataType; 0 if it is not a tensor
  bool has_shape = false;
  std::vector<std::int64_t> dims;  ///< -1 where dynamic
};

struct OnnxModel {
  std::string name;
  std::int64_t opset = 0;         ///< of the default domain
  std::size_t bytes = 0;          ///< size of the file
  std::vector<OnnxInput> inputs;  ///< without those that have an initializer
  std::vector<std::string> outputs;
  std::vector<std::pair<std::string, ConstantPtr>> initializers;
  std::vector<OnnxNode> nodes;
};

/// Parses and checks the bytes of a file. Errors as import_onnx.
OnnxModel decode_onnx(std::span<const std::byte> bytes);

/// `text` cut to a reasonable length, with control characters and line breaks replaced, so that a hostile file cannot
/// drive the terminal that shows an error.
std::string printable(const std::string& text);

}  // namespace hearth::nn
