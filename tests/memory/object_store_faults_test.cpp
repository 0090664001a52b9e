#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "memory/object_store.h"
#include "tests/base/expect_error.h"
#include "tests/memory/store_world.h"

// What becomes of a store whose tier fails: every transfer in turn, in every way.
namespace hearth::memory {
namespace {

using testing::below;
using testing::Fault;
using testing::FaultyTier;
using testing::random_uses;
using testing::StoreWorld;

constexpr Fault kFaults[] = {Fault::kError, Fault::kShort, Fault::kSilentLoss, Fault::kFlippedBit};

AccessSequence small_program(unsigned seed) {
  std::mt19937 random(seed);
  return random_uses(random, 8, 40);
}

struct SmallWorld : StoreWorld {
  explicit SmallWorld(unsigned seed, bool threaded = false, bool filled = true)
      : StoreWorld(small_program(seed), smallest_capacity(small_program(seed)) + 2, threaded) {
    if (filled) put_all();
  }
};

/// Reads of a run without faults.
std::uint64_t reads_of_a_run(unsigned seed) {
  SmallWorld world(seed);
  world.run();
  return world.tier().reads();
}

TEST(ObjectStoreFaults, EveryReadMayFailOnce) {
  const std::uint64_t reads = reads_of_a_run(1);
  ASSERT_GT(reads, 10U);
  for (const Fault fault : kFaults) {
    for (std::uint64_t read = 0; read < reads; ++read) {
      SCOPED_TRACE(read);
      SmallWorld world(1);
      world.tier().fail(Direction::kRead, fault, read);
      world.run();
      EXPECT_EQ(world.tier().faults(), 1U);
      EXPECT_EQ(world.store().figures().retries, 1U);
      EXPECT_EQ(world.store().figures().unplanned, 0U);
      EXPECT_LE(world.store().figures().peak_total, world.options().capacity);
    }
  }
}

TEST(ObjectStoreFaults, AReadThatFailsForGoodIsATypedError) {
  const std::uint64_t reads = reads_of_a_run(2);
  for (const Fault fault : kFaults) {
    const bool told = fault == Fault::kError || fault == Fault::kShort;
    for (std::uint64_t read = 0; read < reads; ++read) {
      SCOPED_TRACE(read);
      SmallWorld world(2);
      world.tier().fail(Direction::kRead, fault, read, FaultyTier::kAlways);
      world.begin();
      if (told) {
        expect_error(ErrorKind::kIo, "injected", [&] { world.use_in_order(); });
      } else {
        expect_error(ErrorKind::kCorrupt, "tier instant gave back other data than were written to it",
                     [&] { world.use_in_order(); });
      }
      world.store().end();
      EXPECT_EQ(world.destroy().in_flight, 0U);
    }
  }
}

/// One use at a time: nothing is held when one fails, so the same store goes on.
TEST(ObjectStoreFaults, AStoreIsAsGoodAsBeforeOnceTheTierIs) {
  std::mt19937 random(3);
  for (const bool threaded : {false, true}) {
    for (const Fault fault : kFaults) {
      for (int i = 0; i < 30; ++i) {
        SCOPED_TRACE(i);
        const AccessSequence sequence = random_uses(random, 8, 60, 4, false);
        StoreWorld world(sequence, smallest_capacity(sequence) + below(random, 5), threaded);
        world.put_all();
        for (int again = 0; again < 2; ++again) {
          world.tier().fail(Direction::kRead, fault, below(random, 5), FaultyTier::kAlways);
          world.begin();
          EXPECT_THROW(world.use_in_order(), Error);
          world.store().end();
          world.tier().heal();
          world.run();
          EXPECT_LE(world.store().figures().peak_total, world.options().capacity);
          if (!threaded) {
            EXPECT_EQ(world.store().figures().unplanned, 0U);
          }
          if (fault == Fault::kError || fault == Fault::kShort) {
            EXPECT_EQ(world.store().figures().retries, 0U) << "errors of the run before are forgotten";
          }
        }
      }
    }
  }
}

/// Within a run too: whoever asks again is served.
TEST(ObjectStoreFaults, AUseThatFailedMayBeTriedAgain) {
  for (const Fault fault : kFaults) {
    StoreWorld world(sequence_of({0, 1, 2, 0, 1, 2}), 1);
    world.put_all();
    world.begin();
    world.tier().fail(Direction::kRead, fault, 0, FaultyTier::kAlways);
    world.use(0);
    for (int i = 0; i < 3; ++i) EXPECT_THROW(world.use(1), Error);
    world.tier().heal();
    // The first attempt may find what went wrong while the tier failed.
    for (const std::uint32_t object : {1U, 2U, 0U, 1U, 2U}) {
      try {
        world.use(object);
      } catch (const Error&) {
        world.use(object);
      }
    }
    world.store().end();
  }
}

TEST(ObjectStoreFaults, ThreadsAllEndWhenReadsFail) {
  std::mt19937 random(4);
  for (const Fault fault : kFaults) {
    const AccessSequence sequence = random_uses(random, 12, 100, 3, false);
    StoreWorld world(sequence, 12, true);
    world.put_all();
    world.tier().fail(Direction::kRead, fault, 20, FaultyTier::kAlways);
    world.begin();
    std::atomic<std::size_t> next{0};
    std::atomic<int> failed{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        try {
          for (std::size_t u = next++; u < sequence.uses.size(); u = next++) world.use(sequence.uses[u].object);
        } catch (const Error& error) {
          EXPECT_TRUE(error.kind() == ErrorKind::kIo || error.kind() == ErrorKind::kCorrupt) << error.what();
          ++failed;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_GT(failed, 0);
    world.store().end();
    world.tier().heal();
    world.run();
  }
}

TEST(ObjectStoreFaults, EveryWriteInTurnMayFail) {
  const std::uint64_t writes = SmallWorld(5).tier().writes();
  ASSERT_GE(writes, 8U);
  for (const Fault fault : {Fault::kError, Fault::kShort, Fault::kFull}) {
    const ErrorKind kind = fault == Fault::kFull ? ErrorKind::kResource : ErrorKind::kIo;
    for (std::uint64_t write = 0; write < writes; ++write) {
      SCOPED_TRACE(write);
      SmallWorld world(5, false, false);
      world.tier().fail(Direction::kWrite, fault, write);
      std::uint32_t failed = 0;
      expect_error(kind, fault == Fault::kFull ? "the disk is full" : "the transfer failed", [&] {
        for (; failed < world.objects(); ++failed) world.put(failed);
      });
      for (std::uint32_t i = failed; i < world.objects(); ++i) world.put(i);
      world.run();
      EXPECT_EQ(world.store().figures().unplanned, 0U);
      EXPECT_LE(world.store().figures().peak_total, world.options().capacity);
    }
  }
}

/// What a write lost is found when it is read.
TEST(ObjectStoreFaults, WritesThatLieAreFoundOut) {
  const std::uint64_t writes = SmallWorld(6).tier().writes();
  int found = 0;
  for (const Fault fault : {Fault::kSilentLoss, Fault::kFlippedBit}) {
    for (std::uint64_t write = 0; write < writes; ++write) {
      SCOPED_TRACE(write);
      SmallWorld world(6, false, false);
      world.tier().fail(Direction::kWrite, fault, write);
      world.put_all();
      ASSERT_EQ(world.tier().faults(), 1U);
      world.begin();
      try {
        world.use_in_order();  // looks at all contents
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kCorrupt) << error.what();
        ++found;
      }
      world.store().end();
    }
  }
  EXPECT_GT(found, static_cast<int>(writes)) << "most objects are read back at some time";
}

TEST(ObjectStoreFaults, AStoreMayBeDestroyedWhilePrefetchesFail) {
  for (unsigned i = 0; i < 20; ++i) {
    SmallWorld world(7 + i, true);
    world.tier().fail(Direction::kRead, Fault::kError, i % 5, FaultyTier::kAlways);
    world.begin();
    if (i % 2 == 0) world.store().end();
    EXPECT_EQ(world.destroy().in_flight, 0U);
  }
}

}  // namespace
}  // namespace hearth::memory
