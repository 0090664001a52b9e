#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "ckks/linear_map.h"

namespace hearth::ckks {
namespace {

TEST(BsgsPlan, ComposedGiantsAreTheirTwoParts) {
  const int slots = 1024;
  BsgsPlan plan{.step = 4, .babies = {}, .giants = {}, .offset = 0, .outer = 64};
  std::set<int> inner, outer;
  for (int r = 0; r < slots; ++r) {
    const int giant = plan.giant(r, slots);
    ASSERT_EQ((plan.inner_part(giant, slots) + plan.outer_part(giant, slots)) % slots, giant);
    ASSERT_EQ(plan.outer_part(giant, slots) % 64, 0);
    inner.insert(plan.inner_part(giant, slots));
    outer.insert(plan.outer_part(giant, slots));
    plan.giants.push_back(giant);
  }
  EXPECT_EQ(inner.size(), 16U);
  EXPECT_EQ(outer.size(), 16U);
  EXPECT_EQ(rotations(plan, slots).size(), 30U);  // without the two zeros
  EXPECT_THROW(rotations(plan), Error);
}

TEST(BsgsPlan, CountsTheStepsOfEveryInputAndOutput) {
  const MapShape shape{
      .inputs = 2, .outputs = 2, .diagonals = {{0, 0, 5, 1}, {0, 1, 5, 1}, {1, 0, 9, 1}, {1, 1, 8, 1}}};
  const StepCount count = count_steps(shape, BsgsPlan{.step = 4, .babies = {0, 1}, .giants = {4, 8}}, 64);
  EXPECT_EQ(count.babies, 2U);  // 1 of either input
  EXPECT_EQ(count.giants, 2U);  // 4 of the first output, 8 of the second
}

TEST(BsgsPlan, EveryRotationIsItsBabyPlusItsGiant) {
  const int slots = 64;
  for (int step = 1; step <= 40; ++step) {
    for (int offset = 0; offset < step; offset += 3) {
      const BsgsPlan plan{.step = step, .babies = {}, .giants = {}, .offset = offset};
      for (int r = 0; r < slots; ++r) {
        const int baby = plan.baby(r, slots), giant = plan.giant(r, slots);
        ASSERT_TRUE(baby >= 0 && baby < slots && giant >= 0 && giant < slots);
        ASSERT_EQ((baby + giant) % slots, r);
      }
    }
  }
}

/// The cost as its definition says it, for one plan.
double cost_of(const LinearMap& map, int slots, const BsgsPlan& plan, double baby_cost, double giant_cost) {
  std::set<std::pair<int, int>> babies, giants;
  for (const auto& [block, diagonals] : map.blocks) {
    for (const auto& [r, diagonal] : diagonals) {
      if (plan.baby(r, slots) != 0) babies.insert({block.second, plan.baby(r, slots)});
      if (plan.giant(r, slots) != 0) giants.insert({block.first, plan.giant(r, slots)});
    }
  }
  return baby_cost * static_cast<double>(babies.size()) + giant_cost * static_cast<double>(giants.size());
}

/// Every rotation in a block of its own choice.
LinearMap spread_at_random(const std::set<int>& rotations) {
  LinearMap map;
  map.inputs = *rc::gen::inRange(1, 4);
  map.outputs = *rc::gen::inRange(1, 4);
  for (const int r : rotations) {
    map.blocks[{*rc::gen::inRange(0, map.outputs), *rc::gen::inRange(0, map.inputs)}][r] = {1.0};
  }
  return map;
}

RC_GTEST_PROP(BsgsPlanProperty, IsAsGoodAsAnyStepWithoutOffset, ()) {
  const int slots = 64;
  const auto rotations = *rc::gen::nonEmpty(rc::gen::container<std::set<int>>(rc::gen::inRange(0, slots)));
  const LinearMap map = spread_at_random(rotations);
  const BsgsPlan plan = plan_bsgs(map, slots, {.baby = 1, .giant = 3});
  double best = std::numeric_limits<double>::infinity();
  for (int step = 1; step <= slots; ++step) {
    best = std::min(best, cost_of(map, slots, {.step = step, .babies = {}, .giants = {}, .offset = 0}, 1, 3));
  }
  RC_ASSERT(cost_of(map, slots, plan, 1, 3) <= best);
  for (const int r : rotations) {
    RC_ASSERT(std::binary_search(plan.babies.begin(), plan.babies.end(), plan.baby(r, slots)));
    RC_ASSERT(std::binary_search(plan.giants.begin(), plan.giants.end(), plan.giant(r, slots)));
  }
}

TEST(BsgsPlan, CentresTheBabiesOfAConvolution) {
  LinearMap map;
  for (const int dy : {-32, 0, 32}) {
    for (const int dx : {-1, 0, 1}) map.blocks[{0, 0}][(dy + dx + 1024) % 1024] = {1.0};
  }
  const BsgsPlan plan = plan_bsgs(map, 1024, {.baby = 1, .giant = 1});
  EXPECT_EQ(plan.babies, (std::vector<int>{0, 1, 1023}));
  EXPECT_EQ(plan.giants, (std::vector<int>{0, 32, 992}));
  EXPECT_EQ(rotations(plan), (std::vector<int>{1, 32, 992, 1023}));
}

BsgsPlan chained(int step, int offset = 0, int copy_step = 0) {
  return {
      .step = step, .babies = {}, .giants = {}, .offset = offset, .outer = 0, .chained = true, .copy_step = copy_step};
}

TEST(ChainedBsgsPlan, GiantsAreSoManySteps) {
  const int slots = 64;
  for (int step = 1; step <= 40; ++step) {
    for (int offset = 0; offset < step; offset += 3) {
      const BsgsPlan plan = chained(step, offset);
      for (int s = -20; s <= 20; ++s) {  // no giant leaves [-32, 32)
        const int r = (s + slots) % slots;
        const int baby = plan.baby(r, slots), giant = plan.giant(r, slots);
        ASSERT_EQ((baby + giant) % slots, r);
        if (s - step < -slots / 2 || s + step >= slots / 2) continue;
        ASSERT_EQ((plan.links(giant, slots) * step + slots) % slots, giant) << step << " " << offset << " " << s;
      }
    }
  }
  EXPECT_EQ(chained(4).links(60, slots), -1);
  EXPECT_EQ(chained(4).links(32, slots), -8);
  EXPECT_EQ(chained(4).links(28, slots), 7);
  EXPECT_THROW(chained(4).links(30, slots), Error);
}

TEST(ChainedBsgsPlan, NeedsTheKeysOfOneStepEachWay) {
  BsgsPlan plan = chained(4, 1);
  plan.babies = {0, 2, 63}, plan.giants = {0, 4, 12, 56};
  EXPECT_EQ(rotations(plan, 64), (std::vector<int>{2, 4, 60, 63}));
  plan.giants = {0, 4, 12};
  EXPECT_EQ(rotations(plan, 64), (std::vector<int>{2, 4, 63}));
  plan.giants = {56};
  EXPECT_EQ(rotations(plan, 64), (std::vector<int>{2, 60, 63}));
  plan.giants = {0};
  EXPECT_EQ(rotations(plan, 64), (std::vector<int>{2, 63}));
  EXPECT_THROW(rotations(plan), Error);
}

TEST(ChainedBsgsPlan, CountsLinksOfGapsToo) {
  const MapShape shape{.inputs = 2,
                       .outputs = 3,
                       .diagonals = {{0, 0, 5, 1}, {0, 1, 13, 1}, {0, 0, 59, 1}, {1, 1, 9, 1}, {1, 1, 10, 1}}};
  BsgsPlan plan = chained(4);
  plan.babies = {0, 1, 2, 3}, plan.giants = {4, 8, 12, 56};
  const StepCount count = count_steps(shape, plan, 64);
  EXPECT_EQ(count.babies, 4U);  // 1 and 3 of the first input, 1 and 2 of the second
  EXPECT_EQ(count.giants, 7U);  // 3 up and 2 down for the first output, 2 up for the second
}

TEST(CopyingBsgsPlan, BabiesAreACopyAndARest) {
  const int slots = 64;
  for (int step = 2; step <= 20; ++step) {
    for (int copy_step = 1; copy_step < step; ++copy_step) {
      const BsgsPlan plan = chained(step, step / 3, copy_step);
      for (int r = 0; r < slots; ++r) {
        const int baby = plan.baby(r, slots);
        const auto [copy, rest] = plan.copy_and_rest(baby, slots);
        ASSERT_TRUE(rest >= 0 && rest < copy_step);
        ASSERT_EQ((copy * copy_step + rest + slots) % slots, baby);
        ASSERT_LE(std::abs(copy * copy_step), step);
      }
    }
  }
  EXPECT_EQ(chained(8).copy_and_rest(5, slots), (std::pair{0, 5}));
}

TEST(CopyingBsgsPlan, NeedsTheKeysOfRestsAndOfOneCopyEachWay) {
  BsgsPlan plan = chained(16, 4, 4);
  plan.babies = {0, 1, 6, 11, 61}, plan.giants = {0, 16};
  EXPECT_EQ(rotations(plan, 64), (std::vector<int>{1, 2, 3, 4, 16, 60}));
  plan.babies = {0, 4, 5}, plan.giants = {0};
  EXPECT_EQ(rotations(plan, 64), (std::vector<int>{1, 4}));
  plan.chained = false;
  EXPECT_THROW(rotations(plan), Error);
}

TEST(CopyingBsgsPlan, CountsCopiesOfGapsToo) {
  const MapShape shape{.inputs = 2,
                       .outputs = 1,
                       .diagonals = {{0, 0, 0, 1}, {0, 0, 13, 1}, {0, 1, 12, 1}, {0, 1, 1, 1}, {0, 1, 17, 1}}};
  BsgsPlan plan = chained(16, 0, 4);
  plan.babies = {0, 1, 12, 13}, plan.giants = {0, 16};
  const StepCount count = count_steps(shape, plan, 64);
  EXPECT_EQ(count.copies, 6U);  // 4, 8 and 12 of either input
  EXPECT_EQ(count.babies, 2U);  // 1 of the first one's last copy, and of the second one itself
  EXPECT_EQ(count.giants, 1U);
}

/// The cost as its definition says it; nothing for a plan that chains cannot follow, or without a baby step.
std::optional<double> chained_cost_of(const LinearMap& map, int slots, const BsgsPlan& plan, const StepCosts& costs) {
  std::set<std::pair<int, int>> babies;  // that rotate an input or a copy
  std::set<int> keys;
  int forward = 0, backward = 0;  // copies
  std::vector<int> up(static_cast<std::size_t>(map.outputs)), down(static_cast<std::size_t>(map.outputs));
  for (const auto& [block, diagonals] : map.blocks) {
    for (const auto& [r, diagonal] : diagonals) {
      const int baby = plan.baby(r, slots);
      const auto [copy, rest] = plan.copy_and_rest(baby, slots);
      if (rest != 0) babies.insert({block.second, baby}), keys.insert(rest);
      forward = std::max(forward, copy), backward = std::max(backward, -copy);
      int giant = (r - baby + slots) % slots;
      if (giant >= slots / 2) giant -= slots;
      if (giant % plan.step != 0) return std::nullopt;
      const auto o = static_cast<std::size_t>(block.first);
      up[o] = std::max(up[o], giant / plan.step), down[o] = std::max(down[o], -giant / plan.step);
    }
  }
  if (babies.empty()) return std::nullopt;
  int links = 0;
  for (std::size_t o = 0; o < up.size(); ++o) {
    links += up[o] + down[o];
    if (up[o] > 0) keys.insert(plan.step);
    if (down[o] > 0) keys.insert(slots - plan.step);
  }
  // Chains, copies and rests count their keys apart, though they may be the same ones.
  const std::size_t copies = static_cast<std::size_t>((forward > 0) + (backward > 0));
  return costs.baby * static_cast<double>(babies.size()) + costs.giant * links +
         costs.copy * (forward + backward) * map.inputs + costs.key * static_cast<double>(keys.size() + copies);
}

RC_GTEST_PROP(ChainedBsgsPlanProperty, IsAsGoodAsAnyStepWithoutOffset, ()) {
  const int slots = 64;
  const auto steps = *rc::gen::nonEmpty(rc::gen::container<std::set<int>>(rc::gen::inRange(0, slots)));
  const LinearMap map = spread_at_random(steps);
  const StepCosts costs{
      .baby = 1, .giant = 3, .key = *rc::gen::element(0.0, 1.5, 6.0), .copy = *rc::gen::element(0.0, 2.0, 6.0)};
  const BsgsPlan plan = plan_chained_bsgs(shape_of(map), slots, costs);
  RC_ASSERT(costs.copy > 0 || plan.copy_step == 0);
  std::optional<double> best;
  for (int step = 1; step <= slots; ++step) {
    for (const int parts : {1, 2, 4, 8}) {
      if (parts > 1 && (costs.copy == 0 || step % parts != 0)) continue;
      const BsgsPlan tried = chained(step, 0, parts == 1 ? 0 : step / parts);
      const std::optional<double> cost = chained_cost_of(map, slots, tried, costs);
      if (cost && (!best || *cost < *best)) best = cost;
    }
  }
  if (!plan.chained) RC_ASSERT(!best.has_value());
  if (!plan.chained) return;
  const std::optional<double> cost = chained_cost_of(map, slots, plan, costs);
  RC_ASSERT(cost.has_value());
  RC_ASSERT(!best || *cost <= *best);
  std::set<int> allowed(plan.babies.begin(), plan.babies.end());
  allowed.insert({plan.step, slots - plan.step});
  if (plan.copy_step > 0) {
    for (int rest = 1; rest < plan.copy_step; ++rest) allowed.insert(rest);
    allowed.insert({plan.copy_step, slots - plan.copy_step});
  }
  for (const int r : rotations(plan, slots)) RC_ASSERT(allowed.contains(r));
  for (const int r : steps) {
    RC_ASSERT(std::binary_search(plan.babies.begin(), plan.babies.end(), plan.baby(r, slots)));
    RC_ASSERT(std::binary_search(plan.giants.begin(), plan.giants.end(), plan.giant(r, slots)));
    const int giant = plan.giant(r, slots);
    RC_ASSERT(((plan.links(giant, slots) * plan.step) % slots + slots) % slots == giant);
  }
}

}  // namespace
}  // namespace hearth::ckks
