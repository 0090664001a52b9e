#include "compiler/rotation_keys.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/base/expect_error.h"

namespace hearth::compiler {
namespace {

constexpr int kSlots = 1024, kRow = 128;

/// A 3 x 3 window on channels side by side: rotations near 0 and near one row up and down.
ckks::MapShape window(int inputs, int outputs, int reach) {
  ckks::MapShape shape{.inputs = inputs, .outputs = outputs, .diagonals = {}};
  for (int o = 0; o < outputs; ++o) {
    for (int i = 0; i < inputs; ++i) {
      for (const int row : {-kRow, 0, kRow}) {
        for (int r = -reach; r <= reach; ++r) shape.diagonals.push_back({o, i, (row + r + kSlots) % kSlots, 8});
      }
    }
  }
  return shape;
}

/// Distinct rotations of all plans.
std::size_t count_keys(const std::vector<ckks::BsgsPlan>& plans) {
  std::set<int> all;
  for (const ckks::BsgsPlan& plan : plans) {
    for (const int r : ckks::rotations(plan, kSlots)) all.insert(r);
  }
  return all.size();
}

double cost_of(const ckks::MapShape& shape, const ckks::BsgsPlan& plan, const SplitCosts& costs) {
  const ckks::StepCount count = ckks::count_steps(shape, plan, kSlots);
  return costs.baby * static_cast<double>(count.babies) + costs.giant * static_cast<double>(count.giants);
}

void expect_covers(const ckks::MapShape& shape, const ckks::BsgsPlan& plan) {
  const std::set<int> babies(plan.babies.begin(), plan.babies.end()), giants(plan.giants.begin(), plan.giants.end());
  for (const ckks::DiagonalPlace& d : shape.diagonals) {
    EXPECT_TRUE(babies.contains(plan.baby(d.rotation, kSlots)) && giants.contains(plan.giant(d.rotation, kSlots)));
  }
}

TEST(RotationKeys, WithoutALimitEachMapGetsItsCheapestSplit) {
  const std::vector<ckks::MapShape> maps = {window(1, 8, 20), window(8, 1, 20), window(2, 2, 7)};
  std::vector<const ckks::MapShape*> pointers;
  for (const auto& map : maps) pointers.push_back(&map);
  const SplitCosts costs;
  const auto plans = split_rotations(pointers, kSlots, kRow, costs, kSlots);
  ASSERT_EQ(plans.size(), maps.size());
  for (std::size_t i = 0; i < maps.size(); ++i) {
    expect_covers(maps[i], plans[i]);
    for (int step = 1; step <= kSlots; step *= 2) {
      for (const int outer : {0, kRow}) {
        const ckks::BsgsPlan other{.step = step, .babies = {}, .giants = {}, .offset = 0, .outer = outer};
        EXPECT_LE(cost_of(maps[i], plans[i], costs), cost_of(maps[i], other, costs)) << "step " << step;
      }
    }
  }
}

TEST(RotationKeys, FewerKeysCostMoreAndStayWithinTheLimit) {
  const std::vector<ckks::MapShape> maps = {window(1, 8, 20), window(8, 1, 20), window(2, 2, 7), window(4, 4, 30)};
  std::vector<const ckks::MapShape*> pointers;
  for (const auto& map : maps) pointers.push_back(&map);
  const SplitCosts costs;
  double last_cost = 0;
  bool composed = false;
  for (const std::size_t limit : {1000, 60, 30, 22}) {
    const auto plans = split_rotations(pointers, kSlots, kRow, costs, limit);
    EXPECT_LE(count_keys(plans), limit);
    double cost = 0;
    for (std::size_t i = 0; i < maps.size(); ++i) {
      expect_covers(maps[i], plans[i]);
      cost += cost_of(maps[i], plans[i], costs);
      composed = composed || plans[i].outer > 0;
    }
    EXPECT_GE(cost, last_cost);
    last_cost = cost;
  }
  EXPECT_TRUE(composed);
}

TEST(RotationKeys, RefusesRotationsThatAreNone) {
  const ckks::MapShape map{.inputs = 1, .outputs = 1, .diagonals = {{0, 0, kSlots, 1}}};
  expect_error(ErrorKind::kInvalidArgument, "rotates by 1024", [&] { split_rotations({&map}, kSlots, kRow, {}, 10); });
}

}  // namespace
}  // namespace hearth::compiler
