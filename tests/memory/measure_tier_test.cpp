#include "memory/measure_tier.h"

#include "memory/emulated_tier.h"
#include "memory/file_tier.h"
#include "memory/mapped_tier.h"
#include "tests/base/temporary_folder.h"
#include "tests/memory/faulty_tier.h"
#include "tests/memory/tier_exercises.h"

namespace hearth::memory {
namespace {

std::unique_ptr<Tier> memory_tier(std::uint64_t size) {
  return std::make_unique<MappedTier>("mapped", MappedMemory::anonymous(size));
}

TEST(MeasureTier, GivesAPointForEverySizeThatFits) {
  const auto tier = memory_tier(2 << 20);
  const TierSpeed speed = measure_tier(*tier, {.patience = 0.002});
  EXPECT_TRUE(speed.valid());
  ASSERT_EQ(speed.read.size(), 5U) << "all but 4 MiB";
  ASSERT_EQ(speed.write.size(), 5U);
  EXPECT_EQ(speed.read.front().bytes, 4096U);
}

TEST(MeasureTier, OfAFile) {
  const TemporaryFolder folder;
  FileTier tier("file", folder.path(), 64 << 20);
  const TierSpeed speed = measure_tier(tier, quick_measurement());
  EXPECT_TRUE(speed.valid());
  EXPECT_EQ(speed.read.size(), 3U);
}

/// A measured emulation is no faster than what it emulates.
TEST(MeasureTier, FindsNoMoreThanThereIs) {
  const SpeedPoint point{.bytes = 4096, .latency = 1e-3, .bandwidth = 400e6};
  EmulatedTier tier("thing", memory_tier(8 << 20), {.read = {point}, .write = {point}});
  const TierSpeed speed = measure_tier(tier, {.sizes = {65536, 262144}, .patience = 0.04});
  for (const auto& points : {speed.read, speed.write}) {
    for (const SpeedPoint& found : points) {
      EXPECT_GE(found.latency, 1e-3);
      EXPECT_LE(found.bandwidth, 400e6 * 1.0001);
    }
  }
}

TEST(MeasureTier, SaysWhatFails) {
  testing::FaultyTier faulty(memory_tier(1 << 20));
  faulty.fail(Direction::kWrite, testing::Fault::kFull, 3);
  expect_error(ErrorKind::kResource, "full", [&] { measure_tier(faulty, {.patience = 0.001}); });
  EXPECT_EQ(faulty.in_flight(), 0U);
  const auto small = memory_tier(1024);
  expect_error(ErrorKind::kInvalidArgument, "too small", [&] { measure_tier(*small); });
}

TEST(MeasureDram, IsPositive) {
  const DramSpeed speed = measure_dram(0.01);
  EXPECT_GT(speed.copy_bandwidth, 1e8);
  EXPECT_GT(speed.random_latency, 1e-9);
  EXPECT_LT(speed.random_latency, 1e-5);
}

}  // namespace
}  // namespace hearth::memory
