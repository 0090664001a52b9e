// Import of activations, maxima and max pooling.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "nn/onnx_import.h"
#include "nn/reference.h"
#include "onnx_builder.h"

namespace hearth::nn {
namespace {

using testing::distance;
using testing::message_of;
using testing::OnnxBuilder;
using testing::random_tensor;
using testing::set;

using Ints = std::vector<std::int64_t>;

/// Imports the model and runs it on `x`.
Tensor result(const OnnxBuilder& model, const Tensor& x) { return run(model.import(), x); }

Tensor apply(const Op& op, const Tensor& x) { return evaluate(op, {&x}); }

std::string refusal(const OnnxBuilder& model, ErrorKind kind) {
  const std::string message = message_of([&] { model.import(); }, kind);
  EXPECT_NE(message, "") << "imported: " << to_string(model.import());
  return message;
}

void expect_contains(const std::string& text, std::vector<std::string> parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << " is not in: " << text;
}

TEST(OnnxActivation, Activations) {
  using enum ActivationKind;
  const double inf = std::numeric_limits<double>::infinity();
  struct Case {
    const char* op;
    std::vector<std::pair<const char*, float>> attributes;
    Activation expected;
    std::int64_t opset = 13;
  };
  const std::vector<Case> cases = {{"Relu", {}, {kRelu}},
                                   {"LeakyRelu", {}, {kLeakyRelu, 0.01F}},
                                   {"LeakyRelu", {{"alpha", 0.25F}}, {kLeakyRelu, 0.25}},
                                   {"Elu", {}, {kElu, 1}},
                                   {"Elu", {{"alpha", 0.5F}}, {kElu, 0.5}},
                                   {"Sigmoid", {}, {kSigmoid}},
                                   {"HardSigmoid", {}, {kHardSigmoid, 0.2F, 0.5}},
                                   {"HardSigmoid", {{"alpha", 0.5F}, {"beta", 0.25F}}, {kHardSigmoid, 0.5, 0.25}},
                                   {"HardSwish", {}, {kHardSwish}, 14},
                                   {"Gelu", {}, {kGelu}, 20},
                                   {"Tanh", {}, {kTanh}, 7},
                                   {"Erf", {}, {kErf}},
                                   {"Softplus", {}, {kSoftplus}},
                                   {"Mish", {}, {kMish}, 18},
                                   {"Abs", {}, {kAbs}},
                                   {"Clip", {{"min", -1.0F}, {"max", 6.0F}}, {kClip, -1, 6}, 7},
                                   {"Clip", {{"min", 0.0F}}, {kRelu}, 10},
                                   {"Clip", {{"max", 2.0F}}, {kClip, -inf, 2}, 9},
                                   {"Clip", {{"min", 0.0F}, {"max", FLT_MAX}}, {kRelu}, 9}};
  for (const Case& c : cases) {
    OnnxBuilder model({1, 3}, c.opset);
    onnx::NodeProto& node = model.node(c.op, {"x"}, {"y"});
    for (const auto& [name, value] : c.attributes) set(node, name, value);
    const Graph graph = model.import();
    ASSERT_EQ(graph.nodes.size(), 2U) << to_string(graph);
    EXPECT_EQ(std::get<Activation>(graph.nodes[1].op), c.expected) << to_string(graph);
  }
  OnnxBuilder gelu({1, 3}, 20);
  set(gelu.node("Gelu", {"x"}, {"y"}), "approximate", "tanh");
  EXPECT_EQ(std::get<Activation>(gelu.import().nodes[1].op).kind, kGeluTanh);
  OnnxBuilder odd({1, 3}, 20);
  set(odd.node("Gelu", {"x"}, {"y"}), "approximate", "cubic");
  expect_contains(refusal(odd, ErrorKind::kCorrupt), {"approximate", "cubic"});
}

TEST(OnnxActivation, ClipBoundsAreInputsFromOpset11On) {
  const auto clipped = [](const std::vector<std::string>& inputs) {
    OnnxBuilder model({1, 3});
    model.floats("low", Tensor(Shape{}, -1.0F)).floats("high", Tensor(Shape{1}, 6.0F));
    model.floats("inf", Tensor(Shape{}, INFINITY)).floats("nan", Tensor(Shape{}, NAN));
    model.floats("pair", Tensor(Shape{2}));
    model.node("Clip", inputs, {"y"});
    return model;
  };
  const Tensor x({1, 3}, {-5, 0.5F, 7});
  EXPECT_EQ(result(clipped({"x", "low", "high"}), x), Tensor({1, 3}, {-1, 0.5F, 6}));
  EXPECT_EQ(result(clipped({"x", "low"}), x), Tensor({1, 3}, {-1, 0.5F, 7}));
  EXPECT_EQ(result(clipped({"x", "", "high"}), x), Tensor({1, 3}, {-5, 0.5F, 6}));
  EXPECT_EQ(result(clipped({"x", "low", "inf"}), x), Tensor({1, 3}, {-1, 0.5F, 7}));
  EXPECT_EQ(result(clipped({"x", "", "inf"}), x), x);
  EXPECT_EQ(result(clipped({"x"}), x), x);
  EXPECT_EQ(result(clipped({"x", "high", "low"}), x), Tensor({1, 3}, -1.0F));  // crossed: the upper bound wins
  refusal(clipped({"x", "nan"}), ErrorKind::kCorrupt);
  refusal(clipped({"x", "inf"}), ErrorKind::kCorrupt);
  refusal(clipped({"x", "pair"}), ErrorKind::kCorrupt);
  refusal(clipped({"x", "x"}), ErrorKind::kUnsupported);
}

TEST(OnnxActivation, PReluWithOneSlopeIsLeakyAndOthersAreTakenApart) {
  for (const Tensor& slope : {Tensor(Shape{}, 0.25F), Tensor(Shape{3, 1}, 0.25F), Tensor({3, 1}, {0.5F, -1, 2})}) {
    OnnxBuilder model({1, 3, 2});
    model.floats("slope", slope);
    model.node("PRelu", {"x", "slope"}, {"y"});
    const Tensor x = random_tensor({1, 3, 2}, 1);
    Tensor expected = x;
    for (std::size_t i = 0; i < 6; ++i) {
      if (x.data[i] < 0) expected.data[i] *= slope.data[slope.data.size() == 1 ? 0 : i / 2];
    }
    EXPECT_LT(distance(result(model, x), expected), 1e-6);
    const bool uniform = slope.data.size() == 1 || slope.data[0] == slope.data[1];
    EXPECT_EQ(model.import().nodes.size(), uniform ? 2U : 5U);
  }
  OnnxBuilder model({1, 3, 2});
  model.floats("slope", Tensor(Shape{4, 1}, 0.5F)).node("PRelu", {"x", "slope"}, {"y"});
  refusal(model, ErrorKind::kCorrupt);
}

TEST(OnnxActivation, MaximaAndMinima) {
  const Tensor x = random_tensor({1, 4}, 5);
  for (const bool maximum : {true, false}) {
    const char* op = maximum ? "Max" : "Min";
    const auto best = [&](float a, float b) { return maximum ? std::max(a, b) : std::min(a, b); };
    const Tensor c = random_tensor({4}, 6);
    for (const std::vector<std::string>& inputs :
         std::vector<std::vector<std::string>>{{"x"},
                                               {"x", "half"},
                                               {"c", "x"},
                                               {"x", "minus"},
                                               {"x", "half", "minus"},
                                               {"c", "x", "half", "minus", "d"}}) {
      OnnxBuilder model({1, 4});
      model.floats("c", c).floats("d", Tensor(Shape{}, 0.1F));
      model.floats("h", Tensor(Shape{}, 0.5F)).floats("m", Tensor(Shape{}, -1.0F));
      model.node("Mul", {"x", "h"}, {"half"});
      model.node("Mul", {"x", "m"}, {"minus"});
      model.node(op, inputs, {"y"});
      Tensor expected = x;
      for (std::size_t i = 0; i < 4; ++i) {
        for (const std::string& input : inputs) {
          const float v = input == "half"    ? 0.5F * x.data[i]
                          : input == "minus" ? -x.data[i]
                          : input == "c"     ? c.data[i]
                          : input == "d"     ? 0.1F
                                             : x.data[i];
          expected.data[i] = best(expected.data[i], v);
        }
      }
      EXPECT_LT(distance(result(model, x), expected), 1e-6) << op << to_string(model.import());
    }
    // With one number it is a single Clip.
    OnnxBuilder model({1, 4});
    model.floats("d", Tensor(Shape{1, 1}, 0.1F)).node(op, {"x", "d"}, {"y"});
    EXPECT_EQ(op_name(model.import().nodes[1].op), "Clip");
    EXPECT_EQ(model.import().nodes.size(), 2U);
  }
  OnnxBuilder zero({1, 4});
  zero.floats("zero", Tensor(Shape{})).node("Max", {"x", "zero"}, {"y"});
  EXPECT_EQ(op_name(zero.import().nodes[1].op), "Relu");
  OnnxBuilder none({1, 4});
  none.node("Max", {}, {"y"});
  refusal(none, ErrorKind::kCorrupt);
  OnnxBuilder infinite({1, 4});
  infinite.floats("inf", Tensor(Shape{}, INFINITY)).node("Max", {"x", "inf"}, {"y"});
  refusal(infinite, ErrorKind::kCorrupt);
}

TEST(OnnxActivation, MaxPooling) {
  OnnxBuilder model({1, 2, 7, 6}, 12);
  onnx::NodeProto& node = model.node("MaxPool", {"x"}, {"y"});
  set(node, "kernel_shape", Ints{3, 2});
  set(node, "strides", Ints{2, 1});
  set(node, "pads", {1, 0, 2, 1});
  set(node, "ceil_mode", std::int64_t{1});
  const Tensor x = random_tensor({1, 2, 7, 6}, 3);
  EXPECT_EQ(result(model, x), apply(MaxPool{{3, 2}, {2, 1}, {1, 0, 2, 1}, {1, 1}, true}, x));
  OnnxBuilder signal({1, 1, 4}, 8);
  set(signal.node("MaxPool", {"x"}, {"y"}), "kernel_shape", Ints{2});
  EXPECT_EQ(result(signal, Tensor({1, 1, 4}, {-1, -3, -4, -2})), Tensor({1, 1, 3}, {-1, -3, -2}));
  OnnxBuilder positions({1, 1, 4, 4});
  set(positions.node("MaxPool", {"x"}, {"y", "where"}), "kernel_shape", Ints{2, 2});
  expect_contains(refusal(positions, ErrorKind::kUnsupported), {"positions"});
  OnnxBuilder padded({1, 1, 4, 4});
  onnx::NodeProto& wide = padded.node("MaxPool", {"x"}, {"y"});
  set(wide, "kernel_shape", Ints{2, 2});
  set(wide, "pads", {2, 0, 0, 0});
  expect_contains(refusal(padded, ErrorKind::kCorrupt), {"padding"});
}

TEST(OnnxActivation, ActivationsOfConstantsFold) {
  OnnxBuilder model({1, 3});
  model.floats("c", Tensor(Shape{3}, {-1, 0.5F, 8}))
      .floats("low", Tensor(Shape{}))
      .floats("high", Tensor(Shape{}, 6.0F));
  model.node("Clip", {"c", "low", "high"}, {"clipped"});
  model.node("Relu", {"clipped"}, {"r"});
  model.node("Max", {"r", "low"}, {"m"});
  model.node("Add", {"x", "m"}, {"y"});
  EXPECT_EQ(result(model, Tensor(Shape{1, 3})), Tensor({1, 3}, {0, 0.5F, 6}));
  OnnxBuilder integers({1, 12});
  integers.integer("n", 9).integer("low", 0).integer("high", 4).integers("rest", {-1}).integers("axis", {0});
  integers.node("Clip", {"n", "low", "high"}, {"four"});
  integers.node("Unsqueeze", {"four", "axis"}, {"one"});
  set(integers.node("Concat", {"one", "rest"}, {"target"}), "axis", std::int64_t{0});
  integers.node("Reshape", {"x", "target"}, {"y"});
  EXPECT_EQ(integers.import().output_shape(), (Shape{4, 3}));
}

}  // namespace
}  // namespace hearth::nn
