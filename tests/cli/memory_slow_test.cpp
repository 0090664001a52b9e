#include "tests/cli/budgeted_runs.h"

// The same on a disk, killed at many moments.
namespace hearth {
namespace {

using testing::KilledRuns;
using MemoryBudgetSweep = testing::BudgetedRuns;

TEST_F(MemoryBudgetSweep, EveryBudgetOnDiskGivesTheSameBits) {
  for (long mib = tiered_ + kWavers; mib <= alone_ + 2; mib += 4) {
    SCOPED_TRACE(mib);
    const cli::Json json = shell().json(within(mib, kDisk) + (mib % 2 == 0 ? " --threads 1" : ""));
    expect_the_same();
    const cli::Json& residency = json.at("residency");
    expect_within_store(residency);
  }
}

TEST_F(MemoryBudgetSweep, KilledRunsOnDiskGoOnToTheSameBits) {
  const std::string kept = " --checkpoint \"$D/kept\"";
  for (int i = 0; i < 8; ++i) {
    SCOPED_TRACE(i);
    kill_with_progress(within((tiered_ + alone_) / 2, kDisk), 0.05 * (1 + i % 4));
    EXPECT_FALSE(shell().exists("output.ct"));
    expect_empty_tier();
    const std::string next = i % 2 == 0 ? within(tiered_ + kWavers, kDisk) : KilledRuns::plain("output.ct");
    const cli::Json json = shell().json(next + kept);
    EXPECT_FALSE(json.at("resumed_at").is_null());
    expect_the_same();
    EXPECT_FALSE(shell().exists("kept"));
  }
}

}  // namespace
}  // namespace hearth
