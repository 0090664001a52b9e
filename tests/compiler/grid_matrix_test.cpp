#include "compiler/program/grid_matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "compiler/affine.h"
#include "compiler/grid_plan.h"
#include "random_network.h"
#include "tests/base/expect_error.h"

namespace hearth::compiler {
namespace {

using hearth::testing::NetworkMaker;
using Slots = std::vector<std::vector<double>>;  // [ciphertext][slot]

constexpr int kSlots = 1 << 11;

/// A graph of one implicit layer on a grid.
struct OneLayer {
  OneLayer(const nn::Op& op, const nn::Shape& in) : input(in) {
    output = nn::infer_shape(op, std::vector<nn::Shape>{in});
    affine = to_affine(op, in, output);
    nn::Graph graph;
    graph.add("input", nn::Input{in});
    graph.add("layer", op, {0});
    plan = plan_on_grid(reduce(graph, LinearForm::kImplicit), kSlots);
  }
  const GridMatrix& matrix() const { return *plan->matrices[1]; }

  nn::Shape input, output;
  Affine affine;
  std::optional<LayoutPlan> plan;
};

Slots placed(const Layout& layout, const std::vector<double>& values, int slots) {
  Slots out(static_cast<std::size_t>(layout.ciphertexts), std::vector<double>(static_cast<std::size_t>(slots), 0));
  for (std::size_t e = 0; e < values.size(); ++e) {
    const Place& p = layout.places[e];
    for (int at = p.slot; at < slots; at += layout.period) {
      out[static_cast<std::size_t>(p.ciphertext)][static_cast<std::size_t>(at)] = values[e];
    }
  }
  return out;
}

/// The map as rotations and products, then the folds.
Slots multiplied(const GridMatrix& matrix, const Slots& in) {
  const auto slots = static_cast<std::size_t>(matrix.in()->slots);
  Slots out(static_cast<std::size_t>(matrix.shape().outputs), std::vector<double>(slots, 0));
  for (const ckks::DiagonalPlace& d : matrix.shape().diagonals) {
    std::vector<double> diagonal(d.period, 7);
    matrix.diagonal(d, diagonal);
    const auto& x = in[static_cast<std::size_t>(d.input)];
    auto& y = out[static_cast<std::size_t>(d.output)];
    for (std::size_t s = 0; s < slots; ++s) {
      y[s] += diagonal[s % d.period] * x[(s + static_cast<std::size_t>(d.rotation)) % slots];
    }
  }
  for (const int step : matrix.fold_steps()) {
    for (auto& y : out) {
      const std::vector<double> before = y;
      for (std::size_t s = 0; s < slots; ++s) y[s] += before[(s + static_cast<std::size_t>(step)) % slots];
    }
  }
  return out;
}

/// The map between grids gives what the listed matrix gives, at every element, wherever it is repeated.
void expect_right(NetworkMaker& make, const nn::Op& op, const nn::Shape& in, const std::string& what) {
  const OneLayer layer(op, in);
  ASSERT_TRUE(layer.plan) << what;
  const nn::Tensor x = make.tensor(in);
  const std::vector<double> values(x.data.begin(), x.data.end());
  std::vector<double> want = apply_affine(layer.affine, values);
  const Slots got = multiplied(layer.matrix(), placed(layer.plan->layouts[0], values, kSlots));
  const Layout& out = layer.plan->layouts[1];
  for (std::size_t e = 0; e < want.size(); ++e) {
    const Place& p = out.places[e];
    for (int at = p.slot; at < kSlots; at += out.period) {
      const double value = got[static_cast<std::size_t>(p.ciphertext)][static_cast<std::size_t>(at)];
      ASSERT_NEAR(value + layer.affine.bias[e], want[e], 1e-5 * (1 + std::abs(want[e]))) << what << ", element " << e;
    }
  }
  const std::vector<double> direct = apply_linear(std::get<arith::Linear>(layer.plan->graph.nodes[1].op), values);
  for (std::size_t e = 0; e < want.size(); ++e) ASSERT_NEAR(direct[e], want[e], 1e-5 * (1 + std::abs(want[e]))) << what;
}

TEST(GridMatrix, EveryLayerTypeIsTheListedMatrix) {
  NetworkMaker make(1);
  expect_right(make, make.conv(3, 5, {1, 1}), {1, 3, 7, 7}, "1 x 1");
  expect_right(make, make.conv(5, 6, {3, 3}, {1, 1}, {1, 1, 1, 1}), {1, 5, 7, 7}, "3 x 3");
  expect_right(make, make.conv(3, 2, {5, 5}, {1, 1}, {2, 2, 2, 2}), {1, 3, 14, 9}, "5 x 5");
  expect_right(make, make.conv(3, 4, {7, 7}, {2, 2}, {3, 3, 3, 3}), {1, 3, 14, 14}, "7 x 7 stem");
  expect_right(make, make.conv(3, 4, {3, 3}, {2, 2}, {0, 0, 1, 1}), {1, 3, 14, 14}, "TensorFlow's SAME");
  expect_right(make, make.conv(4, 4, {3, 3}, {2, 2}, {1, 1, 1, 1}), {1, 4, 13, 11}, "stride 2, odd extents");
  expect_right(make, make.conv(4, 7, {1, 1}, {4, 4}), {1, 4, 12, 12}, "stride 4");
  expect_right(make, make.conv(4, 7, {3, 3}, {3, 2}, {1, 1, 1, 1}), {1, 4, 12, 12}, "stride 3 down, 2 across");
  expect_right(make, make.conv(6, 6, {3, 3}, {1, 1}, {1, 1, 1, 1}, 6), {1, 6, 7, 6}, "depthwise");
  expect_right(make, make.conv(6, 12, {3, 3}, {2, 2}, {1, 1, 1, 1}, 3), {1, 6, 7, 6}, "in groups");
  expect_right(make, make.conv(2, 3, {3, 3}, {1, 1}, {2, 2, 2, 2}, 1, {2, 2}), {1, 2, 9, 9}, "dilated");
  expect_right(make, make.conv(40, 50, {1, 1}), {1, 40, 7, 7}, "more channels than a ciphertext holds");
  expect_right(make, nn::GlobalAveragePool{}, {1, 5, 7, 6}, "global pooling");
  expect_right(make, nn::AveragePool{.kernel = {2, 2}, .strides = {2, 2}}, {1, 3, 8, 8}, "pooling");
  expect_right(make, nn::ReduceMean{.axes = {2, 3}}, {1, 5, 3, 3}, "mean");
  expect_right(make, make.dense(9, 11), {1, 9}, "dense");
}

TEST(GridMatrix, DenseLayersOverImagesAreTheListedMatrix) {
  NetworkMaker make(5);
  nn::Graph graph;
  auto x = graph.add("input", nn::Input{{1, 3, 14, 13}});
  x = graph.add("conv", make.conv(3, 5, {1, 1}, {2, 2}), {x});
  x = graph.add("flatten", nn::Reshape{{1, 5 * 49}}, {x});
  const nn::Dense dense = make.dense(5 * 49, 6);
  graph.add("dense", dense, {x});
  const auto plan = plan_on_grid(reduce(graph, LinearForm::kImplicit), kSlots);
  ASSERT_TRUE(plan);
  const nn::Tensor image = make.tensor({1, 5 * 49});
  const std::vector<double> values(image.data.begin(), image.data.end());
  const Affine affine = to_affine(dense, {1, 5 * 49}, {1, 6});
  const std::vector<double> want = apply_affine(affine, values);
  const Slots got = multiplied(*plan->matrices[2], placed(plan->layouts[1], values, kSlots));
  for (std::size_t e = 0; e < want.size(); ++e) {
    const Place& p = plan->layouts[2].places[e];
    for (int at = p.slot; at < kSlots; at += plan->layouts[2].period) {
      ASSERT_NEAR(got[static_cast<std::size_t>(p.ciphertext)][static_cast<std::size_t>(at)] + affine.bias[e], want[e],
                  1e-5);
    }
  }
}

TEST(GridMatrix, RandomConvolutionsAreTheListedMatrix) {
  NetworkMaker make(2);
  for (int i = 0; i < 300; ++i) {
    const int groups = make.pick(1, 3), in = groups * make.pick(1, 9), out = groups * make.pick(1, 9);
    const nn::Shape shape{1, in, make.pick(4, 15), make.pick(4, 15)};
    const nn::HeightWidth kernel{make.pick(1, 5), make.pick(1, 5)}, strides{make.pick(1, 3), make.pick(0, 1) + 1};
    const nn::Pads pads{make.pick(0, 2), make.pick(0, 2), make.pick(0, 2), make.pick(0, 2)};
    if (kernel[0] > shape[2] || kernel[1] > shape[3]) continue;
    expect_right(make, make.conv(in, out, kernel, strides, pads, groups), shape, "convolution " + std::to_string(i));
  }
}

TEST(GridMatrix, DiagonalsRepeatFromColumnToColumn) {
  NetworkMaker make(3);
  const OneLayer layer(make.conv(8, 8, {3, 3}, {1, 1}, {1, 1, 1, 1}), {1, 8, 7, 7});
  for (const ckks::DiagonalPlace& d : layer.matrix().shape().diagonals) {
    EXPECT_EQ(d.period, static_cast<std::size_t>(layer.plan->grids[1]->pitch));
  }
}

TEST(GridMatrix, RefusesPartsThatDoNotFit) {
  NetworkMaker make(4);
  const OneLayer layer(make.conv(3, 4, {3, 3}, {2, 2}, {1, 1, 1, 1}), {1, 3, 7, 7});
  const GridMatrix& m = layer.matrix();
  const auto refused = [](auto make_matrix) { expect_error(ErrorKind::kCorrupt, "", make_matrix); };
  refused([&] { GridMatrix(m.layer(), m.out(), m.in(), false); });
  refused([&] { GridMatrix(m.layer(), m.in(), m.out(), true); });
  Convolution other = *m.layer();
  other.strides = {1, 1};
  refused([&] { GridMatrix(std::make_shared<Convolution>(other), m.in(), m.out(), false); });
  other = *m.layer();
  other.pads = {1000, 1};
  refused([&] { GridMatrix(std::make_shared<Convolution>(other), m.in(), m.out(), false); });
  GridLayout grid = *m.in();
  grid.entries[1] = grid.entries[0];
  refused([&] { GridMatrix(m.layer(), std::make_shared<GridLayout>(grid), m.out(), false); });
}

}  // namespace
}  // namespace hearth::compiler
