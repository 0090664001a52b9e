#include "memory/tier_load.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace hearth::memory {
namespace {

std::vector<std::uint32_t> promise(TierLoad& load, std::uint32_t bucket, double seconds) {
  std::vector<std::uint32_t> closed;
  load.promise(bucket, seconds, [&](std::uint32_t one) { closed.push_back(one); });
  return closed;
}

TEST(TierLoad, FillsBucketsBackwardsAndClosesThoseThatLookBackInVain) {
  TierLoad load({1, 1, 1, 1}, 1);
  EXPECT_TRUE(promise(load, 3, 1).empty());    // bucket 3 is full, but 2 is within its window
  EXPECT_TRUE(promise(load, 3, 0.5).empty());  // half of bucket 2
  EXPECT_EQ(promise(load, 3, 0.5), (std::vector<std::uint32_t>{3}));
  EXPECT_FALSE(load.open(3));
  EXPECT_TRUE(load.open(2));  // finds time in bucket 1
  EXPECT_EQ(promise(load, 2, 1), (std::vector<std::uint32_t>{2}));
  EXPECT_EQ(promise(load, 0, 5), (std::vector<std::uint32_t>{0, 1}));  // nothing is left
  EXPECT_TRUE(promise(load, 3, 1).empty());
}

/// The latest room at or before a bucket, found by looking.
TEST(TierLoad, AgreesWithAPlainSearch) {
  std::mt19937 random(1);
  const auto below = [&](std::uint32_t end) { return static_cast<std::uint32_t>(random() % end); };
  for (int round = 0; round < 200; ++round) {
    std::vector<double> room(1 + below(12));
    for (double& seconds : room) seconds = below(4);
    for (double& seconds : room) seconds += seconds == 0;
    const std::uint32_t window = below(4);
    TierLoad load(room, window);
    for (int step = 0; step < 20; ++step) {
      const std::uint32_t due = below(static_cast<std::uint32_t>(room.size()));
      double seconds = 1 + below(3);
      promise(load, due, seconds);
      for (std::uint32_t i = due + 1; i-- > 0 && seconds > 0;) {
        const double part = std::min(room[i], seconds);
        room[i] -= part;
        seconds -= part;
      }
      for (std::uint32_t bucket = 0; bucket < room.size(); ++bucket) {
        bool found = false;
        for (std::uint32_t i = bucket < window ? 0 : bucket - window; i <= bucket; ++i) found = found || room[i] > 0;
        ASSERT_EQ(load.open(bucket), found) << bucket;
      }
    }
  }
}

}  // namespace
}  // namespace hearth::memory
