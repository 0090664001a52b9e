#include <cmath>

#include "base/npy.h"
#include "tests/cli/budgeted_runs.h"

// hearth run within a budget of memory, as processes over files.
namespace hearth {
namespace {

using cli::Json;
using testing::KilledRuns;
using testing::Outcome;

using MemoryBudget = testing::BudgetedRuns;

TEST_F(MemoryBudget, ADiskGivesTheSameBitsInNoMoreMemoryThanWasGiven) {
  ASSERT_LT(tiered_ + 10, alone_);
  const long mib = (tiered_ + 2 * alone_) / 3;
  const Json json = shell().json(within(mib, kDisk));
  expect_the_same();
  const Json& residency = json.at("residency");
  EXPECT_EQ(residency.at("limit").get<long>(), mib << 20);
  EXPECT_LE(json.at("peak_bytes").get<double>(), residency.at("limit").get<double>()) << "of the whole process";
  EXPECT_LE(residency.at("smallest").get<long>(), mib << 20);
  EXPECT_GT(residency.at("measured").at("read_bytes").get<long>(), 0);
  EXPECT_GT(residency.at("planned").at("read_bytes").get<long>(), 0);
  EXPECT_EQ(residency.at("measured").at("retries"), 0);
  expect_within_store(residency);
  EXPECT_FALSE(residency.at("emulated").get<bool>());
}

TEST_F(MemoryBudget, TheLeastIsEnoughForTheSameBits) {
  for (const std::string threads : {"", " --threads 1"}) {
    const Json json = shell().json(within(tiered_ + kWavers, kEmulated) + threads);
    expect_the_same();
    const Json& residency = json.at("residency");
    EXPECT_TRUE(residency.at("emulated").get<bool>());
    EXPECT_TRUE(residency.at("tier").get<std::string>().starts_with("emulated "));
    EXPECT_GT(residency.at("measured").at("fetches").get<long>(), 1000) << "nearly everything moves again and again";
    expect_within_store(residency);
  }
}

/// Weights are then encoded in the run, in the way that is best for that, so bits differ and results do not.
TEST_F(MemoryBudget, WithoutATierKeysStay) {
  const auto logits = [](const std::string& run) {
    const Json json = shell().json(run);
    shell().json(
        "decrypt \"$D/out/client.hearth\" --insecure --key \"$D/keys/secret.key\" --input \"$D/output.ct\" -o "
        "\"$D/logits.npy\"");
    return std::pair(json, read_npy(shell() / "logits.npy").values);
  };
  const auto [json, alone] = logits(within(alone_ + kWavers));
  EXPECT_EQ(json.at("residency").at("measured").at("fetches"), 0);
  EXPECT_EQ(json.at("residency").at("tier"), "");
  EXPECT_LE(json.at("peak_bytes").get<double>(), json.at("residency").at("limit").get<double>());
  const auto [usual, expected] = logits(KilledRuns::plain("output.ct"));
  EXPECT_TRUE(usual.at("residency").is_null());
  ASSERT_EQ(alone.size(), expected.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < alone.size(); ++i) {
    difference += std::pow(alone[i] - expected[i], 2);
    size += std::pow(expected[i], 2);
  }
  EXPECT_LT(difference, 1e-4 * size);
}

TEST_F(MemoryBudget, TheForecastComesBeforeTheRun) {
  const Outcome outcome = shell().hearth(within((tiered_ + alone_) / 2, kEmulated));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  expect_the_same();
  for (const char* const part :
       {"working set", "evaluation key", "at least", "traffic", "slow-down", "x predicted", "moved", "waited"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  }
  EXPECT_LT(outcome.out.find("working set"), outcome.out.find("time spent"));
}

TEST_F(MemoryBudget, TooLittleIsRefusedNamingTheLeast) {
  shell().refuses(within(tiered_ - 1 - kWavers, kEmulated, "never.ct"), "with this tier");
  shell().refuses(within(alone_ - 1 - kWavers, "", "never.ct"), "without a tier");
  EXPECT_NEAR(static_cast<double>(least_of(kDisk)), static_cast<double>(tiered_), 2 * kWavers);
  EXPECT_FALSE(shell().exists("never.ct"));
  expect_empty_tier();
}

TEST_F(MemoryBudget, TiersThatCannotWorkAreRefused) {
  shell().refuses(within((tiered_ + alone_) / 2, " --tier emulated:optane_pmem_100:1MiB", "never.ct"),
                  "do not fit the");
  shell().refuses(within(tiered_, " --tier \"nvme:$D/nowhere:64MiB\"", "never.ct"), "nowhere");
  EXPECT_FALSE(shell().exists("never.ct"));
}

TEST_F(MemoryBudget, WrongSpecificationsAreExplained) {
  const std::string run = KilledRuns::plain("never.ct");
  shell().refuses(run + " --memory lots", "for example 60GiB");
  shell().refuses(run + " --memory 4GiB --tier floppy:/mnt:1GiB", "for example nvme:/scratch:60GiB");
  shell().refuses(run + " --memory 4GiB --tier nvme:/scratch", "for example nvme:/scratch:60GiB");
  shell().refuses(run + " --memory 4GiB --tier nvme:/scratch:many", "for example");
  const Outcome alone = shell().hearth(run + kDisk);
  EXPECT_EQ(alone.code, cli::kUsage);
  EXPECT_NE(alone.err.find("--memory"), std::string::npos) << alone.err;
  EXPECT_FALSE(shell().exists("never.ct"));
}

TEST_F(MemoryBudget, AKilledRunGoesOnToTheSameBits) {
  kill_with_progress(within((tiered_ + alone_) / 2, kEmulated), 0.05);
  EXPECT_FALSE(shell().exists("output.ct"));
  const Json json = shell().json(within(tiered_ + kWavers, kEmulated) + " --checkpoint \"$D/kept\"");
  EXPECT_FALSE(json.at("resumed_at").is_null());
  expect_the_same();
  EXPECT_FALSE(shell().exists("kept"));
}

}  // namespace
}  // namespace hearth
