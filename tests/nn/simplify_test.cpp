#include "nn/simplify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nn/reference.h"
#include "onnx_builder.h"
#include "random_graph.h"

namespace hearth::nn {
namespace {

using testing::distance;
using testing::random_tensor;

/// The operators of a simplified graph, without the input.
std::vector<std::string> operators(const Graph& graph) {
  std::vector<std::string> out;
  for (std::size_t i = 1; i < graph.nodes.size(); ++i) out.emplace_back(op_name(graph.nodes[i].op));
  return out;
}

/// simplify(graph), after checking on random inputs that it computes the same.
Graph simplified(const Graph& graph) {
  const Graph out = simplify(graph);
  EXPECT_EQ(out.input_shape(), graph.input_shape());
  for (std::uint32_t seed = 0; seed < 3; ++seed) {
    const Tensor x = random_tensor(graph.input_shape(), 1000 + seed);
    const Tensor expected = run(graph, x);
    double scale = 1;
    for (const float v : expected.data) scale = std::max(scale, std::abs(double{v}));
    EXPECT_LT(distance(run(out, x), expected), 2e-5 * scale) << to_string(graph) << "became\n" << to_string(out);
  }
  return out;
}

using Names = std::vector<std::string>;

Graph start(const Shape& shape) {
  Graph graph;
  graph.add("x", Input{shape});
  return graph;
}

void append(Graph& graph, Op op) { graph.add("n", std::move(op), {graph.output}); }

Conv2d conv(const Shape& weights, const Pads& pads = {}) {
  Conv2d op{random_tensor(weights, 7), random_tensor({weights[0]}, 8)};
  op.pads = pads;
  return op;
}

Dense dense(std::int64_t outputs, std::int64_t inputs) {
  return {random_tensor({outputs, inputs}, 9), random_tensor({outputs}, 10)};
}

BatchNorm norm(std::int64_t channels) { return {random_tensor({channels}, 11), random_tensor({channels}, 12)}; }

TEST(Simplify, BatchNormBehindAConvolutionFolds) {
  Graph graph = start({1, 2, 5, 5});
  append(graph, conv({3, 2, 3, 3}, {1, 1, 1, 1}));
  append(graph, norm(3));
  EXPECT_EQ(operators(simplified(graph)), (Names{"Conv2d"}));
}

TEST(Simplify, BatchNormBeforeAConvolutionFolds) {
  Graph graph = start({1, 4, 5, 5});
  append(graph, norm(4));
  Conv2d grouped = conv({6, 2, 3, 3});
  grouped.groups = 2;
  append(graph, grouped);
  EXPECT_EQ(operators(simplified(graph)), (Names{"Conv2d"}));
}

// The border sees padding, which the batch normalisation before it does not touch.
TEST(Simplify, BatchNormBeforeAPaddedConvolutionKeepsTheBorder) {
  Graph graph = start({1, 2, 4, 4});
  append(graph, norm(2));
  append(graph, conv({3, 2, 3, 3}, {1, 0, 2, 1}));
  EXPECT_EQ(operators(simplified(graph)), (Names{"Conv2d", "AddConstant"}));
  Graph scale = start({1, 2, 4, 4});
  append(scale, MulConstant{random_tensor({1, 2, 1, 1}, 3)});
  append(scale, conv({3, 2, 3, 3}, {1, 0, 2, 1}));
  EXPECT_EQ(operators(simplified(scale)), (Names{"Conv2d"}));
}

TEST(Simplify, ScalarsFoldIntoDense) {
  Graph graph = start({1, 5});
  append(graph, MulConstant{Tensor(Shape{}, 3.0F)});
  append(graph, AddConstant{random_tensor({5}, 2)});
  append(graph, dense(4, 5));
  append(graph, AddConstant{random_tensor({1, 4}, 4)});
  append(graph, MulConstant{random_tensor({4}, 5)});
  EXPECT_EQ(operators(simplified(graph)), (Names{"Dense"}));
}

TEST(Simplify, AFactorBetweenASquareAndADenseLeavesThePlainSquare) {
  Graph graph = start({1, 2, 3, 3});
  append(graph, conv({4, 2, 2, 2}));
  graph.add("square", Multiply{}, {1, 1});
  append(graph, norm(4));
  append(graph, Reshape{{1, 16}});
  append(graph, dense(3, 16));
  const Graph out = simplified(graph);
  EXPECT_EQ(operators(out), (Names{"Conv2d", "Polynomial", "Reshape", "Dense"}));
  EXPECT_EQ(std::get<Polynomial>(out.nodes[2].op).coefficients, (Tensor({3, 1}, {0, 0, 1})));
}

TEST(Simplify, QuadraticsBecomeOnePolynomial) {
  // a x x + b x + c by channel, x used three times.
  Graph graph = start({1, 3, 2, 2});
  const ValueId square = graph.add("square", Multiply{}, {0, 0});
  const ValueId left = graph.add("a", MulConstant{random_tensor({1, 3, 1, 1}, 1)}, {square});
  const ValueId right = graph.add("b", MulConstant{Tensor(Shape{}, 0.5F)}, {0});
  const ValueId sum = graph.add("sum", Add{}, {left, right});
  graph.add("c", AddConstant{Tensor(Shape{}, 2.0F)}, {sum});
  const Graph out = simplified(graph);
  EXPECT_EQ(operators(out), (Names{"Polynomial"}));
  EXPECT_EQ(std::get<Polynomial>(out.nodes[1].op).coefficients.shape, (Shape{3, 3}));
}

TEST(Simplify, CubesBecomeOnePolynomial) {
  Graph graph = start({1, 4});
  const ValueId square = graph.add("square", Multiply{}, {0, 0});
  graph.add("cube", Multiply{}, {square, 0});
  const Graph out = simplified(graph);
  EXPECT_EQ(operators(out), (Names{"Polynomial"}));
  EXPECT_EQ(std::get<Polynomial>(out.nodes[1].op).coefficients, (Tensor({4, 1}, {0, 0, 0, 1})));
}

TEST(Simplify, AValueReadTwiceIsNotFoldedAway) {
  Graph graph = start({1, 2, 4, 4});
  const ValueId c = graph.add("c", conv({2, 2, 1, 1}), {0});
  const ValueId b = graph.add("b", norm(2), {c});
  graph.add("sum", Add{}, {b, c});
  // (a c + b) + c is one affine map of c.
  EXPECT_EQ(operators(simplified(graph)), (Names{"Conv2d"}));
  Graph other = start({1, 2, 4, 4});
  const ValueId d = other.add("d", conv({2, 2, 1, 1}), {0});
  const ValueId n = other.add("n", norm(2), {d});
  const ValueId e = other.add("e", conv({2, 2, 1, 1}), {n});
  other.add("sum", Add{}, {e, d});
  EXPECT_EQ(operators(simplified(other)), (Names{"Conv2d", "Conv2d", "Add"}));
}

TEST(Simplify, PadMovesIntoConvolutionAndPooling) {
  Graph graph = start({1, 2, 4, 4});
  append(graph, Pad{{0, 0, 1, 0}, {0, 0, 2, 1}});
  append(graph, conv({3, 2, 3, 3}, {0, 1, 0, 1}));
  append(graph, Pad{{0, 0, 1, 1}, {0, 0, 0, 1}});
  append(graph, AveragePool{{2, 2}, {2, 2}});
  const Graph out = simplified(graph);
  EXPECT_EQ(operators(out), (Names{"Conv2d", "AveragePool"}));
  EXPECT_EQ(std::get<Conv2d>(out.nodes[1].op).pads, (Pads{1, 1, 2, 2}));
  Graph ones = start({1, 2, 4, 4});
  append(ones, Pad{{0, 0, 1, 0}, {0, 0, 2, 1}, 1.0F});
  append(ones, conv({3, 2, 3, 3}));
  EXPECT_EQ(operators(simplified(ones)), (Names{"Pad", "Conv2d"}));
}

TEST(Simplify, PoolingAndRearrangementsFoldIntoDense) {
  const std::vector<std::pair<Op, std::int64_t>> cases = {
      {GlobalAveragePool{}, 3},
      {ReduceMean{{2, 3}, false}, 3},
      {ReduceMean{{1}, true}, 20},
      {AveragePool{{2, 2}, {2, 2}, {1, 0, 1, 1}, {1, 1}, false, true}, 3 * 3 * 3},
      {AveragePool{{2, 2}, {2, 2}, {1, 0, 1, 1}, {1, 1}, true, true}, 3 * 3 * 3},
      {Transpose{{0, 2, 3, 1}}, 60},
      {Slice{{0, 2, 0, 0}, {1, -1, 2, 1}, {1, 3, 2, 5}}, 30},
      {Pad{{0, 0, 1, 0}, {0, 0, 0, 0}, 2.0F}, 75}};
  for (const auto& [op, count] : cases) {
    Graph graph = start({1, 3, 4, 5});
    append(graph, op);
    append(graph, Reshape{{1, count}});
    append(graph, dense(4, count));
    EXPECT_EQ(operators(simplified(graph)), (Names{"Reshape", "Dense"})) << op_name(op);
  }
}

TEST(Simplify, DenseLayersComposeWhereThatIsLessWork) {
  Graph narrow = start({1, 10});
  append(narrow, dense(2, 10));
  append(narrow, dense(10, 2));
  EXPECT_EQ(operators(simplified(narrow)), (Names{"Dense", "Dense"}));
  Graph wide = start({1, 4});
  append(wide, dense(10, 4));
  append(wide, dense(3, 10));
  EXPECT_EQ(operators(simplified(wide)), (Names{"Dense"}));
}

TEST(Simplify, ReshapesAndTransposesCancel) {
  Graph graph = start({1, 2, 3, 4});
  append(graph, Reshape{{1, 24}});
  append(graph, Reshape{{1, 4, 6}});
  append(graph, Transpose{{0, 2, 1}});
  append(graph, Transpose{{0, 2, 1}});
  append(graph, Identity{});
  append(graph, Reshape{{1, 2, 3, 4}});
  EXPECT_EQ(operators(simplified(graph)), (Names{}));
}

TEST(Simplify, OneDimensionalLayersMeetThroughTheirReshapes) {
  Graph graph = start({1, 2, 9});
  append(graph, Reshape{{1, 2, 1, 9}});
  append(graph, conv({3, 2, 1, 3}));
  append(graph, Reshape{{1, 3, 7}});
  append(graph, norm(3));
  append(graph, Polynomial{Tensor({3, 1}, {0, 0, 1})});
  append(graph, Reshape{{1, 3, 1, 7}});
  append(graph, conv({2, 3, 1, 3}));
  EXPECT_EQ(operators(simplified(graph)), (Names{"Reshape", "Conv2d", "Polynomial", "Conv2d"}));
}

TEST(Simplify, WhatIsLeftBecomesMulAndAdd) {
  Graph graph = start({1, 3, 2, 2});
  append(graph, norm(3));
  EXPECT_EQ(operators(simplified(graph)), (Names{"MulConstant", "AddConstant"}));
}

TEST(Simplify, DeadNodesDisappearAndTheInputStays) {
  Graph graph = start({1, 3});
  graph.add("dead", Multiply{}, {0, 0});
  const ValueId kept = graph.add("kept", dense(2, 3), {0});
  graph.add("also dead", Identity{}, {kept});
  graph.output = kept;
  EXPECT_EQ(operators(simplified(graph)), (Names{"Dense"}));
  graph.output = 0;
  EXPECT_EQ(operators(simplified(graph)), (Names{}));
}

Activation activation(ActivationKind kind, double a = 0, double b = 0) { return {kind, a, b}; }

using enum ActivationKind;

Op scale(double factor) { return MulConstant{Tensor(Shape{}, static_cast<float>(factor))}; }
Op shift(double offset) { return AddConstant{Tensor(Shape{}, static_cast<float>(offset))}; }

/// x -> ops in turn -> times x -> `after`.
Graph gate(const std::vector<Op>& ops, const std::vector<Op>& after = {}) {
  Graph graph = start({1, 6});
  for (const Op& op : ops) append(graph, op);
  graph.add("product", Multiply{}, {0, graph.output});
  for (const Op& op : after) append(graph, op);
  return graph;
}

TEST(Simplify, DecomposedActivationsAreRecognised) {
  const double root = std::sqrt(0.5);
  const Op cubic = Polynomial{Tensor({4, 1}, {0, 0.7978845608F, 0, 0.7978845608F * 0.044715F})};
  const std::vector<std::pair<Graph, Names>> cases = {
      {gate({activation(kSigmoid)}), {"Silu"}},
      {gate({scale(1.702), activation(kSigmoid)}), {"MulConstant", "Silu", "MulConstant"}},
      {gate({activation(kHardSigmoid, 1.0F / 6, 0.5)}), {"HardSwish"}},
      {gate({shift(3), clip(0, 6)}, {scale(1.0 / 6)}), {"HardSwish"}},
      {gate({shift(3), clip(0, 6), scale(1.0 / 6)}), {"HardSwish"}},
      {gate({scale(root), activation(kErf), shift(1)}, {scale(0.5)}), {"Gelu"}},
      {gate({scale(root), activation(kErf), shift(1), scale(0.5)}), {"Gelu"}},
      {gate({scale(root), activation(kErf), scale(0.5), shift(0.5)}), {"Gelu"}},
      {gate({cubic, activation(kTanh), shift(1)}, {scale(0.5)}), {"GeluTanh"}}};
  for (const auto& [graph, expected] : cases) EXPECT_EQ(operators(simplified(graph)), expected) << to_string(graph);
  // (x / 2) (1 + erf(...)), and the tanh form written out as exporters do.
  Graph halved = start({1, 6});
  const ValueId half = halved.add("half", scale(0.5), {0});
  const ValueId inner = halved.add("inner", scale(root), {0});
  const ValueId erf = halved.add("erf", activation(kErf), {inner});
  const ValueId one = halved.add("one", shift(1), {erf});
  halved.add("y", Multiply{}, {half, one});
  EXPECT_EQ(operators(simplified(halved)), (Names{"Gelu"}));
  Graph tanh = start({1, 6});
  const ValueId square = tanh.add("square", Multiply{}, {0, 0});
  const ValueId cube = tanh.add("cube", Multiply{}, {square, 0});
  const ValueId small = tanh.add("small", scale(0.044715), {cube});
  const ValueId sum = tanh.add("sum", Add{}, {0, small});
  append(tanh, scale(0.7978845608));
  EXPECT_EQ(sum + 1, tanh.output);
  append(tanh, activation(kTanh));
  append(tanh, shift(1));
  tanh.add("product", Multiply{}, {0, tanh.output});
  append(tanh, scale(0.5));
  EXPECT_EQ(operators(simplified(tanh)), (Names{"GeluTanh"}));
}

TEST(Simplify, WhatOnlyResemblesADecompositionStays) {
  EXPECT_EQ(operators(simplified(gate({shift(2.9), clip(0, 6)}))), (Names{"AddConstant", "Clip", "Multiply"}));
  EXPECT_EQ(operators(simplified(gate({shift(0.1), activation(kSigmoid)}))),
            (Names{"AddConstant", "Sigmoid", "Multiply"}));
  EXPECT_EQ(operators(simplified(gate({activation(kSigmoid), shift(0.1)}))),
            (Names{"Sigmoid", "AddConstant", "Multiply"}));
  EXPECT_EQ(operators(simplified(gate({scale(0.7), activation(kErf), shift(0.9)}))),
            (Names{"MulConstant", "Erf", "AddConstant", "Multiply"}));
  // A sigmoid that others read too is computed anyway.
  Graph shared = gate({activation(kSigmoid)});
  shared.add("sum", Add{}, {1, 2});
  EXPECT_EQ(operators(simplified(shared)), (Names{"Sigmoid", "Multiply", "Add"}));
}

TEST(Simplify, ActivationsOfActivations) {
  const std::vector<std::pair<std::vector<Op>, Names>> cases = {
      {{Activation{}, Activation{}}, {"Relu"}},
      {{Activation{}, clip(0, 6)}, {"Clip"}},
      {{clip(-1, 6), Activation{}}, {"Clip"}},
      {{clip(-1, 1), clip(2, 3)}, {"Clip"}},
      {{activation(kSigmoid), Activation{}}, {"Sigmoid"}},
      {{activation(kAbs), activation(kLeakyRelu, 0.1)}, {"Abs"}},
      {{Activation{}, Reshape{{1, 3, 2}}, activation(kAbs)}, {"Relu", "Reshape"}},
      {{activation(kLeakyRelu, 1)}, {}},
      {{activation(kTanh), Activation{}}, {"Tanh", "Relu"}},
      {{Activation{}, activation(kSigmoid)}, {"Relu", "Sigmoid"}}};
  for (const auto& [ops, expected] : cases) {
    Graph graph = start({1, 6});
    for (const Op& op : ops) append(graph, op);
    EXPECT_EQ(operators(simplified(graph)), expected) << to_string(graph);
  }
}

TEST(Simplify, MaximaComeBeforeActivationsThatDoNotDecrease) {
  Graph graph = start({1, 2, 5, 5});
  append(graph, activation(kSigmoid));
  append(graph, MaxPool{{3, 3}, {2, 2}, {1, 1, 1, 1}});
  EXPECT_EQ(operators(simplified(graph)), (Names{"MaxPool", "Sigmoid"}));
  Graph decreasing = start({1, 2, 5, 5});
  append(decreasing, activation(kAbs));
  append(decreasing, MaxPool{{2, 2}, {2, 2}});
  EXPECT_EQ(operators(simplified(decreasing)), (Names{"Abs", "MaxPool"}));
  Graph two = start({1, 4});
  const ValueId left = two.add("left", Activation{}, {two.add("l", dense(3, 4), {0})});
  const ValueId right = two.add("right", Activation{}, {two.add("r", scale(2), {two.add("d", dense(3, 4), {0})})});
  two.add("max", Max{}, {left, right});
  EXPECT_EQ(operators(simplified(two)), (Names{"Dense", "Dense", "Max", "Relu"}));
}

TEST(Simplify, MaximaOfMultiplesAreLeaky) {
  for (const double slope : {0.1, 0.0, -1.0}) {
    Graph graph = start({1, 6});
    append(graph, scale(slope));
    graph.add("max", Max{}, {0, 1});
    EXPECT_EQ(operators(simplified(graph)), (Names{slope == 0 ? "Relu" : "LeakyRelu"}));
  }
  Graph same = start({1, 6});
  same.add("max", Max{}, {0, 0});
  EXPECT_EQ(operators(simplified(same)), (Names{}));
}

TEST(Simplify, RandomGraphsKeepTheirFunction) {
  std::vector<int> seen(std::variant_size_v<Op>, 0);
  std::size_t before = 0;
  std::size_t after = 0;
  for (std::uint32_t seed = 0; seed < 4000; ++seed) {
    SCOPED_TRACE(seed);
    const Graph graph = testing::random_graph(seed);
    for (const Node& node : graph.nodes) ++seen[node.op.index()];
    const Graph out = simplified(graph);
    check(out);
    for (const Node& node : out.nodes) {
      EXPECT_FALSE(std::holds_alternative<Identity>(node.op) || std::holds_alternative<BatchNorm>(node.op));
    }
    before += graph.nodes.size();
    after += out.nodes.size();
    // What simplification leaves, it leaves alone the next time.
    EXPECT_EQ(operators(simplify(out)), operators(out)) << to_string(graph) << "became\n" << to_string(out);
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_LT(after, before);
  // Every operator but Concat takes part.
  EXPECT_EQ(std::ranges::count(seen, 0), 1);
}

}  // namespace
}  // namespace hearth::nn
