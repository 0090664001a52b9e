#include "nn/equalise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/error.h"
#include "nn/reference.h"
#include "nn/simplify.h"
#include "onnx_builder.h"
#include "random_graph.h"

namespace hearth::nn {
namespace {

using testing::message_of;
using testing::random_tensor;

std::vector<Tensor> inputs_of(const Graph& graph) {
  std::vector<Tensor> out;
  for (std::uint32_t seed = 0; seed < 4; ++seed) out.push_back(random_tensor(graph.input_shape(), 70 + seed));
  return out;
}

/// Random weights, row o of them and its bias times 2^-(o % levels) times something below 2.
template <typename Layer>
Layer uneven(Layer layer, std::uint32_t seed, std::int64_t levels) {
  layer.weights = random_tensor(layer.weights.shape, seed);
  layer.bias = random_tensor(layer.bias.shape, seed + 1);
  const std::size_t row = layer.weights.data.size() / layer.bias.data.size();
  for (std::size_t i = 0; i < layer.weights.data.size(); ++i) {
    const auto level = static_cast<float>(static_cast<std::int64_t>(i / row) % levels);
    layer.weights.data[i] *= std::exp2(-level);
    if (i % row == 0) layer.bias.data[i / row] *= std::exp2(-level);
  }
  return layer;
}

Conv2d conv(std::int64_t outputs, std::int64_t inputs, std::uint32_t seed, std::int64_t levels = 5) {
  Conv2d op{Tensor({outputs, inputs, 3, 3}), Tensor(Shape{outputs})};
  op.pads = {1, 1, 1, 1};
  return uneven(op, seed, levels);
}

Dense dense(std::int64_t outputs, std::int64_t inputs, std::uint32_t seed, std::int64_t levels = 5) {
  return uneven(Dense{Tensor({outputs, inputs}), Tensor(Shape{outputs})}, seed, levels);
}

/// Largest over smallest range of a value's channels.
double spread(const Calibration& calibration, ValueId id) {
  double low = INFINITY;
  double high = 0;
  for (const Range& channel : calibration.values[id].channels) {
    low = std::min(low, double{channel.abs_max});
    high = std::max(high, double{channel.abs_max});
  }
  return high / low;
}

/// As far as ranges alone allow.
const EqualiseLimits kUnlimited = {1024, 1e9, true};
/// The default ones, but powers of two.
const EqualiseLimits kUsual = {64, 2, true};

/// equalise(graph), after checking that it computes exactly the same: powers of two do not change a rounding.
Graph equalised(const Graph& graph, const EqualiseLimits& limits = kUsual) {
  const std::vector<Tensor> inputs = inputs_of(graph);
  const Calibration before = calibrate(graph, inputs);
  const Graph out = equalise(graph, before, limits);
  for (const Tensor& x : inputs) EXPECT_EQ(run(out, x), run(graph, x)) << to_string(graph);
  // No layer's largest range has grown.
  const Calibration after = calibrate(out, inputs);
  for (ValueId id = 0; id < graph.nodes.size(); ++id) {
    if (!std::holds_alternative<Activation>(graph.nodes[id].op)) continue;
    const ValueId x = graph.nodes[id].inputs[0];
    EXPECT_LE(after.values[x].overall.abs_max, before.values[x].overall.abs_max) << graph.nodes[id].name;
  }
  return out;
}

double spread_after(const Graph& graph, ValueId id, const EqualiseLimits& limits = kUsual) {
  return spread(calibrate(equalised(graph, limits), inputs_of(graph)), id);
}

double spread_before(const Graph& graph, ValueId id) { return spread(calibrate(graph, inputs_of(graph)), id); }

Graph start(const Shape& shape) {
  Graph graph;
  graph.add("x", Input{shape});
  return graph;
}

void append(Graph& graph, Op op) { graph.add("n", std::move(op), {graph.output}); }

TEST(Equalise, ReluBetweenConvolutions) {
  Graph graph = start({1, 3, 6, 6});
  append(graph, conv(10, 3, 1));
  append(graph, Activation{});
  append(graph, conv(4, 10, 3));
  EXPECT_GT(spread_before(graph, 1), 16);
  EXPECT_LT(spread_after(graph, 1), 2.0);
}

TEST(Equalise, ArbitraryFactorsGoFurtherAndKeepResultsToRounding) {
  Graph graph = start({1, 3, 6, 6});
  append(graph, conv(10, 3, 1));
  append(graph, Activation{});
  append(graph, conv(4, 10, 3));
  const std::vector<Tensor> inputs = inputs_of(graph);
  const Graph out = equalise(graph, calibrate(graph, inputs), {1024, 1e9});
  EXPECT_LT(spread(calibrate(out, inputs), 1), 1.0001);
  for (const Tensor& x : inputs) EXPECT_LT(testing::distance(run(out, x), run(graph, x)), 1e-6);
}

TEST(Equalise, ThroughPoolingFlatteningConstantsAndMaxima) {
  Graph graph = start({1, 3, 8, 8});
  append(graph, conv(10, 3, 1));
  append(graph, AddConstant{random_tensor({1, 1, 8, 8}, 9)});
  append(graph, MaxPool{{2, 2}, {2, 2}});
  append(graph, Activation{ActivationKind::kLeakyRelu, 0.25});
  append(graph, AveragePool{{2, 2}, {2, 2}});
  append(graph, Reshape{{1, 40}});
  append(graph, dense(6, 40, 5));
  append(graph, Activation{ActivationKind::kAbs});
  append(graph, AddConstant{Tensor(Shape{}, -0.25F)});
  append(graph, dense(3, 6, 7));
  const Graph out = equalised(graph, kUnlimited);
  const Calibration after = calibrate(out, inputs_of(graph));
  // The constant image has the same range in all channels, so the scaled sum is uneven no more than it was.
  EXPECT_LT(spread(after, 3), spread_before(graph, 3));
  EXPECT_GT(spread_before(graph, 7), 8);
  EXPECT_LT(spread(after, 7), 2.0);
}

TEST(Equalise, ResidualSumsShareTheirFactors) {
  Graph graph = start({1, 3, 6, 6});
  append(graph, conv(8, 3, 1));
  append(graph, Activation{});
  append(graph, conv(8, 8, 3));
  append(graph, Activation{});
  append(graph, conv(8, 8, 5));
  graph.add("sum", Add{}, {5, 2});
  append(graph, Activation{});
  append(graph, conv(2, 8, 7));
  const Graph out = equalised(graph);
  const Calibration after = calibrate(out, inputs_of(graph));
  for (const ValueId id : {1, 3}) EXPECT_LT(spread(after, id), spread_before(graph, id) / 4) << id;
  EXPECT_LT(spread(after, 3), 2.0);
  EXPECT_LT(spread(after, 6), spread_before(graph, 6));
  // Stem and second convolution of the block were multiplied alike.
  const auto& stem = std::get<Conv2d>(out.nodes[1].op).bias.data;
  const auto& last = std::get<Conv2d>(out.nodes[5].op).bias.data;
  for (std::size_t c = 0; c < 8; ++c) {
    EXPECT_EQ(stem[c] / std::get<Conv2d>(graph.nodes[1].op).bias.data[c],
              last[c] / std::get<Conv2d>(graph.nodes[5].op).bias.data[c]);
  }
}

TEST(Equalise, DepthwiseAndGroupedConvolutions) {
  Graph graph = start({1, 3, 6, 6});
  append(graph, conv(8, 3, 1));
  append(graph, Activation{});
  Conv2d depthwise = conv(16, 1, 3);
  depthwise.groups = 8;
  append(graph, depthwise);
  append(graph, Activation{});
  Conv2d grouped = conv(6, 8, 5);
  grouped.groups = 2;
  append(graph, grouped);
  EXPECT_LT(spread_after(graph, 1, kUnlimited), 2.0);
  EXPECT_LT(spread_after(graph, 3, kUnlimited), 2.0);
}

TEST(Equalise, WhatDoesNotScaleStaysAsItIs) {
  const auto between = [](const Op& op) {
    Graph graph = start({1, 3, 6, 6});
    append(graph, conv(10, 3, 1));
    append(graph, op);
    append(graph, Activation{});
    append(graph, conv(4, 10, 3));
    return graph;
  };
  for (const Op& op : {Op(clip(0, 6)), Op(Activation{ActivationKind::kSilu}), Op(Polynomial{Tensor({3, 1}, {0, 0, 1})}),
                       Op(Pad{{0, 0, 0, 0}, {0, 0, 1, 0}, 1.0F}), Op(Transpose{{0, 1, 3, 2}})}) {
    const Graph graph = between(op);
    EXPECT_EQ(std::get<Conv2d>(equalised(graph).nodes[1].op).weights, std::get<Conv2d>(graph.nodes[1].op).weights);
  }
  // The output's channels are what the client reads.
  Graph graph = start({1, 3, 6, 6});
  append(graph, conv(10, 3, 1));
  append(graph, Activation{});
  EXPECT_EQ(to_string(equalised(graph)), to_string(graph));
  EXPECT_EQ(std::get<Conv2d>(equalised(graph).nodes[1].op).weights, std::get<Conv2d>(graph.nodes[1].op).weights);
}

TEST(Equalise, FactorsStayWithinTheirLimits) {
  Graph graph = start({1, 2, 4, 4});
  Conv2d first = conv(4, 2, 1, 1);
  const auto scale_row = [&](std::size_t o, float factor) {
    for (std::size_t i = 0; i < 18; ++i) first.weights.data[18 * o + i] *= factor;
    first.bias.data[o] *= factor;
  };
  scale_row(1, 0x1p-10F);  // tiny
  scale_row(2, 0);         // dead
  // As strong as the others but never far from 0: what arrives with the input would be amplified.
  scale_row(3, 0x1p-10F);
  for (std::size_t i = 0; i < 9; ++i) first.weights.data[54 + i] += 1;
  append(graph, first);
  append(graph, Activation{});
  append(graph, conv(3, 4, 3));
  std::vector<Tensor> inputs = inputs_of(graph);
  for (Tensor& x : inputs) std::fill_n(x.data.begin(), 16, 0.0F);
  const auto factors = [&](const EqualiseLimits& limits) {
    const Graph out = equalise(graph, calibrate(graph, inputs), limits);
    for (const Tensor& x : inputs) EXPECT_EQ(run(out, x), run(graph, x));
    std::vector<float> ratios;
    for (const std::size_t c : {0, 1, 3}) {
      ratios.push_back(std::get<Conv2d>(out.nodes[1].op).weights.data[18 * c] / first.weights.data[18 * c]);
    }
    for (std::size_t i = 36; i < 54; ++i) EXPECT_EQ(std::get<Conv2d>(out.nodes[1].op).weights.data[i], 0);
    return ratios;
  };
  EXPECT_EQ(factors({64, 2, true}), (std::vector<float>{1, 64, 2}));
  EXPECT_EQ(factors({16, 1, true}), (std::vector<float>{1, 16, 1}));
  EXPECT_EQ(factors({1, 2, true}), (std::vector<float>{1, 1, 1}));
  EXPECT_GT(factors({4096, 1e9, true})[2], 64);
}

/// Layers of uneven channels with operators between that mostly scale, and older values coming back in.
Graph random_uneven_graph(std::uint32_t seed) {
  std::mt19937 generator(seed);
  const auto below = [&](unsigned count) { return static_cast<std::size_t>(generator() % count); };
  const auto fresh = [&] { return static_cast<std::uint32_t>(generator()); };
  Graph graph = start({1, 3, 8, 8});
  append(graph, conv(6, 3, fresh()));
  for (std::size_t step = 0; step < 12; ++step) {
    const Shape shape = graph.output_shape();
    const ValueId old = below(static_cast<unsigned>(graph.nodes.size()));
    switch (below(10)) {
      case 0:
      case 1:
        append(graph, conv(6, shape[1], fresh()));
        break;
      case 2:
        append(graph, Activation{ActivationKind::kLeakyRelu, 0.25});
        break;
      case 3:
        append(graph, below(4) == 0 ? Activation{ActivationKind::kTanh} : Activation{ActivationKind::kAbs});
        break;
      case 4:
        append(graph, AddConstant{random_tensor(below(2) == 0 ? Shape{} : Shape{1, 6, 1, 1}, fresh())});
        break;
      case 5:
        append(graph, MulConstant{random_tensor({6, 1, 1}, fresh())});
        break;
      case 6:
        if (shape[2] >= 4) append(graph, MaxPool{{2, 2}, {2, 2}});
        break;
      case 7:
        if (graph.nodes[old].shape == shape) graph.add("n", below(2) == 0 ? Op(Add{}) : Op(Max{}), {graph.output, old});
        break;
      default:
        append(graph, Activation{});
        break;
    }
  }
  const std::int64_t count = element_count(graph.output_shape());
  append(graph, Reshape{{1, count}});
  append(graph, dense(4, count, fresh()));
  return graph;
}

TEST(Equalise, RandomGraphsKeepTheirFunction) {
  int changed = 0;
  for (std::uint32_t seed = 0; seed < 600; ++seed) {
    SCOPED_TRACE(seed);
    const Graph graph = random_uneven_graph(seed);
    const Graph out = equalised(graph, kUnlimited);
    for (ValueId id = 0; id < graph.nodes.size(); ++id) {
      const auto* a = std::get_if<Conv2d>(&graph.nodes[id].op);
      const auto* b = std::get_if<Conv2d>(&out.nodes[id].op);
      if (a != nullptr && a->bias != b->bias) ++changed;
    }
    equalised(simplify(testing::random_graph(seed)), kUnlimited);
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_GT(changed, 300);
}

TEST(Equalise, RefusesAnotherGraphsCalibrationAndSenselessLimits) {
  Graph graph = start({1, 2, 4, 4});
  const Calibration calibration = calibrate(graph, inputs_of(graph));
  EXPECT_NE(message_of([&] { equalise(graph, calibration, {0.5, 2}); }, ErrorKind::kInvalidArgument), "");
  append(graph, Activation{});
  EXPECT_NE(message_of([&] { equalise(graph, calibration); }, ErrorKind::kMismatch), "");
}

}  // namespace
}  // namespace hearth::nn
