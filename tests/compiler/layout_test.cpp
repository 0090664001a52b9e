#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "compiler/diagonals.h"
#include "compiler/layout_search.h"
#include "nn/simplify.h"
#include "random_network.h"

namespace hearth::compiler {
namespace {

using hearth::testing::NetworkMaker;
using Slots = std::vector<std::vector<double>>;  // [ciphertext][slot]

/// A tensor in its slots; slots without an element hold rubbish that a correct map never reads.
Slots fill(const Layout& layout, const std::vector<double>& x, int slots) {
  Slots s(static_cast<std::size_t>(layout.ciphertexts), std::vector<double>(static_cast<std::size_t>(slots), 1e9));
  for (std::size_t e = 0; e < x.size(); ++e) {
    const Place& p = layout.places[e];
    for (int i = p.slot; i < slots; i += layout.period)
      s[static_cast<std::size_t>(p.ciphertext)][static_cast<std::size_t>(i)] = x[e];
  }
  return s;
}

/// What the homomorphic evaluation computes, on plain slots.
Slots evaluate(const PlacedAffine& placed, const Slots& in, int slots) {
  Slots out(static_cast<std::size_t>(placed.map.outputs), std::vector<double>(static_cast<std::size_t>(slots), 0));
  for (const auto& [block, diagonals] : placed.map.blocks) {
    const auto& x = in[static_cast<std::size_t>(block.second)];
    auto& y = out[static_cast<std::size_t>(block.first)];
    for (const auto& [r, d] : diagonals) {
      for (std::size_t s = 0; s < y.size(); ++s) {
        const double w = d[s % d.size()];
        if (w != 0) y[s] += w * x[(s + static_cast<std::size_t>(r)) % y.size()];
      }
    }
  }
  for (std::size_t c = 0; c < out.size(); ++c) {
    for (const int f : placed.folds) {
      const auto before = out[c];
      for (std::size_t s = 0; s < before.size(); ++s)
        out[c][s] += before[(s + static_cast<std::size_t>(f)) % before.size()];
    }
    if (placed.bias.empty()) continue;
    for (std::size_t s = 0; s < out[c].size(); ++s) out[c][s] += placed.bias[c][s % placed.bias[c].size()];
  }
  return out;
}

void expect_injective(const Layout& layout) {
  std::set<std::pair<int, int>> seen;
  for (const Place& p : layout.places) {
    ASSERT_GE(p.ciphertext, 0);
    ASSERT_LT(p.ciphertext, layout.ciphertexts);
    ASSERT_GE(p.slot, 0);
    ASSERT_LT(p.slot, layout.period);
    ASSERT_TRUE(seen.emplace(p.ciphertext, p.slot).second) << "two elements share a slot";
  }
}

class BetweenLayouts : public ::testing::TestWithParam<int> {};

TEST_P(BetweenLayouts, EveryPairOfLayoutsGivesTheSameMap) {
  const int slots = GetParam();
  NetworkMaker make(7);
  const nn::Shape in{1, 3, 5, 6}, out{1, 5, 3, 3};
  const Affine affine = to_affine(make.conv(3, 5, {3, 3}, {2, 2}, {1, 1, 1, 1}), in, out);
  const nn::Tensor x = make.tensor(in);
  const std::vector<double> values(x.data.begin(), x.data.end());
  const std::vector<double> want = apply_affine(affine, values);
  int pairs = 0;
  for (const Layout& from : candidate_layouts(in, slots, {}, {1, 2}, {8})) {
    expect_injective(from);
    for (const Layout& to :
         candidate_layouts(out, slots, {{5, 6, 1, 1}, {5, 6, 2, 2}, {8, 8, 2, 2}, {6, 3, 2, 1}, {3, 8, 1, 2}}, {1})) {
      expect_injective(to);
      const PlacedAffine placed = place(affine, from, to);
      const Slots got = evaluate(placed, fill(from, values, slots), slots);
      for (std::size_t e = 0; e < want.size(); ++e) {
        for (int s = to.places[e].slot; s < slots; s += to.period) {
          ASSERT_NEAR(got[static_cast<std::size_t>(to.places[e].ciphertext)][static_cast<std::size_t>(s)], want[e],
                      1e-9);
        }
      }
      const PlacementCost cost = placement_cost(affine, from, to);
      std::size_t diagonals = 0;
      for (const auto& [block, list] : placed.map.blocks) diagonals += list.size();
      EXPECT_EQ(cost.diagonals, static_cast<std::int64_t>(diagonals));
      EXPECT_EQ(cost.folds, static_cast<int>(placed.folds.size()) * to.ciphertexts);
      ++pairs;
    }
  }
  EXPECT_GT(pairs, 20);
}
INSTANTIATE_TEST_SUITE_P(Slots, BetweenLayouts, ::testing::Values(32, 64, 256, 1024));

TEST(Layouts, DenseLayersNeedNoMoreDiagonalsThanTheSmallerSide) {
  NetworkMaker make(8);
  const Affine affine = to_affine(make.dense(256, 10), {1, 256}, {1, 10});
  const auto in = candidate_layouts({1, 256}, 4096, {}, {1}), out = candidate_layouts({1, 10}, 4096, {}, {1});
  const PlacementCost cost = placement_cost(affine, in[0], out[0]);
  EXPECT_EQ(cost.diagonals, 16);
  EXPECT_EQ(cost.folds, 4);
}

TEST(Layouts, LeastPeriod) {
  EXPECT_EQ(least_period({1, 2, 1, 2}), (std::vector<double>{1, 2}));
  EXPECT_EQ(least_period({3, 3, 3, 3}), (std::vector<double>{3}));
  EXPECT_EQ(least_period({1, 2, 3, 4}).size(), 4U);
}

/// The beginning of a residual network for small images: three channels to many, then a stride.
ArithGraph image_network(NetworkMaker& make) {
  nn::Graph g;
  auto v = g.add("input", nn::Input{{1, 3, 16, 16}});
  v = g.add("first", make.conv(3, 8, {3, 3}, {1, 1}, {1, 1, 1, 1}), {v});
  v = g.add("relu", nn::Activation{nn::ActivationKind::kRelu}, {v});
  v = g.add("same", make.conv(8, 8, {3, 3}, {1, 1}, {1, 1, 1, 1}), {v});
  v = g.add("relu2", nn::Activation{nn::ActivationKind::kRelu}, {v});
  v = g.add("strided", make.conv(8, 16, {3, 3}, {2, 2}, {1, 1, 1, 1}), {v});
  v = g.add("relu3", nn::Activation{nn::ActivationKind::kRelu}, {v});
  g.add("last", make.conv(16, 16, {3, 3}, {1, 1}, {1, 1, 1, 1}), {v});
  return reduce(nn::simplify(g));
}

std::map<std::string, PlacementCost> placement_costs(const LayoutPlan& plan) {
  std::map<std::string, PlacementCost> costs;
  for (std::size_t i = 0; i < plan.layouts.size(); ++i) {
    const ArithNode& node = plan.graph.nodes[i];
    const auto* linear = std::get_if<arith::Linear>(&node.op);
    if (!linear) continue;
    costs[node.name] = placement_cost(linear->affine, plan.layouts[static_cast<std::size_t>(node.inputs[0])],
                                      plan.layouts[i], plan.costs, linear->layer.get());
  }
  return costs;
}

TEST(Layouts, WhereDiagonalsAreEncodedInTheRunThereAreFew) {
  constexpr int kSlots = 2048;  // what an image of 8 channels fills
  NetworkMaker make(9);
  const ArithGraph graph = image_network(make);
  const LayoutPlan plan = choose_layouts(graph, kSlots, streamed_costs(kSlots));
  auto costs = placement_costs(plan);
  ASSERT_EQ(costs.size(), 4U);
  EXPECT_LE(costs["first"].diagonals, 3 * (2 * 8 + 8 + 3));
  EXPECT_LE(costs["same"].diagonals, 3 * (2 * 8 + 2 * 8));
  EXPECT_LE(costs["strided"].diagonals, 3 * (2 * 8 + 8 + 16));
  EXPECT_LE(costs["last"].diagonals, 3 * (2 * 16 + 2 * 16));
  for (const Layout& layout : plan.layouts) EXPECT_EQ(layout.ciphertexts, 1);
}

TEST(Layouts, PlansFollowTheCostsOfStreamedMaps) {
  ckks::MapShape shape;
  for (int r = 0; r < 240; ++r) shape.diagonals.push_back({0, 0, r, 1024});
  const LayoutCosts costs = streamed_costs(1024);
  const ckks::BsgsPlan plan = plan_at(shape, 1024, costs), ahead = plan_at(shape, 1024, {});
  EXPECT_LT(plan.babies.size(), ahead.babies.size()) << "a rotated input is divided by P";
  for (const ckks::DiagonalPlace& d : shape.diagonals) {
    const int baby = plan.baby(d.rotation, 1024), giant = plan.giant(d.rotation, 1024);
    EXPECT_TRUE(std::ranges::binary_search(plan.babies, baby) && std::ranges::binary_search(plan.giants, giant));
  }
}

TEST(Layouts, PeriodsOfLayersAreEstimated) {
  NetworkMaker make(10);
  const nn::Shape in{1, 4, 7, 7}, out{1, 4, 7, 7};
  const nn::Op op = make.conv(4, 4, {3, 3}, {1, 1}, {1, 1, 1, 1});
  const Affine affine = to_affine(op, in, out);
  const auto layer = to_convolution(op, in, out);
  for (const Layout& layout : candidate_layouts(in, 1024, {}, {1})) {
    const PlacedAffine placed = place(affine, layout, layout);
    double numbers = 0;
    for (const auto& [block, list] : placed.map.blocks) {
      for (const auto& [rotation, diagonal] : list) numbers += static_cast<double>(diagonal.size());
    }
    const PlacementCost cost = placement_cost(affine, layout, layout, streamed_costs(1024), layer.get());
    EXPECT_NEAR(cost.numbers, numbers, numbers / 2);
  }
}

TEST(Layouts, SearchMeetsAtAdditionsAndIsNoWorseThanContiguous) {
  for (unsigned seed = 0; seed < 4; ++seed) {
    NetworkMaker make(seed);
    const ArithGraph graph = reduce(nn::simplify(make.branchy()));
    const LayoutPlan plan = choose_layouts(graph, 1024);
    ASSERT_EQ(plan.layouts.size(), plan.graph.nodes.size());
    for (std::size_t i = 0; i < plan.layouts.size(); ++i) {
      const ArithNode& node = plan.graph.nodes[i];
      ASSERT_EQ(static_cast<std::int64_t>(plan.layouts[i].places.size()), plan.graph.size(static_cast<int>(i)));
      if (node.inputs.size() == 2 && !std::holds_alternative<arith::Concat>(node.op)) {
        EXPECT_EQ(plan.layouts[static_cast<std::size_t>(node.inputs[0])],
                  plan.layouts[static_cast<std::size_t>(node.inputs[1])]);
      }
    }
    const nn::Tensor x = make.tensor({1, 3, 5, 6});
    const std::vector<double> in(x.data.begin(), x.data.end());
    EXPECT_EQ(evaluate(plan.graph, in)[static_cast<std::size_t>(plan.graph.output)],
              evaluate(graph, in)[static_cast<std::size_t>(graph.output)]);
  }
}

}  // namespace
}  // namespace hearth::compiler
