#include "nn/onnx_import.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "nn/reference.h"
#include "onnx_builder.h"

namespace hearth::nn {
namespace {

using testing::distance;
using testing::integer_tensor;
using testing::message_of;
using testing::OnnxBuilder;
using testing::random_tensor;
using testing::set;

using Ints = std::vector<std::int64_t>;

Tensor iota(const Shape& shape) {
  Tensor out(shape);
  std::iota(out.data.begin(), out.data.end(), 0.0F);
  return out;
}

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

TEST(OnnxImport, DynamicBatchBecomesOne) {
  OnnxBuilder model({-1, 3, 4, 4});
  model.node("Identity", {"x"}, {"y"});
  const Graph graph = model.import();
  EXPECT_EQ(graph.input_shape(), (Shape{1, 3, 4, 4}));
  EXPECT_EQ(graph.output, 0U);
}

TEST(OnnxImport, OtherInputsAreRefused) {
  for (const Shape& shape : {Shape{2, 3, 4, 4}, Shape{1, 3, -1, -1}}) {
    OnnxBuilder model(shape);
    model.node("Identity", {"x"}, {"y"});
    refusal(model, ErrorKind::kUnsupported);
  }
  OnnxBuilder doubles({1, 3});
  doubles.node("Identity", {"x"}, {"y"});
  doubles.proto().mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
      onnx::TensorProto::DOUBLE);
  expect_contains(refusal(doubles, ErrorKind::kUnsupported), {"'x'", "11", "float32"});
  OnnxBuilder two({1, 3});
  two.node("Add", {"x", "z"}, {"y"});
  *two.proto().mutable_graph()->add_input() = two.proto().graph().input(0);
  two.proto().mutable_graph()->mutable_input(1)->set_name("z");
  expect_contains(refusal(two, ErrorKind::kUnsupported), {"2 inputs"});
}

TEST(OnnxImport, ConvolutionWithAllAttributes) {
  OnnxBuilder model({-1, 4, 9, 8});
  const Tensor w = random_tensor({6, 2, 3, 2}, 1);
  const Tensor b = random_tensor({6}, 2);
  model.floats("w", w).floats("b", b);
  onnx::NodeProto& node = model.node("Conv", {"x", "w", "b"}, {"y"});
  set(node, "kernel_shape", {3, 2});
  set(node, "strides", {2, 1});
  set(node, "pads", {1, 0, 2, 3});
  set(node, "dilations", {1, 2});
  set(node, "group", std::int64_t{2});
  const Tensor x = random_tensor({1, 4, 9, 8}, 3);
  EXPECT_EQ(result(model, x), apply(Conv2d{w, b, 2, {2, 1}, {1, 0, 2, 3}, {1, 2}}, x));
}

TEST(OnnxImport, SamePaddingIsAsymmetric) {
  for (const bool upper : {true, false}) {
    OnnxBuilder model({1, 1, 6, 5});
    const Tensor w = random_tensor({1, 1, 3, 4}, 1);
    model.floats("w", w);
    onnx::NodeProto& node = model.node("Conv", {"x", "w"}, {"y"});
    set(node, "auto_pad", upper ? "SAME_UPPER" : "SAME_LOWER");
    set(node, "strides", {2, 1});
    const Pads pads = upper ? Pads{0, 1, 1, 2} : Pads{1, 2, 0, 1};
    const Tensor x = random_tensor({1, 1, 6, 5}, 3);
    const Tensor y = result(model, x);
    EXPECT_EQ(y.shape, (Shape{1, 1, 3, 5}));
    EXPECT_EQ(y, apply(Conv2d{w, Tensor(Shape{1}), 1, {2, 1}, pads, {1, 1}}, x));
  }
}

TEST(OnnxImport, OneDimensionalConvolution) {
  OnnxBuilder model({-1, 2, 5});
  model.floats("w", Tensor({1, 2, 2}, {1, 2, 3, 4}));
  set(model.node("Conv", {"x", "w"}, {"y"}), "strides", Ints{2});
  const Tensor y = result(model, Tensor({1, 2, 5}, {1, 2, 3, 4, 5, 10, 20, 30, 40, 50}));
  EXPECT_EQ(y, (Tensor({1, 1, 2}, {1 + 4 + 30 + 80, 3 + 8 + 90 + 160})));
}

TEST(OnnxImport, GemmInAllOrientations) {
  const Tensor x({1, 3}, {1, 2, 3});
  const Tensor c({1, 2}, {10, 20});
  for (const bool transpose : {false, true}) {
    OnnxBuilder model({-1, 3});
    model.floats("b", transpose ? Tensor({2, 3}, {1, 3, 5, 2, 4, 6}) : Tensor({3, 2}, {1, 2, 3, 4, 5, 6}))
        .floats("c", c);
    onnx::NodeProto& node = model.node("Gemm", {"x", "b", "c"}, {"y"});
    set(node, "transB", std::int64_t{transpose});
    set(node, "alpha", 2.0F);
    set(node, "beta", 0.5F);
    EXPECT_EQ(result(model, x), (Tensor({1, 2}, {44 + 5, 56 + 10})));
  }
  OnnxBuilder left({1, 3});
  left.floats("a", Tensor({2, 1}, {2, -1})).floats("c", Tensor({2, 1}, {100, 200}));
  left.node("Gemm", {"a", "x", "c"}, {"y"});
  EXPECT_EQ(result(left, x), (Tensor({2, 3}, {102, 104, 106, 199, 198, 197})));
  OnnxBuilder turned({1, 3});
  turned.floats("a", Tensor({1, 2}, {2, -1}));
  onnx::NodeProto& node = turned.node("Gemm", {"x", "a"}, {"y"});
  set(node, "transA", std::int64_t{1});
  EXPECT_EQ(result(turned, x), (Tensor({3, 2}, {2, -1, 4, -2, 6, -3})));
}

TEST(OnnxImport, MatMulWithAConstantOnEitherSide) {
  OnnxBuilder right({1, 2, 2});
  right.floats("w", Tensor({2, 3}, {1, 2, 3, 4, 5, 6}));
  right.node("MatMul", {"x", "w"}, {"y"});
  EXPECT_EQ(result(right, Tensor({1, 2, 2}, {1, 0, 1, 1})), (Tensor({1, 2, 3}, {1, 2, 3, 5, 7, 9})));
  OnnxBuilder left({1, 2, 2});
  left.floats("w", Tensor({1, 2}, {10, 1}));
  left.node("MatMul", {"w", "x"}, {"y"});
  EXPECT_EQ(result(left, Tensor({1, 2, 2}, {1, 2, 3, 4})), (Tensor({1, 1, 2}, {13, 24})));
  OnnxBuilder vector({1, 2});
  vector.floats("w", Tensor(Shape{2}, {10, 1}));
  vector.node("MatMul", {"x", "w"}, {"y"});
  EXPECT_EQ(result(vector, Tensor({1, 2}, {1, 2})), Tensor(Shape{1}, 12.0F));
  OnnxBuilder both({1, 2});
  both.node("MatMul", {"x", "x"}, {"y"});
  EXPECT_NE(message_of([&] { both.import(); }, ErrorKind::kUnsupported), "");
}

TEST(OnnxImport, ArithmeticWithConstants) {
  const Tensor x({1, 3}, {1, 2, 4});
  const auto binary = [&](const char* op, bool constant_first, Tensor c) {
    OnnxBuilder model({-1, 3});
    model.floats("c", std::move(c));
    model.node(op, constant_first ? std::vector<std::string>{"c", "x"} : std::vector<std::string>{"x", "c"}, {"y"});
    return result(model, x).data;
  };
  using Row = std::vector<float>;
  const Tensor c(Shape{3}, {1, 2, 8});
  for (const bool first : {false, true}) {
    EXPECT_EQ(binary("Add", first, c), (Row{2, 4, 12}));
    EXPECT_EQ(binary("Mul", first, c), (Row{1, 4, 32}));
  }
  EXPECT_EQ(binary("Sub", false, c), (Row{0, 0, -4}));
  EXPECT_EQ(binary("Sub", true, c), (Row{0, 0, 4}));
  EXPECT_EQ(binary("Div", false, c), (Row{1, 1, 0.5F}));
  EXPECT_EQ(binary("Pow", false, Tensor(Shape{}, 2.0F)), (Row{1, 4, 16}));
  EXPECT_EQ(binary("Pow", false, Tensor(Shape{1}, 3.0F)), (Row{1, 8, 64}));
  EXPECT_EQ(binary("Pow", false, Tensor(Shape{}, 1.0F)), (Row{1, 2, 4}));
  EXPECT_EQ(binary("Mul", false, Tensor({1, 1, 3}, {1, 2, 3})), (Row{1, 4, 12}));
}

TEST(OnnxImport, ArithmeticThatCannotRunIsRefused) {
  const auto model_of = [](const char* op, std::vector<std::string> inputs, const Tensor& c) {
    OnnxBuilder model({1, 3});
    model.floats("c", c);
    model.node(op, inputs, {"y"});
    return model;
  };
  refusal(model_of("Div", {"c", "x"}, Tensor(Shape{3}, 1.0F)), ErrorKind::kUnsupported);
  refusal(model_of("Div", {"x", "c"}, Tensor(Shape{3}, 0.0F)), ErrorKind::kCorrupt);
  refusal(model_of("Pow", {"x", "c"}, Tensor(Shape{}, 0.5F)), ErrorKind::kUnsupported);
  refusal(model_of("Pow", {"c", "x"}, Tensor(Shape{}, 2.0F)), ErrorKind::kUnsupported);
  refusal(model_of("Mul", {"x", "c"}, Tensor(Shape{2, 3}, 2.0F)), ErrorKind::kUnsupported);
  refusal(model_of("Mul", {"x", "c"}, Tensor(Shape{2}, 2.0F)), ErrorKind::kCorrupt);
  refusal(model_of("Mul", {"x", "c"}, Tensor(Shape{3}, std::nanf(""))), ErrorKind::kCorrupt);
  refusal(model_of("Add", {"x", "c"}, Tensor(Shape{3}, INFINITY)), ErrorKind::kCorrupt);
  refusal(model_of("Add", {"x", "missing"}, Tensor(Shape{3})), ErrorKind::kCorrupt);
  refusal(model_of("Add", {"x", ""}, Tensor(Shape{3})), ErrorKind::kCorrupt);
  refusal(model_of("Add", {"x"}, Tensor(Shape{3})), ErrorKind::kCorrupt);
  refusal(model_of("Mod", {"x", "c"}, Tensor(Shape{3})), ErrorKind::kUnsupported);
}

TEST(OnnxImport, TensorByTensor) {
  OnnxBuilder model({-1, 2});
  model.node("Mul", {"x", "x"}, {"a"});
  model.node("Neg", {"x"}, {"b"});
  model.node("Sub", {"a", "b"}, {"c"});
  model.node("Sum", {"a", "b", "c"}, {"y"});
  EXPECT_EQ(result(model, Tensor({1, 2}, {3, -1})).data, (std::vector<float>{9 - 3 + 12, 1 + 1 + 0}));
}

TEST(OnnxImport, BatchNormalizationUsesMeanVarianceAndEpsilon) {
  OnnxBuilder model({-1, 2, 1, 1});
  model.floats("s", Tensor(Shape{2}, {2, 3})).floats("b", Tensor(Shape{2}, {10, 20}));
  model.floats("m", Tensor(Shape{2}, {1, -1})).floats("v", Tensor(Shape{2}, {3, 0}));
  set(model.node("BatchNormalization", {"x", "s", "b", "m", "v"}, {"y"}), "epsilon", 1.0F);
  EXPECT_EQ(result(model, Tensor({1, 2, 1, 1}, {5, 5})).data, (std::vector<float>{14, 38}));
}

TEST(OnnxImport, Pooling) {
  OnnxBuilder model({1, 1, 3, 3});
  onnx::NodeProto& node = model.node("AveragePool", {"x"}, {"y"});
  set(node, "kernel_shape", {2, 2});
  set(node, "pads", {1, 1, 0, 0});
  const Tensor x = iota({1, 1, 3, 3});
  EXPECT_EQ(result(model, x).data, (std::vector<float>{0, 0.5F, 1.5F, 1.5F, 2, 3, 4.5F, 5, 6}));
  set(node, "count_include_pad", std::int64_t{1});
  EXPECT_EQ(result(model, x).data, (std::vector<float>{0, 0.25F, 0.75F, 0.75F, 2, 3, 2.25F, 5, 6}));
  OnnxBuilder global({1, 2, 3});
  global.node("GlobalAveragePool", {"x"}, {"y"});
  EXPECT_EQ(result(global, iota({1, 2, 3})), (Tensor({1, 2, 1}, {1, 4})));
}

TEST(OnnxImport, ReductionsOfEveryOpset) {
  const Tensor x = iota({1, 2, 2, 2});
  for (const std::int64_t opset : {13, 18}) {
    OnnxBuilder mean({1, 2, 2, 2}, opset);
    mean.integers("axes", {-1, 2});
    onnx::NodeProto& node = mean.node("ReduceMean", {"x"}, {"y"});
    if (opset < 18) set(node, "axes", {-1, 2});
    if (opset >= 18) node.add_input("axes");
    set(node, "keepdims", std::int64_t{0});
    EXPECT_EQ(result(mean, x), (Tensor({1, 2}, {1.5F, 5.5F})));
  }
  OnnxBuilder sum({1, 2, 2, 2});
  sum.integers("axes", {1});
  sum.node("ReduceSum", {"x", "axes"}, {"y"});
  EXPECT_EQ(result(sum, x), (Tensor({1, 1, 2, 2}, {4, 6, 8, 10})));
}

TEST(OnnxImport, PaddingOfEveryOpset) {
  const Tensor x({1, 2}, {1, 2});
  for (const std::int64_t opset : {10, 11, 18}) {
    OnnxBuilder model({1, 2}, opset);
    model.integers("pads", opset == 18 ? std::vector<std::int64_t>{1, 2} : std::vector<std::int64_t>{0, 1, 0, 2});
    model.integers("axes", {-1}).floats("value", Tensor(Shape{}, 7.0F));
    onnx::NodeProto& node = model.node("Pad", {"x"}, {"y"});
    if (opset == 10) {
      set(node, "pads", {0, 1, 0, 2});
      set(node, "value", 7.0F);
    } else {
      node.add_input("pads");
      node.add_input("value");
      if (opset == 18) node.add_input("axes");
    }
    EXPECT_EQ(result(model, x), (Tensor({1, 5}, {7, 1, 2, 7, 7})));
  }
  OnnxBuilder crop({1, 2});
  crop.integers("pads", {0, -1, 0, 1});
  crop.node("Pad", {"x", "pads"}, {"y"});
  EXPECT_EQ(result(crop, x), (Tensor({1, 2}, {2, 0})));
  OnnxBuilder reflect({1, 2});
  reflect.integers("pads", {0, 1, 0, 1});
  set(reflect.node("Pad", {"x", "pads"}, {"y"}), "mode", "reflect");
  expect_contains(refusal(reflect, ErrorKind::kUnsupported), {"reflect"});
}

TEST(OnnxImport, SlicesOfEveryOpset) {
  const Tensor x = iota({1, 6});
  OnnxBuilder old({1, 6}, 9);
  onnx::NodeProto& node = old.node("Slice", {"x"}, {"y"});
  set(node, "starts", Ints{1});
  set(node, "ends", Ints{-1});
  set(node, "axes", Ints{1});
  EXPECT_EQ(result(old, x).data, (std::vector<float>{1, 2, 3, 4}));
  const auto slice = [&](std::int64_t start, std::int64_t end, std::int64_t step) {
    OnnxBuilder model({1, 6});
    model.integers("s", {start}).integers("e", {end}).integers("a", {-1}).integers("t", {step});
    model.node("Slice", {"x", "s", "e", "a", "t"}, {"y"});
    return result(model, x).data;
  };
  using Row = std::vector<float>;
  EXPECT_EQ(slice(0, INT64_MAX, 2), (Row{0, 2, 4}));
  EXPECT_EQ(slice(-1, INT64_MIN, -1), (Row{5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(slice(100, 0, -2), (Row{5, 3, 1}));
  EXPECT_EQ(slice(2, 3, INT64_MAX), (Row{2}));
  EXPECT_EQ(slice(-3, 100, 1), (Row{3, 4, 5}));
  OnnxBuilder empty({1, 6});
  empty.integers("s", {3}).integers("e", {3}).integers("a", {1});
  empty.node("Slice", {"x", "s", "e", "a"}, {"y"});
  refusal(empty, ErrorKind::kCorrupt);
}

TEST(OnnxImport, SplitGatherConcatTranspose) {
  OnnxBuilder model({1, 6});
  set(model.node("Split", {"x"}, {"a", "b"}), "axis", std::int64_t{1});
  set(model.node("Concat", {"b", "a"}, {"c"}), "axis", std::int64_t{1});
  model.integers("i", {5, 3, 1}).integer("last", -1);
  set(model.node("Gather", {"c", "i"}, {"d"}), "axis", std::int64_t{1});
  set(model.node("Gather", {"d", "last"}, {"y"}), "axis", std::int64_t{1});
  EXPECT_EQ(result(model, iota({1, 6})), Tensor(Shape{1}, 4.0F));
  OnnxBuilder transposed({1, 2, 3});
  set(transposed.node("Transpose", {"x"}, {"y"}), "perm", {0, 2, 1});
  EXPECT_EQ(result(transposed, iota({1, 2, 3})), (Tensor({1, 3, 2}, {0, 3, 1, 4, 2, 5})));
  OnnxBuilder irregular({1, 6});
  irregular.integers("i", {0, 1, 3});
  set(irregular.node("Gather", {"x", "i"}, {"y"}), "axis", std::int64_t{1});
  refusal(irregular, ErrorKind::kUnsupported);
}

TEST(OnnxImport, ConstantsInAConcatBecomePadding) {
  OnnxBuilder model({1, 2});
  model.floats("zero", Tensor(Shape{1, 1})).floats("c", Tensor({1, 2}, {8, 9}));
  set(model.node("Concat", {"zero", "x", "c", "x"}, {"y"}), "axis", std::int64_t{1});
  const Tensor x({1, 2}, {1, 2});
  EXPECT_EQ(result(model, x).data, (std::vector<float>{0, 1, 2, 8, 9, 1, 2}));
}

TEST(OnnxImport, ReshapesInAllForms) {
  const auto shape_after = [](const std::string& op, std::vector<std::int64_t> target, std::int64_t opset = 13) {
    OnnxBuilder model({-1, 2, 1, 6}, opset);
    model.integers("s", target);
    model.node(op, {"x", "s"}, {"y"});
    return model.import().output_shape();
  };
  EXPECT_EQ(shape_after("Reshape", {0, -1}), (Shape{1, 12}));
  EXPECT_EQ(shape_after("Reshape", {-1, 3, 4}), (Shape{1, 3, 4}));
  EXPECT_EQ(shape_after("Reshape", {12}), (Shape{12}));
  EXPECT_EQ(shape_after("Squeeze", {0, -2}), (Shape{2, 6}));
  EXPECT_EQ(shape_after("Unsqueeze", {0, -1}), (Shape{1, 1, 2, 1, 6, 1}));
  EXPECT_EQ(shape_after("Expand", {2, 1, 6}), (Shape{1, 2, 1, 6}));
  OnnxBuilder flatten({-1, 2, 1, 6});
  flatten.node("Flatten", {"x"}, {"y"});
  EXPECT_EQ(flatten.import().output_shape(), (Shape{1, 12}));
  OnnxBuilder squeeze({-1, 2, 1, 6}, 11);
  squeeze.node("Squeeze", {"x"}, {"y"});
  EXPECT_EQ(squeeze.import().output_shape(), (Shape{2, 6}));
  for (const std::vector<std::int64_t>& bad :
       {std::vector<std::int64_t>{5, -1}, {-1, -1}, {13}, {-2, 6}, {0, 0, 0, 0, 0}}) {
    OnnxBuilder model({1, 2, 1, 6});
    model.integers("s", bad);
    model.node("Reshape", {"x", "s"}, {"y"});
    refusal(model, ErrorKind::kCorrupt);
  }
}

// x.view(x.size(0), -1) as PyTorch writes it.
TEST(OnnxImport, ShapeArithmeticOfViewFolds) {
  OnnxBuilder model({-1, 2, 3, 3});
  model.node("Shape", {"x"}, {"shape"});
  set(model.node("Constant", {}, {"zero"}), "value", integer_tensor("", {}, {0}));
  set(model.node("Gather", {"shape", "zero"}, {"batch"}), "axis", std::int64_t{0});
  model.integers("axis0", {0});
  model.node("Unsqueeze", {"batch", "axis0"}, {"batch1"});
  model.integers("rest", {-1});
  set(model.node("Concat", {"batch1", "rest"}, {"target"}), "axis", std::int64_t{0});
  model.node("Reshape", {"x", "target"}, {"y"});
  const Graph graph = model.import();
  EXPECT_EQ(graph.output_shape(), (Shape{1, 18}));
  EXPECT_EQ(graph.nodes.size(), 2U);
}

// F.pad as PyTorch writes it: the pads are built from a constant by reversing a reshaped, zero-extended list.
TEST(OnnxImport, ShapeArithmeticOfPadFolds) {
  OnnxBuilder model({1, 1, 2, 2});
  model.integers("given", {1, 0, 0, 1}).integers("missing", {4}).integers("pairs", {-1, 2});
  set(model.node("ConstantOfShape", {"missing"}, {"zeros"}), "value", integer_tensor("", {1}, {0}));
  set(model.node("Concat", {"given", "zeros"}, {"all"}), "axis", std::int64_t{0});
  model.node("Reshape", {"all", "pairs"}, {"matrix"});
  model.integers("start", {-1}).integers("end", {INT64_MIN}).integers("axis", {0}).integers("step", {-1});
  model.node("Slice", {"matrix", "start", "end", "axis", "step"}, {"reversed"});
  set(model.node("Transpose", {"reversed"}, {"turned"}), "perm", {1, 0});
  model.integers("flat", {-1});
  model.node("Reshape", {"turned", "flat"}, {"list"});
  set(model.node("Cast", {"list"}, {"pads"}), "to", std::int64_t{7});
  model.node("Pad", {"x", "pads"}, {"y"});
  EXPECT_EQ(result(model, Tensor({1, 1, 2, 2}, {1, 2, 3, 4})), (Tensor({1, 1, 3, 3}, {0, 1, 2, 0, 3, 4, 0, 0, 0})));
}

TEST(OnnxImport, IntegerArithmeticFolds) {
  OnnxBuilder model({1, 12});
  model.integer("two", 2).integer("six", 6).integer("one", 1).integers("axis0", {0});
  model.node("Size", {"x"}, {"n"});
  model.node("Div", {"n", "six"}, {"a"});  // 2
  model.node("Mul", {"a", "two"}, {"b"});  // 4
  model.node("Sub", {"b", "one"}, {"c"});  // 3
  set(model.node("Cast", {"c"}, {"cf"}), "to", std::int64_t{1});
  model.node("Floor", {"cf"}, {"cg"});
  set(model.node("Cast", {"cg"}, {"ci"}), "to", std::int64_t{7});
  model.node("Range", {"ci", "b", "one"}, {"range"});  // [3]
  model.integers("minus", {-1}).integers("four", {4});
  model.node("Equal", {"minus", "minus"}, {"always"});
  model.node("Where", {"always", "four", "range"}, {"chosen"});  // [4]
  set(model.node("Concat", {"range", "chosen"}, {"target"}), "axis", std::int64_t{0});
  model.node("Reshape", {"x", "target"}, {"y"});
  EXPECT_EQ(model.import().output_shape(), (Shape{3, 4}));
}

TEST(OnnxImport, BadIntegerArithmeticIsRefused) {
  for (const auto& [op, a, b] :
       std::vector<std::tuple<const char*, std::int64_t, std::int64_t>>{{"Add", INT64_MAX, 1},
                                                                        {"Mul", INT64_MIN, -1},
                                                                        {"Div", 1, 0},
                                                                        {"Div", INT64_MIN, -1},
                                                                        {"Mod", 3, 0},
                                                                        {"Sub", INT64_MIN, 1}}) {
    OnnxBuilder model({1, 12});
    model.integer("a", a).integer("b", b);
    model.node(op, {"a", "b"}, {"c"});
    model.node("Identity", {"x"}, {"y"});
    refusal(model, ErrorKind::kCorrupt);
  }
}

TEST(OnnxImport, DropoutAndCastAreNothing) {
  OnnxBuilder model({1, 3});
  model.floats("ratio", Tensor(Shape{}, 0.5F));
  model.node("Dropout", {"x", "ratio"}, {"a", "mask"});
  set(model.node("Cast", {"a"}, {"b"}), "to", std::int64_t{1});
  model.node("Identity", {"b"}, {"y"});
  EXPECT_EQ(model.import().nodes.size(), 1U);
}

TEST(OnnxImport, UnsupportedOperatorsAreNamed) {
  OnnxBuilder selu({1, 3});
  selu.node("Selu", {"x"}, {"y"});
  expect_contains(refusal(selu, ErrorKind::kUnsupported),
                  {"node_y", "Selu", "opset 13", "replace it by a supported activation",
                   "Supported operators: Abs, Add, AveragePool", "Relu", "MaxPool"});
  OnnxBuilder softmax({1, 3});
  softmax.node("Softmax", {"x"}, {"y"});
  expect_contains(refusal(softmax, ErrorKind::kUnsupported), {"Softmax", "after decryption"});
  OnnxBuilder foreign({1, 3});
  foreign.node("Add", {"x", "x"}, {"y"}).set_domain("com.example");
  expect_contains(refusal(foreign, ErrorKind::kUnsupported), {"com.example"});
  OnnxBuilder unknown({1, 3});
  unknown.node("Einsum\x1b[31m", {"x"}, {"y"});
  const std::string message = refusal(unknown, ErrorKind::kUnsupported);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
}

TEST(OnnxImport, OpsetsOutsideTheRangeAreRefused) {
  for (const std::int64_t opset : {-1, 0, 6, 22, 1000}) {
    OnnxBuilder model({1, 3}, opset);
    model.node("Identity", {"x"}, {"y"});
    expect_contains(refusal(model, ErrorKind::kUnsupported), {"7 to 21"});
  }
}

TEST(OnnxImport, StructuralDamageIsCorrupt) {
  OnnxBuilder twice({1, 3});
  twice.node("Neg", {"x"}, {"a"});
  twice.node("Neg", {"x"}, {"a"});
  twice.node("Neg", {"a"}, {"y"});
  expect_contains(refusal(twice, ErrorKind::kCorrupt), {"'a'", "second time"});
  OnnxBuilder cycle({1, 3});
  cycle.node("Add", {"x", "y"}, {"a"});
  cycle.node("Neg", {"a"}, {"y"});
  expect_contains(refusal(cycle, ErrorKind::kCorrupt), {"'y'", "earlier node"});
  OnnxBuilder headless({1, 3});
  headless.node("Neg", {"x"}, {"z"});
  expect_contains(refusal(headless, ErrorKind::kCorrupt), {"'y'"});
  OnnxBuilder constant({1, 3});
  constant.floats("c", Tensor(Shape{3}));
  constant.node("Neg", {"c"}, {"y"});
  refusal(constant, ErrorKind::kUnsupported);
  OnnxBuilder named({1, 3});
  named.floats("c", Tensor(Shape{3})).floats("c", Tensor(Shape{3}));
  named.node("Add", {"x", "c"}, {"y"});
  refusal(named, ErrorKind::kCorrupt);
  OnnxBuilder typed({1, 3, 4, 4});
  set(typed.node("GlobalAveragePool", {"x"}, {"a"}), "unused", 1.0F);
  set(typed.node("Flatten", {"a"}, {"y"}), "axis", 1.0F);
  expect_contains(refusal(typed, ErrorKind::kCorrupt), {"'axis'", "wrong type"});
}

TEST(OnnxImport, TensorsThatContradictThemselvesAreCorrupt) {
  const auto with = [](const auto& change) {
    OnnxBuilder model({1, 3});
    model.floats("c", Tensor(Shape{3}));
    model.node("Add", {"x", "c"}, {"y"});
    change(*model.proto().mutable_graph()->mutable_initializer(0));
    return model;
  };
  refusal(with([](auto& t) { t.mutable_raw_data()->pop_back(); }), ErrorKind::kCorrupt);
  refusal(with([](auto& t) { t.set_dims(0, 4); }), ErrorKind::kCorrupt);
  refusal(with([](auto& t) { t.set_dims(0, -3); }), ErrorKind::kCorrupt);
  refusal(with([](auto& t) { t.set_dims(0, INT64_MAX); }), ErrorKind::kCorrupt);
  refusal(with([](auto& t) { t.clear_raw_data(); }), ErrorKind::kCorrupt);
  refusal(with([](auto& t) { t.add_float_data(1); }), ErrorKind::kCorrupt);
  refusal(with([](auto& t) { t.set_data_type(onnx::TensorProto::INT64); }), ErrorKind::kCorrupt);
  refusal(with([](auto& t) { t.set_data_type(onnx::TensorProto::STRING); }), ErrorKind::kUnsupported);
  refusal(with([](auto& t) { t.set_data_type(12345); }), ErrorKind::kUnsupported);
  refusal(with([](auto& t) { t.set_data_location(onnx::TensorProto::EXTERNAL); }), ErrorKind::kUnsupported);
  refusal(with([](auto& t) { t.add_external_data()->set_key("location"); }), ErrorKind::kUnsupported);
}

TEST(OnnxImport, TypedFieldsAreReadLikeRawData) {
  OnnxBuilder model({1, 2});
  model.floats("c", Tensor(Shape{2}));
  model.node("Add", {"x", "c"}, {"y"});
  onnx::TensorProto& tensor = *model.proto().mutable_graph()->mutable_initializer(0);
  tensor.clear_raw_data();
  tensor.add_float_data(5);
  tensor.add_float_data(6);
  EXPECT_EQ(result(model, Tensor({1, 2}, {1, 2})).data, (std::vector<float>{6, 8}));
  tensor.clear_float_data();
  tensor.set_data_type(onnx::TensorProto::DOUBLE);
  tensor.add_double_data(0.5);
  tensor.add_double_data(0.25);
  EXPECT_EQ(result(model, Tensor({1, 2}, {1, 2})).data, (std::vector<float>{1.5F, 2.25F}));
}

// A few bytes must not make the importer allocate gigabytes: a constant of 2^27 elements by ConstantOfShape, and many
// nodes that share one large weight.
TEST(OnnxImport, ExpandingConstantsIsBounded) {
  OnnxBuilder fill({1, 3});
  fill.integers("s", {1 << 27});
  fill.node("ConstantOfShape", {"s"}, {"c"});
  fill.node("Identity", {"x"}, {"y"});
  refusal(fill, ErrorKind::kResource);
  OnnxBuilder shared({1, 512});
  shared.floats("w", Tensor(Shape{512, 512}));
  for (int i = 0; i < 200; ++i) {
    shared.node("MatMul", {i == 0 ? "x" : "v" + std::to_string(i), "w"}, {"v" + std::to_string(i + 1)});
  }
  shared.node("Identity", {"v200"}, {"y"});
  refusal(shared, ErrorKind::kResource);
}

TEST(OnnxImport, MillionsOfEmptyMessagesAreRefusedUnparsed) {
  // ModelProto.graph (field 7) full of empty NodeProto (field 1).
  const std::size_t count = 4'000'000;
  std::string nodes;
  for (std::size_t i = 0; i < count; ++i) nodes += {'\x0a', '\0'};
  std::string file = "\x3a";
  for (std::size_t length = nodes.size(); length > 0; length >>= 7) {
    file += static_cast<char>((length & 0x7F) | (length > 0x7F ? 0x80 : 0));
  }
  expect_contains(message_of([&] { testing::import_bytes(file + nodes); }, ErrorKind::kResource), {"messages"});
}

TEST(OnnxImport, FilesThatAreNotOnnx) {
  for (const std::string& bytes : {std::string(), std::string("hello, world"), std::string(1000, '\0'),
                                   std::string(1000, '\xff'), std::string("\x08\x07")}) {
    EXPECT_NE(message_of([&] { testing::import_bytes(bytes); }, ErrorKind::kCorrupt), "");
  }
  EXPECT_NE(message_of([] { import_onnx(std::filesystem::path("no/such/model.onnx")); }, ErrorKind::kIo), "");
  EXPECT_NE(message_of([] { import_onnx(std::filesystem::path("/")); }, ErrorKind::kIo), "");
}

}  // namespace
}  // namespace hearth::nn
