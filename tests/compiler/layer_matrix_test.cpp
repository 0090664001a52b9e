#include "compiler/program/layer_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "compiler/affine.h"
#include "compiler/diagonals.h"
#include "compiler/layout_search.h"
#include "random_network.h"
#include "tests/base/expect_error.h"

namespace hearth::compiler {
namespace {

using hearth::testing::NetworkMaker;

struct Layer {
  nn::Op op;
  nn::Shape in, out;
};

Layer layer_of(nn::Op op, nn::Shape in) {
  const nn::Shape out = nn::infer_shape(op, std::vector<nn::Shape>{in});
  return {std::move(op), std::move(in), out};
}

/// Convolutions with strides, pads, dilations and groups of every kind that give an output at all.
Layer random_convolution(NetworkMaker& make) {
  for (;;) {
    const int groups = make.pick(1, 3);
    const int in = groups * make.pick(1, 3), out = groups * make.pick(1, 3);
    const nn::Shape shape{1, in, make.pick(3, 8), make.pick(3, 8)};
    const nn::HeightWidth kernel{make.pick(1, 4), make.pick(1, 4)}, dilations{make.pick(1, 2), make.pick(1, 2)};
    const nn::Pads pads{make.pick(0, 2), make.pick(0, 2), make.pick(0, 2), make.pick(0, 2)};
    if ((kernel[0] - 1) * dilations[0] >= shape[2] || (kernel[1] - 1) * dilations[1] >= shape[3]) continue;
    const nn::HeightWidth strides{make.pick(1, 3), make.pick(1, 3)};
    return layer_of(make.conv(in, out, kernel, strides, pads, groups, dilations), shape);
  }
}

/// The layout with the ciphertexts and the slots in another order, and an element without a place.
Layout shuffled(Layout layout, bool hole) {
  std::mt19937 random(3);
  std::ranges::shuffle(layout.places, random);
  if (hole) layout.places[layout.places.size() / 2] = {};
  return layout;
}

void expect_same_map(const Layer& layer, const Affine& affine, const Layout& in, const Layout& out) {
  const PlacedAffine want = place(affine, in, out);
  ASSERT_TRUE(injective(in) && injective(out));
  const auto convolution = to_convolution(layer.op, layer.in, layer.out);
  ASSERT_TRUE(convolution);
  const auto got = place_layer(*convolution, affine, std::make_shared<Layout>(in), std::make_shared<Layout>(out));
  const ckks::MapShape shape = ckks::shape_of(want.map);
  ASSERT_EQ(got->shape().inputs, shape.inputs);
  ASSERT_EQ(got->shape().outputs, shape.outputs);
  ASSERT_EQ(got->shape().diagonals.size(), shape.diagonals.size());
  for (std::size_t i = 0; i < shape.diagonals.size(); ++i) {
    const ckks::DiagonalPlace &d = got->shape().diagonals[i], &e = shape.diagonals[i];
    ASSERT_TRUE(d.output == e.output && d.input == e.input && d.rotation == e.rotation);
    ASSERT_EQ(d.period, e.period);
    std::vector<double> values(d.period, 7);
    got->diagonal(d, values);
    const auto& expected = want.map.blocks.at({e.output, e.input}).at(e.rotation);
    for (std::size_t b = 0; b < values.size(); ++b) ASSERT_NEAR(values[b], expected[b], 1e-7) << "slot " << b;
  }
  EXPECT_EQ(fold_steps(in, out), want.folds);
  EXPECT_EQ(place_bias(affine.bias, out), want.bias);
}

class LayerMatrices : public ::testing::TestWithParam<int> {};

TEST_P(LayerMatrices, HaveTheDiagonalsOfTheMatrixPlaced) {
  const int slots = GetParam();
  NetworkMaker make(static_cast<unsigned>(slots));
  int pairs = 0;
  for (int round = 0; round < 25; ++round) {
    const Layer layer = random_convolution(make);
    const Affine affine = to_affine(layer.op, layer.in, layer.out);
    const auto from = candidate_layouts(layer.in, slots, {{16, 16, 2, 2}, {16, 8, 2, 1}}, {1, 2});
    const auto to = candidate_layouts(layer.out, slots, {{8, 8, 1, 1}, {16, 16, 2, 2}, {16, 8, 2, 1}}, {1});
    for (int k = 0; k < 6; ++k, ++pairs) {
      const Layout& in = from[static_cast<std::size_t>(make.pick(0, static_cast<int>(from.size()) - 1))];
      const Layout& out = to[static_cast<std::size_t>(make.pick(0, static_cast<int>(to.size()) - 1))];
      expect_same_map(layer, affine, in, out);
    }
    expect_same_map(layer, affine, shuffled(from.front(), true), shuffled(to.back(), false));
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(pairs, 100);
}
INSTANTIATE_TEST_SUITE_P(Slots, LayerMatrices, ::testing::Values(32, 128, 1024));

TEST(LayerMatrix, DenseLayersAndMeansAreConvolutions) {
  NetworkMaker make(5);
  const std::vector<Layer> layers = {
      layer_of(make.dense(40, 12), {1, 40}),
      layer_of(make.dense(12, 40), {1, 12}),
      layer_of(nn::AveragePool{{2, 3}, {2, 1}, {}}, {1, 3, 6, 7}),
      layer_of(nn::AveragePool{{2, 2}, {1, 2}, {}, {2, 1}}, {1, 2, 6, 7}),
      layer_of(nn::GlobalAveragePool{}, {1, 5, 4, 3}),
  };
  for (const Layer& layer : layers) {
    const Affine affine = to_affine(layer.op, layer.in, layer.out);
    for (const Layout& in : candidate_layouts(layer.in, 256, {}, {1})) {
      for (const Layout& out : candidate_layouts(layer.out, 256, {}, {1})) expect_same_map(layer, affine, in, out);
    }
  }
}

TEST(LayerMatrix, OtherOperatorsStayMatrices) {
  NetworkMaker make(6);
  EXPECT_FALSE(to_convolution(make.dense(4, 3), {1, 6, 4}, {1, 6, 3}));
  EXPECT_FALSE(to_convolution(nn::AveragePool{{3, 3}, {2, 2}, {1, 1, 1, 1}}, {1, 2, 7, 5}, {1, 2, 4, 3}));
  EXPECT_FALSE(to_convolution(nn::ReduceMean{{2}, false}, {1, 4, 3, 5}, {1, 4, 5}));
}

TEST(LayerMatrix, ImpossiblePartsAreRefused) {
  const auto layout = [](int elements, int period) {
    Layout out{{}, 1, period};
    for (int i = 0; i < elements; ++i) out.places.push_back({0, i});
    return std::make_shared<Layout>(out);
  };
  const Convolution good{
      .in = {2, 3, 3}, .out = {2, 3, 3}, .kernel = {3, 3}, .pads = {1, 1}, .weights = std::vector<float>(36, 1)};
  const auto make = [&](const Convolution& layer, std::vector<ckks::DiagonalPlace> diagonals, int elements = 18) {
    return LayerMatrix(layer, layout(18, 32), layout(elements, 32), std::move(diagonals));
  };
  EXPECT_NO_THROW(make(good, {{0, 0, 0, 32}, {0, 0, 5, 16}}));
  const auto refused = [&](const Convolution& layer) { EXPECT_THROW(make(layer, {}), Error); };
  Convolution bad = good;
  bad.weights.pop_back();
  refused(bad);
  for (int* const field : {&(bad = good).groups, &bad.in[0], &bad.out[2], &bad.kernel[0], &bad.strides[1],
                           &bad.dilations[0], &bad.pads[1]}) {
    for (const int value : {-2147483647 - 1, -70000, 0, 70000, 2147483647}) {
      if (field == &bad.pads[1] && value == 0) continue;
      bad = good;
      *field = value;
      refused(bad);
    }
  }
  const auto corrupt = [&](const char* what, std::vector<ckks::DiagonalPlace> diagonals, int elements = 18) {
    expect_error(ErrorKind::kCorrupt, what, [&] { make(good, std::move(diagonals), elements); });
  };
  corrupt("layout", {{1, 0, 0, 32}});
  corrupt("layout", {{0, 1, 0, 32}});
  corrupt("layout", {{0, 0, 32, 32}});
  corrupt("layout", {{0, 0, 0, 64}});
  corrupt("layout", {{0, 0, 0, 24}});
  corrupt("order", {{0, 0, 1, 32}, {0, 0, 1, 32}});
  corrupt("elements", {}, 17);
}

}  // namespace
}  // namespace hearth::compiler
