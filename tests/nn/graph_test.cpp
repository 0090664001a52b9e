#include "nn/graph.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "onnx_builder.h"

namespace hearth::nn {
namespace {

using testing::message_of;

Shape shape_of(const Op& op, std::vector<Shape> inputs) { return infer_shape(op, inputs); }

/// The complaint about an operator on inputs of these shapes; fails the test if there is none.
std::string refusal(const Op& op, std::vector<Shape> inputs) {
  std::string message = message_of([&] { infer_shape(op, inputs); }, ErrorKind::kInvalidArgument);
  EXPECT_NE(message, "") << op_name(op);
  return message;
}

Conv2d conv(Shape weights, std::int64_t groups = 1) {
  Conv2d op{Tensor(weights), Tensor(Shape{weights[0]})};
  op.groups = groups;
  return op;
}

TEST(TensorShape, CountsAreCheckedWithoutOverflow) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({2, 3, 4}), 24);
  EXPECT_EQ(element_count({1 << 10, 0, 1 << 10}), 0);
  for (const Shape& shape : {Shape{1 << 20, 1 << 20, 1 << 20, 1 << 20}, Shape{-1}, Shape{1 << 20, 0, 1 << 20},
                             Shape{INT64_MAX, INT64_MAX}, Shape{kMaxElements + 1}, Shape(kMaxRank + 1, 1)}) {
    EXPECT_NE(message_of([&] { element_count(shape); }, ErrorKind::kInvalidArgument), "");
  }
}

TEST(TensorShape, Broadcasting) {
  EXPECT_EQ(broadcast_shape({2, 1, 3}, {4, 1}), (Shape{2, 4, 3}));
  EXPECT_EQ(broadcast_shape({}, {4}), (Shape{4}));
  EXPECT_NE(message_of([] { broadcast_shape({2}, {3}); }, ErrorKind::kInvalidArgument), "");
  EXPECT_EQ(broadcast_to(Tensor({2, 1}, {1, 2}), {2, 2}), (Tensor({2, 2}, {1, 1, 2, 2})));
  EXPECT_NE(message_of([] { broadcast_to(Tensor(Shape{2, 2}), {2}); }, ErrorKind::kInvalidArgument), "");
  EXPECT_NE(message_of([] { Tensor({2, 2}, {1, 2, 3}); }, ErrorKind::kInvalidArgument), "");
  EXPECT_NE(message_of(
                [] {
                  transposed(Tensor(Shape{2, 2}), std::vector<std::int64_t>{0, 0});
                },
                ErrorKind::kInvalidArgument),
            "");
}

TEST(InferShape, Windows) {
  Conv2d op = conv({8, 3, 3, 5});
  EXPECT_EQ(shape_of(op, {{1, 3, 10, 10}}), (Shape{1, 8, 8, 6}));
  op.strides = {2, 3};
  op.pads = {1, 2, 1, 2};
  op.dilations = {2, 1};
  EXPECT_EQ(shape_of(op, {{1, 3, 10, 10}}), (Shape{1, 8, 4, 4}));
  const AveragePool pool{{3, 3}, {2, 2}, {}, {1, 1}, false, true};
  EXPECT_EQ(shape_of(pool, {{1, 4, 6, 7}}), (Shape{1, 4, 3, 3}));
  EXPECT_EQ(shape_of(MaxPool{{3, 3}, {2, 2}, {}, {1, 1}, true}, {{1, 4, 6, 7}}), (Shape{1, 4, 3, 3}));
  EXPECT_EQ(shape_of(MaxPool{{3, 3}, {2, 2}, {1, 1, 1, 1}}, {{1, 64, 112, 112}}), (Shape{1, 64, 56, 56}));
  // A last window that would start in the bottom padding is dropped.
  const AveragePool padded{{2, 2}, {3, 3}, {0, 0, 1, 1}, {1, 1}, false, true};
  EXPECT_EQ(shape_of(padded, {{1, 1, 3, 3}}), (Shape{1, 1, 1, 1}));
}

TEST(InferShape, RefusesWhatDoesNotFit) {
  refusal(conv({8, 3, 3, 3}), {{1, 4, 10, 10}});
  refusal(conv({8, 3, 3, 3}), {{2, 3, 10, 10}});
  refusal(conv({8, 3, 3, 3}), {{3, 10, 10}});
  refusal(conv({8, 3, 3, 3}), {{1, 3, 2, 10}});
  refusal(conv({6, 2, 1, 1}, 4), {{1, 8, 4, 4}});
  refusal(conv({6, 2, 1, 1}, 0), {{1, 8, 4, 4}});
  Conv2d op = conv({8, 3, 3, 3});
  op.strides = {0, 1};
  refusal(op, {{1, 3, 10, 10}});
  op.strides = {1, 1};
  op.pads.left = -1;
  refusal(op, {{1, 3, 10, 10}});
  op.pads.left = INT64_MAX;
  refusal(op, {{1, 3, 10, 10}});
  op.pads = {};
  op.bias = Tensor(Shape{7});
  refusal(op, {{1, 3, 10, 10}});
  refusal(Dense{Tensor(Shape{2, 3}), Tensor(Shape{2})}, {{1, 4}});
  refusal(Add{}, {{1, 4}, {1, 5}});
  refusal(Add{}, {{1, 4}});
  refusal(AddConstant{Tensor(Shape{2, 1})}, {{1, 4}});
  refusal(Polynomial{Tensor(Shape{3, 2})}, {{1, 3, 4, 4}});
  refusal(Polynomial{Tensor(Shape{1, 1})}, {{1, 3}});
  refusal(BatchNorm{Tensor(Shape{2}), Tensor(Shape{2})}, {{1, 3}});
  refusal(GlobalAveragePool{}, {{1, 3}});
  refusal(Max{}, {{1, 4}, {1, 5}});
  refusal(Max{}, {{1, 4}});
  refusal(MaxPool{}, {{1, 3}});
  refusal(MaxPool{{9, 1}}, {{1, 3, 8, 8}});
  // Windows of nothing but padding: before the image, behind it, and on both sides with a gap between.
  refusal(MaxPool{{2, 2}, {1, 1}, {2, 0, 0, 0}}, {{1, 3, 8, 8}});
  refusal(MaxPool{{2, 2}, {1, 1}, {0, 0, 0, 2}}, {{1, 3, 8, 8}});
  refusal(MaxPool{{2, 2}, {1, 1}, {1, 1, 1, 1}, {3, 3}}, {{1, 3, 2, 2}});
  refusal(ReduceMean{{1, 1}, true}, {{1, 3}});
  refusal(ReduceMean{{2}, true}, {{1, 3}});
  refusal(ReduceMean{{}, true}, {{1, 3}});
  refusal(Reshape{{4}}, {{1, 3}});
  refusal(Pad{{0}, {0}}, {{1, 3}});
  refusal(Pad{{0, -1}, {0, 0}}, {{1, 3}});
  refusal(Pad{{0, kMaxElements}, {0, 0}}, {{1, 3}});
  refusal(Concat{2}, {{1, 3}, {1, 3}});
  refusal(Concat{1}, {{1, 3}, {2, 3}});
  refusal(Concat{1}, {});
  refusal(Slice{{0, 2}, {1, 1}, {1, 2}}, {{1, 3}});
  refusal(Slice{{0, 0}, {1, 0}, {1, 2}}, {{1, 3}});
  refusal(Slice{{0, 0}, {1, 1}, {1, 0}}, {{1, 3}});
  refusal(Transpose{{0, 0}}, {{1, 3}});
  refusal(Input{{2, 3}}, {});
}

TEST(Graph, AddNamesTheNodeItRefuses) {
  Graph graph;
  EXPECT_NE(message_of([&] { graph.add("early", Identity{}, {0}); }, ErrorKind::kInvalidArgument), "");
  graph.add("x", Input{{1, 4}});
  const std::string message = message_of(
      [&] {
        graph.add("layer", BatchNorm{Tensor(Shape{3}), Tensor(Shape{3})}, {0});
      },
      ErrorKind::kInvalidArgument);
  EXPECT_NE(message.find("'layer' (BatchNorm)"), std::string::npos) << message;
  EXPECT_EQ(graph.nodes.size(), 1U);
}

TEST(Graph, CheckFindsBrokenInvariants) {
  Graph graph;
  graph.add("x", Input{{1, 4}});
  graph.add("y", Multiply{}, {0, 0});
  check(graph);
  EXPECT_EQ(graph.users(), (std::vector<std::vector<ValueId>>{{1, 1}, {}}));
  Graph forward = graph;
  forward.nodes[1].inputs[1] = 1;
  EXPECT_NE(message_of([&] { check(forward); }, ErrorKind::kInvalidArgument), "");
  Graph misshapen = graph;
  misshapen.nodes[1].shape = {1, 5};
  EXPECT_NE(message_of([&] { check(misshapen); }, ErrorKind::kInvalidArgument), "");
  Graph headless = graph;
  headless.output = 2;
  EXPECT_NE(message_of([&] { check(headless); }, ErrorKind::kInvalidArgument), "");
}

TEST(Graph, ImagesSignalsAndVectors) {
  using Chw = std::array<std::int64_t, 3>;
  EXPECT_EQ(as_chw({1, 3, 5, 7}), (Chw{3, 5, 7}));
  EXPECT_EQ(as_chw({1, 3, 7}), (Chw{3, 1, 7}));
  EXPECT_EQ(as_chw({1, 9}), (Chw{9, 1, 1}));
  EXPECT_EQ(as_chw({9}), (Chw{9, 1, 1}));
  EXPECT_EQ(as_chw({}), (Chw{1, 1, 1}));
  for (const Shape& shape : {Shape{2, 3}, Shape{2, 3, 5, 7}, Shape{1, 2, 3, 5, 7}}) {
    EXPECT_NE(message_of([&] { as_chw(shape); }, ErrorKind::kUnsupported), "") << to_string(shape);
  }
}

TEST(Graph, PrintsOneLineANode) {
  Graph graph;
  graph.name = "net";
  graph.add("x", Input{{1, 3, 8, 8}});
  Conv2d op = conv({4, 3, 3, 3});
  op.pads = {1, 1, 1, 1};
  graph.add("c1", op, {0});
  graph.add("sq", Polynomial{Tensor({3, 1}, {0, 0, 1})}, {1});
  EXPECT_EQ(to_string(graph),
            "graph 'net', 3 nodes\n"
            "%0 = Input() [1, 3, 8, 8]  # x\n"
            "%1 = Conv2d(%0) [1, 4, 8, 8]  weights [4, 3, 3, 3], stride 1x1, pads 1,1,1,1  # c1\n"
            "%2 = Polynomial(%1) [1, 4, 8, 8]  degree 2, {0, 0, 1}  # sq  (output)\n");
  graph.add("a", clip(0, 6), {2});
  graph.add("p", MaxPool{{2, 2}, {2, 2}}, {3});
  graph.add("m", Max{}, {4, 4});
  const std::string text = to_string(graph);
  for (const char* line :
       {"%3 = Clip(%2) [1, 4, 8, 8]  0, 6  # a\n", "%4 = MaxPool(%3) [1, 4, 4, 4]  kernel 2x2, stride 2x2  # p\n",
        "%5 = Max(%4, %4) [1, 4, 4, 4]  # m  (output)\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace hearth::nn
