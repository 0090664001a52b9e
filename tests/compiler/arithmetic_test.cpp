#include "compiler/arithmetic.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "hearth/error.h"
#include "nn/reference.h"
#include "nn/simplify.h"
#include "random_network.h"

namespace hearth::compiler {
namespace {

using hearth::testing::NetworkMaker;

void expect_same_function(NetworkMaker& make, const nn::Graph& graph, const ArithGraph& reduced, double tolerance) {
  const nn::Tensor x = make.tensor(graph.input_shape());
  const nn::Tensor want = nn::run(graph, x);
  const auto values = evaluate(reduced, {x.data.begin(), x.data.end()});
  const std::vector<double>& got = values[static_cast<std::size_t>(reduced.output)];
  ASSERT_EQ(got.size(), want.data.size());
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want.data[i], tolerance) << "element " << i;
}

TEST(Arithmetic, ReducedNetworksComputeTheSame) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    NetworkMaker make(seed);
    for (const nn::Graph& graph : {make.small_cnn(), make.branchy()}) {
      const ArithGraph reduced = reduce(nn::simplify(graph));
      expect_same_function(make, graph, reduced, 1e-4);
      expect_same_function(make, graph, align_scales(reduced), 1e-4);
      // Without the graph's own simplification too.
      expect_same_function(make, graph, reduce(graph), 1e-4);
    }
  }
}

TEST(Arithmetic, FiveLevelsForConvSquareDenseSquareDense) {
  NetworkMaker make(1);
  const ArithGraph reduced = reduce(nn::simplify(make.small_cnn()));
  EXPECT_EQ(reduced.nodes.size(), 6U) << to_string(reduced);
  EXPECT_EQ(assign_levels(reduced).result[0], 5);
}

TEST(Arithmetic, ChainsOfLinearOperatorsBecomeOne) {
  NetworkMaker make(2);
  nn::Graph g;
  auto v = g.add("input", nn::Input{{1, 2, 6, 6}});
  v = g.add("conv", make.conv(2, 2, {1, 1}), {v});
  v = g.add("pool", nn::AveragePool{{2, 2}, {2, 2}, {}}, {v});
  v = g.add("scale", nn::MulConstant{make.tensor({1, 2, 1, 1})}, {v});
  v = g.add("offset", nn::AddConstant{make.tensor({1, 2, 1, 1})}, {v});
  v = g.add("flatten", nn::Reshape{{1, 18}}, {v});
  g.add("fc", make.dense(18, 3), {v});
  const ArithGraph reduced = reduce(g);
  expect_same_function(make, g, reduced, 1e-5);
  EXPECT_EQ(assign_levels(reduced).result[0], 1) << to_string(reduced);
}

/// Level cost of one quadratic with these coefficients {c0, c1, c2 by channel}, between two convolutions.
int quadratic_levels(const std::vector<float>& coefficients) {
  NetworkMaker make(3);
  nn::Graph g;
  auto v = g.add("input", nn::Input{{1, 2, 4, 4}});
  v = g.add("conv", make.conv(2, 2, {3, 3}), {v});
  v = g.add("poly", nn::Polynomial{nn::Tensor({3, 2}, coefficients)}, {v});
  g.add("conv2", make.conv(2, 3, {2, 2}), {v});
  const ArithGraph reduced = reduce(g);
  expect_same_function(make, g, reduced, 1e-5);
  return assign_levels(reduced).result[0] - 2;
}

TEST(Arithmetic, PerChannelQuadraticsCostOneLevelWherePossible) {
  EXPECT_EQ(quadratic_levels({0.5F, 0.1F, 1, -0.7F, 2, 0.3F}), 1) << "same signs";
  EXPECT_EQ(quadratic_levels({0.5F, 0.1F, 1, -0.7F, -2, -0.3F}), 1) << "both negative";
  EXPECT_EQ(quadratic_levels({0.5F, 0.1F, 1, -0.7F, 2, -0.3F}), 1) << "mixed signs";
  EXPECT_EQ(quadratic_levels({0.5F, 0.1F, 1, -0.7F, 2, 0}), 2) << "one channel is linear";
}

TEST(Arithmetic, PerChannelCubicsAreRefusedByName) {
  NetworkMaker make(4);
  nn::Graph g;
  const auto v = g.add("input", nn::Input{{1, 2, 4, 4}});
  g.add("my cubic", nn::Polynomial{make.tensor({4, 2})}, {v});
  try {
    reduce(g);
    FAIL() << "not refused";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
    EXPECT_NE(std::string(e.what()).find("my cubic"), std::string::npos);
  }
}

TEST(Arithmetic, WhatASliceDropsIsMaskedBeforeTheClientSeesIt) {
  NetworkMaker make(6);
  nn::Graph g;
  auto v = g.add("input", nn::Input{{1, 6}});
  v = g.add("fc", make.dense(6, 8), {v});
  EXPECT_EQ(mask_output(reduce(g)).nodes.size(), 2U) << "a linear layer leaves nothing to hide";
  v = g.add("square", make.square(), {v});
  EXPECT_EQ(assign_levels(mask_output(reduce(g))).result[0], 2) << "squares of empty slots are empty";
  nn::Graph shifted = g;
  shifted.add("shift", nn::Polynomial{nn::Tensor({3, 1}, {0.5F, 0, 1})}, {v});
  EXPECT_EQ(assign_levels(mask_output(reduce(shifted))).result[0], 4);
  g.add("slice", nn::Slice{{0, 2}, {1, 1}, {1, 3}}, {v});
  const ArithGraph masked = mask_output(reduce(g));
  EXPECT_EQ(assign_levels(masked).result[0], 3);
  expect_same_function(make, g, masked, 1e-5);
}

TEST(Arithmetic, ResidualsMeetOnOneScale) {
  // x^2 + conv(x^2): the convolution takes the square's scale, nothing is inserted.
  NetworkMaker make(5);
  nn::Graph g;
  const auto in = g.add("input", nn::Input{{1, 2, 4, 4}});
  const auto s = g.add("square", make.square(), {in});
  const auto c = g.add("conv", make.conv(2, 2, {3, 3}, {1, 1}, {1, 1, 1, 1}), {s});
  const auto sum = g.add("add", nn::Add{}, {c, s});
  const auto rescales = [](const ArithGraph& graph) {
    return std::ranges::count_if(graph.nodes,
                                 [](const ArithNode& n) { return std::holds_alternative<arith::Rescale>(n.op); });
  };
  EXPECT_EQ(rescales(align_scales(reduce(g))), 0);
  // x^2 + (x^2)^2: two products, both are rescaled.
  const auto fourth = g.add("square again", make.square(), {s});
  g.add("add squares", nn::Add{}, {fourth, sum});
  EXPECT_GE(rescales(align_scales(reduce(g))), 1);
}

}  // namespace
}  // namespace hearth::compiler
