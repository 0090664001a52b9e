// Damaged models: every one must be refused with hearth::Error or import to a valid graph, never crash.
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "nn/simplify.h"
#include "onnx_builder.h"

namespace hearth::nn {
namespace {

using testing::import_bytes;
using testing::OnnxBuilder;
using testing::rich_model;

/// Imports and simplifies; returns whether that went through.
bool survives(const std::string& bytes) {
  try {
    const Graph graph = import_bytes(bytes);
    check(graph);
    check(simplify(graph));
    return true;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()), "");
    EXPECT_NE(to_string(error.kind()), "internal") << error.what();
    return false;
  }
}

TEST(BrokenOnnx, TheWholeModelIsFine) { EXPECT_TRUE(survives(rich_model().bytes())); }

TEST(BrokenOnnx, Truncations) {
  const std::string bytes = rich_model().bytes();
  for (std::size_t length = 0; length < bytes.size(); ++length) survives(bytes.substr(0, length));
}

TEST(BrokenOnnx, EveryBitFlipped) {
  const std::string bytes = rich_model().bytes();
  int fine = 0;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    fine += survives(damaged) ? 1 : 0;
  }
  // Flipped bits of weights and names do no harm; others must have been found.
  EXPECT_GT(fine, 0);
  EXPECT_LT(fine, static_cast<int>(8 * bytes.size()));
}

TEST(BrokenOnnx, BytesReplacedInsertedAndMoved) {
  const std::string bytes = rich_model().bytes();
  std::mt19937 generator(5);
  const auto place = [&](const std::string& text) { return generator() % (text.size() + 1); };
  for (int round = 0; round < 5000; ++round) {
    std::string damaged = bytes;
    for (unsigned k = 0; k <= generator() % 4; ++k) {
      const std::size_t at = place(damaged);
      const std::size_t length = generator() % 12;
      switch (generator() % 3) {
        case 0:
          damaged.replace(at, length, std::string(generator() % 12, static_cast<char>(generator())));
          break;
        case 1:
          damaged.insert(place(damaged), damaged.substr(at, length));
          break;
        default:
          damaged.erase(at, length);
          break;
      }
    }
    survives(damaged);
  }
}

/// Structured damage: valid protobuf, absurd contents.
TEST(BrokenOnnx, AbsurdNumbers) {
  std::mt19937 generator(6);
  const std::vector<std::int64_t> absurd = {0,
                                            -1,
                                            -2,
                                            1,
                                            3,
                                            7,
                                            1 << 20,
                                            (1 << 20) + 1,
                                            std::int64_t{1} << 28,
                                            std::int64_t{1} << 31,
                                            std::int64_t{1} << 40,
                                            INT64_MAX,
                                            INT64_MIN};
  const auto pick = [&] { return absurd[generator() % absurd.size()]; };
  const auto index = [&](int size) { return static_cast<int>(generator() % static_cast<unsigned>(size)); };
  for (int round = 0; round < 5000; ++round) {
    OnnxBuilder model = rich_model();
    onnx::GraphProto& graph = *model.proto().mutable_graph();
    for (unsigned k = 0; k <= generator() % 2; ++k) {
      onnx::NodeProto& node = *graph.mutable_node(index(graph.node_size()));
      onnx::TensorProto& tensor = *graph.mutable_initializer(index(graph.initializer_size()));
      switch (generator() % 6) {
        case 0:
          for (auto& attribute : *node.mutable_attribute()) {
            if (attribute.ints_size() > 0) attribute.set_ints(0, pick());
            attribute.set_i(pick());
          }
          break;
        case 1:
          if (tensor.int64_data_size() > 0) tensor.set_int64_data(0, pick());
          break;
        case 2:
          if (tensor.dims_size() > 0) tensor.set_dims(0, pick());
          break;
        case 3:
          if (node.input_size() > 0) {
            const auto& other = graph.node(index(graph.node_size()));
            node.set_input(index(node.input_size()), other.output(0));
          }
          break;
        case 4: {
          auto& dims = *graph.mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
          dims.mutable_dim(index(4))->set_dim_value(pick());
          break;
        }
        default:
          node.set_op_type(graph.node(index(graph.node_size())).op_type());
          break;
      }
    }
    survives(model.bytes());
  }
}

}  // namespace
}  // namespace hearth::nn
