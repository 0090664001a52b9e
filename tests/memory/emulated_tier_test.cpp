#include "memory/emulated_tier.h"

#include <chrono>

#include "memory/mapped_tier.h"
#include "memory/tier_description.h"
#include "tests/memory/faulty_tier.h"
#include "tests/memory/tier_exercises.h"

namespace hearth::memory {
namespace {

using testing::Aligned;
using testing::Ends;

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::unique_ptr<Tier> memory_tier(std::uint64_t size) {
  return std::make_unique<MappedTier>("mapped", MappedMemory::anonymous(size));
}
TierSpeed speed_of(double latency, double read, double write) {
  return {.read = {{.bytes = 4096, .latency = latency, .bandwidth = read}},
          .write = {{.bytes = 4096, .latency = latency, .bandwidth = write}}};
}
std::unique_ptr<Tier> make(const TierSpeed& speed, std::uint64_t size = 8 * kMiB) {
  return std::make_unique<EmulatedTier>("thing", memory_tier(size), speed);
}

template <typename Action>
double seconds(Action&& action) {
  const auto begin = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

TEST(EmulatedTier, SaysThatItIsEmulated) {
  const auto tier = make(speed_of(1e-4, 1e9, 1e9));
  EXPECT_EQ(tier->name(), "emulated thing");
  EXPECT_TRUE(tier->emulated());
  EXPECT_EQ(tier->capacity(), 8 * kMiB);
  EXPECT_EQ(tier->alignment(), 64U);
}

TEST(EmulatedTier, KeepsWhatIsWritten) {
  testing::round_trip(*make(speed_of(1e-6, 1e11, 1e11)), 8 * kMiB, 4096);
  testing::refuses_bad_transfers(*make(speed_of(1e-6, 1e11, 1e11)));
  testing::ends_may_start(make(speed_of(1e-5, 1e11, 1e11)));
}

TEST(EmulatedTier, OneTransferTakesTheLatency) {
  const auto tier = make(speed_of(0.02, 1e9, 1e9));
  Aligned memory(4096);
  for (const Direction direction : {Direction::kWrite, Direction::kRead}) {
    const double took = seconds([&] { transfer_now(*tier, {.direction = direction, .memory = memory.span()}); });
    EXPECT_GE(took, 0.02);
  }
}

/// Only lower bounds on the time: a busy machine may take longer.
TEST(EmulatedTier, ManyTransfersShareTheBandwidthOfTheirDirection) {
  const auto tier = make(speed_of(1e-3, 100e6, 200e6));
  Aligned memory(4 * kMiB);
  const auto move = [&](Direction direction) {
    return seconds([&] {
      Ends ends;
      for (std::size_t at = 0; at < 4 * kMiB; at += kMiB / 4) {
        tier->start({.direction = direction, .offset = at, .memory = memory.part(at, kMiB / 4)}, ends.count());
      }
      ends.wait(16);
    });
  };
  EXPECT_GE(move(Direction::kWrite), 4.0 * kMiB / 200e6);
  EXPECT_GE(move(Direction::kRead), 4.0 * kMiB / 100e6);
}

TEST(EmulatedTier, LatenciesOverlap) {
  const auto tier = make(speed_of(0.01, 1e12, 1e12));
  Aligned memory(100 * 4096);
  double took = 1;
  for (int attempt = 0; attempt < 5 && took > 0.5; ++attempt) {
    took = seconds([&] {
      Ends ends;
      for (std::size_t i = 0; i < 100; ++i) {
        tier->start({.direction = Direction::kRead, .offset = i * 4096, .memory = memory.part(i * 4096, 4096)},
                    ends.count());
      }
      ends.wait(100);
    });
    EXPECT_GE(took, 0.01);
  }
  EXPECT_LT(took, 0.5) << "one after another they would take a second";
}

TEST(EmulatedTier, EndsComeInTheOrderInWhichTheyAreDue) {
  TierSpeed speed = speed_of(0.03, 1e12, 1e12);
  speed.write.front().latency = 0.001;
  const auto tier = make(speed);
  Aligned memory(8192);
  std::mutex mutex;
  std::string order;
  Ends ends;
  const auto note = [&](char name) {
    return [&, name, count = ends.count()](std::exception_ptr error) {
      {
        const std::lock_guard lock(mutex);
        order += name;
      }
      count(std::move(error));
    };
  };
  tier->start({.direction = Direction::kRead, .memory = memory.part(0, 4096)}, note('r'));
  tier->start({.direction = Direction::kWrite, .offset = 4096, .memory = memory.part(4096, 4096)}, note('w'));
  ends.wait(2);
  EXPECT_EQ(order, "wr");
}

TEST(EmulatedTier, ErrorsOfTheTierBelowComeThrough) {
  auto faulty = std::make_unique<testing::FaultyTier>(memory_tier(kMiB));
  faulty->fail(Direction::kWrite, testing::Fault::kFull);
  EmulatedTier tier("thing", std::move(faulty), speed_of(1e-5, 1e9, 1e9));
  Aligned memory(4096);
  expect_error(ErrorKind::kResource, "full",
               [&] { transfer_now(tier, {.direction = Direction::kWrite, .memory = memory.span()}); });
}

}  // namespace
}  // namespace hearth::memory
