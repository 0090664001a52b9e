#include "tests/memory/faulty_tier.h"

#include "memory/mapped_tier.h"
#include "tests/memory/tier_exercises.h"

namespace hearth::memory {
namespace {

using testing::Aligned;
using testing::Fault;
using testing::FaultyTier;

constexpr std::size_t kBlock = 4096;

class Faulty : public ::testing::Test {
 protected:
  Faulty() : tier_(std::make_unique<MappedTier>("mapped", MappedMemory::anonymous(1 << 20))), memory_(kBlock) {}
  void write(std::uint64_t seed) {
    testing::fill(memory_.span(), seed);
    transfer_now(tier_, {.direction = Direction::kWrite, .memory = memory_.span()});
  }
  void read() { transfer_now(tier_, {.direction = Direction::kRead, .memory = memory_.span()}); }
  /// Bytes of what was read that differ from what was written with this seed.
  std::size_t wrong(std::uint64_t seed) {
    Aligned expected(kBlock);
    testing::fill(expected.span(), seed);
    std::size_t count = 0;
    for (std::size_t i = 0; i < kBlock; ++i) count += expected.span()[i] != memory_.span()[i] ? 1 : 0;
    return count;
  }

  FaultyTier tier_;
  Aligned memory_;
};

TEST_F(Faulty, PassesOnAndCounts) {
  testing::round_trip(tier_, 1 << 20, kBlock);
  EXPECT_EQ(tier_.reads(), 256U);
  EXPECT_EQ(tier_.writes(), 256U);
  EXPECT_EQ(tier_.read_bytes(), 1U << 20);
  EXPECT_GE(tier_.most_in_flight(), 1U);
  EXPECT_EQ(tier_.in_flight(), 0U);
  EXPECT_EQ(tier_.faults(), 0U);
}

TEST_F(Faulty, FailsOnceAfterSome) {
  write(1);
  tier_.fail(Direction::kRead, Fault::kError, 2);
  read();
  read();
  expect_error(ErrorKind::kIo, "injected", [&] { read(); });
  read();
  EXPECT_EQ(wrong(1), 0U);
}

TEST_F(Faulty, FailsFromThenOnUntilHealed) {
  tier_.fail(Direction::kWrite, Fault::kFull, 1, FaultyTier::kAlways);
  write(1);
  for (int i = 0; i < 5; ++i) expect_error(ErrorKind::kResource, "full", [&] { write(2); });
  read();
  EXPECT_EQ(wrong(1), 0U);
  tier_.heal();
  write(2);
  EXPECT_EQ(tier_.faults(), 5U);
}

TEST_F(Faulty, ReadsThatAreShortOrDamaged) {
  write(1);
  tier_.fail(Direction::kRead, Fault::kShort);
  expect_error(ErrorKind::kIo, "injected", [&] { read(); });
  tier_.fail(Direction::kRead, Fault::kSilentLoss);
  read();
  EXPECT_GT(wrong(1), kBlock / 4);
  tier_.fail(Direction::kRead, Fault::kFlippedBit);
  read();
  EXPECT_EQ(wrong(1), 1U);
  read();
  EXPECT_EQ(wrong(1), 0U);
}

TEST_F(Faulty, WritesThatAreShortOrDamaged) {
  write(1);
  tier_.fail(Direction::kWrite, Fault::kShort);
  expect_error(ErrorKind::kIo, "injected", [&] { write(2); });
  write(1);
  tier_.fail(Direction::kWrite, Fault::kSilentLoss);
  write(2);
  read();
  EXPECT_GT(wrong(2), kBlock / 4);
  tier_.fail(Direction::kWrite, Fault::kFlippedBit);
  write(3);
  EXPECT_EQ(wrong(3), 0U) << "the writer's own bytes are as they were";
  read();
  EXPECT_EQ(wrong(3), 1U);
}

}  // namespace
}  // namespace hearth::memory
