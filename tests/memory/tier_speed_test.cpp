#include "memory/tier_speed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hearth::memory {
namespace {

const TierSpeed kSpeed{.read = {{.bytes = 1000, .latency = 1, .bandwidth = 100},
                                {.bytes = 4000, .latency = 4, .bandwidth = 300},
                                {.bytes = 8000, .latency = 6, .bandwidth = 300}},
                       .write = {{.bytes = 64, .latency = 0.5, .bandwidth = 10}}};

TEST(TierSpeed, LatencyIsLinearBetweenPointsAndFlatBelowThem) {
  EXPECT_EQ(kSpeed.latency(Direction::kRead, 1), 1);
  EXPECT_EQ(kSpeed.latency(Direction::kRead, 1000), 1);
  EXPECT_DOUBLE_EQ(kSpeed.latency(Direction::kRead, 2000), 2);
  EXPECT_EQ(kSpeed.latency(Direction::kRead, 4000), 4);
  EXPECT_DOUBLE_EQ(kSpeed.latency(Direction::kRead, 6000), 5);
}

TEST(TierSpeed, BeyondTheLastPointTheRestMovesAtItsBandwidth) {
  EXPECT_DOUBLE_EQ(kSpeed.latency(Direction::kRead, 8300), 7);
  EXPECT_DOUBLE_EQ(kSpeed.latency(Direction::kWrite, 164), 10.5);
}

TEST(TierSpeed, BandwidthIsInterpolatedInTheLogarithmOfTheSize) {
  EXPECT_DOUBLE_EQ(kSpeed.busy(Direction::kRead, 2000), 2000.0 / 200);
  EXPECT_DOUBLE_EQ(kSpeed.busy(Direction::kRead, 500), 5);
  EXPECT_DOUBLE_EQ(kSpeed.busy(Direction::kRead, 30'000), 100);
  EXPECT_DOUBLE_EQ(kSpeed.busy(Direction::kWrite, 64), 6.4);
}

TEST(TierSpeed, KnowsWhatIsNoSpeed) {
  EXPECT_TRUE(kSpeed.valid());
  EXPECT_FALSE(TierSpeed{}.valid());
  const auto with = [](SpeedPoint point) {
    TierSpeed speed = kSpeed;
    speed.read.push_back(point);
    return speed.valid();
  };
  EXPECT_TRUE(with({.bytes = 8001, .latency = 1, .bandwidth = 1}));
  EXPECT_FALSE(with({.bytes = 8000, .latency = 1, .bandwidth = 1}));
  EXPECT_FALSE(with({.bytes = 9000, .latency = 0, .bandwidth = 1}));
  EXPECT_FALSE(with({.bytes = 9000, .latency = 1, .bandwidth = -1}));
  EXPECT_FALSE(with({.bytes = 9000, .latency = std::nan(""), .bandwidth = 1}));
  EXPECT_FALSE(with({.bytes = 9000, .latency = 1, .bandwidth = std::numeric_limits<double>::infinity()}));
}

}  // namespace
}  // namespace hearth::memory
