#include "compiler/machine_costs.h"

#include <gtest/gtest.h>

#include "base/parallel.h"
#include "hearth/error.h"
#include "tests/compiler/tiny_program.h"

namespace hearth::compiler {
namespace {

/// Costs that are `factor` times the nominal ones, in seconds.
MeasuredLevel scaled(const LevelShape& shape, double factor) {
  MeasuredLevel out{shape, {}};
  for (std::size_t i = 0; i < kPrimitives; ++i) {
    out.seconds[i] = factor * nominal_cost(static_cast<Primitive>(i), shape);
  }
  return out;
}

TEST(MachineCosts, AreThoseMeasuredWhereTheyWere) {
  const LevelShape low{13, 2, 3, 2}, high{13, 16, 6, 5};
  const MachineCosts costs{.processor = "p", .threads = 1, .levels = {scaled(low, 1e-4), scaled(high, 3e-4)}};
  EXPECT_EQ(costs.seconds(Primitive::kRotate, low), costs.levels[0].seconds[2]);
  EXPECT_EQ(costs.seconds(Primitive::kRescale, high), costs.levels[1].seconds[6]);
}

TEST(MachineCosts, BetweenMeasurementsFollowTheNominalOnes) {
  const LevelShape low{13, 2, 3, 2}, high{13, 16, 6, 5}, between{13, 8, 5, 4}, near_high{13, 15, 6, 5};
  const MachineCosts costs{.processor = "p", .threads = 1, .levels = {scaled(low, 1e-4), scaled(high, 3e-4)}};
  const auto ratio = [&](const LevelShape& shape) {
    return costs.seconds(Primitive::kRotate, shape) / nominal_cost(Primitive::kRotate, shape);
  };
  EXPECT_GT(ratio(between), 1e-4);
  EXPECT_LT(ratio(between), 3e-4);
  EXPECT_GT(ratio(near_high), ratio(between));
  EXPECT_NEAR(ratio(near_high), 3e-4, 0.05e-4);
}

TEST(MachineCosts, OfOtherRingDegreesAreUnknown) {
  const MachineCosts costs{.processor = "p", .threads = 1, .levels = {scaled({13, 2, 3, 2}, 1e-4)}};
  EXPECT_TRUE(costs.covers(13));
  EXPECT_FALSE(costs.covers(14));
  EXPECT_THROW(costs.seconds(Primitive::kHoist, {14, 2, 3, 2}), Error);
}

TEST(MachineCosts, PrimitivesThatAreImpossibleSomewhereAreEstimatedFromElsewhere) {
  MeasuredLevel bottom = scaled({13, 1, 1, 1}, 1e-4);
  bottom.seconds[static_cast<std::size_t>(Primitive::kRescale)] = 0;
  const MachineCosts costs{.processor = "p", .threads = 1, .levels = {bottom, scaled({13, 4, 2, 2}, 1e-4)}};
  const LevelShape next{13, 2, 1, 1};
  EXPECT_NEAR(costs.seconds(Primitive::kRescale, next), 1e-4 * nominal_cost(Primitive::kRescale, next), 1e-9);
}

TEST(MachineCosts, AreMeasuredAtAFewLevels) {
  const Program program = testing::tiny_program();
  const auto parameters = ckks::Parameters::create(program.parameters);
  const MachineCosts costs = measure_machine(parameters, {0, 1, 2});
  ASSERT_EQ(costs.levels.size(), 3U);
  EXPECT_EQ(costs.threads, threads());
  EXPECT_GT(costs.seconds(Primitive::kProduct, level_shape(*parameters, 2)), 0);
  double sum = 0;
  for (const Work& work : count_work(program, *parameters)) sum += seconds_of(work, *parameters, costs);
  EXPECT_GT(sum, 0);
  EXPECT_LT(sum, 1) << "a tiny program";
}

TEST(MachineCosts, TypicalParametersExistAtEveryRingDegree) {
  for (int log_n = 11; log_n <= 16; ++log_n) {
    const TypicalParameters typical = typical_parameters(log_n);
    EXPECT_EQ(typical.parameters->log_n(), log_n);
    ASSERT_FALSE(typical.levels.empty());
    EXPECT_LE(typical.levels.back(), typical.parameters->max_level());
  }
}

}  // namespace
}  // namespace hearth::compiler
