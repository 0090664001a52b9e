#include "base/dry_run.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/parallel.h"

namespace hearth {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
using Block = Buffer<std::byte>;

class DryRunAccounts : public testing::Test {
 protected:
  void TearDown() override { set_threads(before_); }

 private:
  int before_ = threads();
};

TEST_F(DryRunAccounts, BelongToTheThreadAndTheScope) {
  EXPECT_FALSE(dry_run());
  {
    const DryRun dry;
    EXPECT_TRUE(dry_run());
    std::thread([] { EXPECT_FALSE(dry_run()); }).join();
    {
      const dry::Suspension real;
      EXPECT_FALSE(dry_run());
    }
    EXPECT_TRUE(dry_run());
  }
  EXPECT_FALSE(dry_run());
}

TEST_F(DryRunAccounts, PeaksCountWhatIsHeldAtOnce) {
  const Block outside(5 * kMiB);
  const std::size_t real = peak_allocated_bytes();
  const DryRun dry;
  EXPECT_EQ(DryRun::take_peak_bytes(), 0U) << "what was there before does not count";
  Block kept(2 * kMiB);
  { const Block a(3 * kMiB); }
  { const Block b(kMiB); }
  EXPECT_EQ(DryRun::take_peak_bytes(), 5 * kMiB);
  EXPECT_EQ(DryRun::take_peak_bytes(), 2 * kMiB) << "since the last call";
  kept = {};
  EXPECT_EQ(DryRun::take_peak_bytes(), 2 * kMiB);
  EXPECT_EQ(DryRun::take_peak_bytes(), 0U);
  { const Block large(2000 * kMiB); }
  EXPECT_EQ(DryRun::take_peak_bytes(), 2000 * kMiB);
  EXPECT_EQ(peak_allocated_bytes(), real);
}

/// Freeing what was there before makes room, but never counts as less than nothing.
TEST_F(DryRunAccounts, FreeingWhatWasThereBeforeMakesRoom) {
  auto before = std::make_unique<Block>(4 * kMiB);
  const DryRun dry;
  before.reset();
  EXPECT_EQ(DryRun::take_peak_bytes(), 0U);
  const Block after(3 * kMiB);
  EXPECT_EQ(DryRun::take_peak_bytes(), 0U);
}

TEST_F(DryRunAccounts, SuspendedWorkDoesNotCount) {
  const DryRun dry;
  Block tables;
  {
    const dry::Suspension real;
    tables = Block(2 * kMiB);
    tables.clear();
  }
  EXPECT_EQ(DryRun::take_peak_bytes(), 0U);
}

/// Every worker holds what a round holds while it lasts; what rounds leave behind adds up.
TEST_F(DryRunAccounts, PassingMemoryCountsOnceAWorker) {
  for (const int workers : {1, 2, 3, 7}) {
    set_threads(workers);
    const DryRun dry;
    std::vector<Block> left(10);
    parallel_for(0, left.size(), [&](std::size_t i) {
      const Block passing(3 * kMiB);
      left[i] = Block(kMiB);
    });
    const auto all = static_cast<std::size_t>(workers);
    // While the last round passes, nine results are there; all workers are taken to be as the last one is.
    EXPECT_EQ(DryRun::take_peak_bytes(), 9 * kMiB + all * 4 * kMiB) << workers;
    EXPECT_EQ(DryRun::take_peak_bytes(), 10 * kMiB) << workers;
  }
}

/// Asking in between loses nothing.
TEST_F(DryRunAccounts, PeaksCanBeTakenWithinRounds) {
  set_threads(3);
  const DryRun dry;
  const Block outside(2 * kMiB);
  EXPECT_EQ(DryRun::take_peak_bytes(), 2 * kMiB);
  std::vector<Block> left(4);
  parallel_for(0, left.size(), [&](std::size_t i) {
    DryRun::take_peak_bytes();
    const Block passing(5 * kMiB);
    EXPECT_EQ(DryRun::take_peak_bytes(), 2 * kMiB + i * kMiB + 15 * kMiB);
    { const Block more(kMiB); }
    EXPECT_EQ(DryRun::take_peak_bytes(), 2 * kMiB + i * kMiB + 18 * kMiB);
    EXPECT_EQ(DryRun::take_peak_bytes(), 2 * kMiB + i * kMiB + 15 * kMiB);
    left[i] = Block(kMiB);
  });
  EXPECT_EQ(DryRun::take_peak_bytes(), 5 * kMiB + 18 * kMiB);
  EXPECT_EQ(DryRun::take_peak_bytes(), 6 * kMiB);
}

TEST_F(DryRunAccounts, NoMoreWorkersThanRounds) {
  set_threads(8);
  const DryRun dry;
  parallel_for(0, 3, [](std::size_t) { const Block passing(kMiB); });
  EXPECT_EQ(DryRun::take_peak_bytes(), 3 * kMiB);
  parallel_for(0, 1, [](std::size_t) { const Block passing(kMiB); });
  EXPECT_EQ(DryRun::take_peak_bytes(), kMiB);
}

/// Loops within a round stay on its worker.
TEST_F(DryRunAccounts, InnerLoopsCountOnceAnOuterWorker) {
  set_threads(4);
  const DryRun dry;
  parallel_for(0, 4, [](std::size_t) {
    const Block outer(kMiB);
    parallel_for(0, 4, [](std::size_t) { const Block inner(2 * kMiB); });
  });
  EXPECT_EQ(DryRun::take_peak_bytes(), 4 * 3 * kMiB);
}

TEST_F(DryRunAccounts, OuterPeaksSurviveLoops) {
  set_threads(2);
  const DryRun dry;
  { const Block large(50 * kMiB); }
  parallel_for(0, 4, [](std::size_t) { const Block small(kMiB); });
  EXPECT_EQ(DryRun::take_peak_bytes(), 50 * kMiB);
}

TEST_F(DryRunAccounts, RoundsThatFreeCountAsWell) {
  set_threads(2);
  const DryRun dry;
  std::vector<Block> inputs;
  for (int i = 0; i < 4; ++i) inputs.emplace_back(kMiB);
  parallel_for(0, inputs.size(), [&](std::size_t i) { inputs[i] = {}; });
  EXPECT_EQ(DryRun::take_peak_bytes(), 4 * kMiB);
  EXPECT_EQ(DryRun::take_peak_bytes(), 0U);
}

TEST_F(DryRunAccounts, ClocksAddUpWithoutLoops) {
  const DryRun dry;
  EXPECT_EQ(DryRun::seconds(), 0);
  add_dry_seconds(1.5);
  add_dry_seconds(2);
  EXPECT_EQ(DryRun::seconds(), 3.5);
}

TEST_F(DryRunAccounts, WorkersShareRounds) {
  set_threads(2);
  const DryRun dry;
  add_dry_seconds(10);
  std::vector<std::pair<double, double>> times;
  parallel_for(0, 5, [&](std::size_t) {
    const double begin = DryRun::seconds();
    add_dry_seconds(1);
    times.emplace_back(begin, DryRun::seconds());
  });
  // Two at a time: 10, 10, 11, 11, 12.
  const std::vector<std::pair<double, double>> expected{{10, 11}, {10, 11}, {11, 12}, {11, 12}, {12, 13}};
  EXPECT_EQ(times, expected);
  EXPECT_EQ(DryRun::seconds(), 13) << "when the last worker arrives";
}

/// The worker that is free first takes the next round.
TEST_F(DryRunAccounts, UnevenRoundsGoToWhoeverIsFree) {
  set_threads(2);
  const DryRun dry;
  const double length[] = {5, 1, 1, 1, 4};
  std::vector<double> begins;
  parallel_for_in_order(0, 5, [&](std::size_t i) {
    begins.push_back(DryRun::seconds());
    add_dry_seconds(length[i]);
  });
  EXPECT_EQ(begins, (std::vector<double>{0, 0, 1, 2, 3}));
  EXPECT_EQ(DryRun::seconds(), 7);
}

TEST_F(DryRunAccounts, InnerLoopsTakeTheTimeOfOneWorker) {
  set_threads(4);
  const DryRun dry;
  parallel_for(0, 4, [](std::size_t) { parallel_for(0, 4, [](std::size_t) { add_dry_seconds(1); }); });
  EXPECT_EQ(DryRun::seconds(), 4);
  parallel_for(0, 4, [](std::size_t) { add_dry_seconds(1); });
  EXPECT_EQ(DryRun::seconds(), 5) << "afterwards loops are shared again";
}

TEST_F(DryRunAccounts, LoopsOfOneRoundStayShared) {
  set_threads(2);
  const DryRun dry;
  parallel_for(0, 1, [](std::size_t) { parallel_for(0, 4, [](std::size_t) { add_dry_seconds(1); }); });
  EXPECT_EQ(DryRun::seconds(), 2);
}

TEST_F(DryRunAccounts, ExceptionsLeaveThemUsable) {
  set_threads(2);
  const DryRun dry;
  EXPECT_THROW(parallel_for(0, 4,
                            [](std::size_t i) {
                              const Block passing(kMiB);
                              if (i == 2) throw 1;
                            }),
               int);
  EXPECT_EQ(DryRun::take_peak_bytes(), 2 * kMiB);
  EXPECT_EQ(DryRun::take_peak_bytes(), 0U);
  parallel_for(0, 4, [](std::size_t) { add_dry_seconds(1); });
  EXPECT_EQ(DryRun::seconds(), 2);
}

}  // namespace
}  // namespace hearth
