#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tests/cli/killed_runs.h"

namespace hearth::testing {

/// A network, its keys and inputs; what a run without a budget gives; and runs within budgets.
class BudgetedRuns : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    runs_ = new KilledRuns;
    std::filesystem::create_directory(shell() / "tier");
    tiered_ = least_of(kEmulated);
    alone_ = least_of("");
  }
  static void TearDownTestSuite() { delete runs_; }

  static const Shell& shell() { return runs_->shell(); }

  /// The least budget that a refusal names, in MiB.
  static long least_of(const std::string& tier) {
    const Outcome outcome = shell().hearth(KilledRuns::plain("never.ct") + " --memory 1MiB" + tier);
    EXPECT_EQ(outcome.code, cli::kFailure);
    const std::string before = "needs at least ";
    const std::size_t at = outcome.err.find(before);
    EXPECT_NE(at, std::string::npos) << outcome.err;
    return at == std::string::npos ? 0 : std::strtol(outcome.err.c_str() + at + before.size(), nullptr, 10);
  }
  /// `hearth run` on the inputs.
  static std::string within(long mib, const std::string& tier = "", const std::string& output = "output.ct") {
    return KilledRuns::plain(output) + " --memory " + std::to_string(mib) + "MiB" + tier;
  }

  /// Keys and plaintexts took no more than was theirs.
  static void expect_within_store(const cli::Json& residency) {
    const auto bytes = [&](const char* name) { return residency.at(name).get<long>(); };
    EXPECT_LE(residency.at("measured").at("peak_bytes").get<long>(), bytes("store_bytes") + bytes("lent_bytes"));
  }
  static void expect_the_same(const std::string& output = "output.ct") {
    // Not EXPECT_EQ, which would print all bytes.
    EXPECT_TRUE(runs_->bytes(output) == runs_->expected()) << output;
    std::filesystem::remove(shell() / output);
    expect_empty_tier();
  }
  static void expect_empty_tier() {
    EXPECT_TRUE(std::filesystem::is_empty(shell() / "tier")) << "nothing is left behind, however a process ends";
  }

  /// Kills a run that keeps progress in "kept", so many seconds after the first value of it lies there: the manifest
  /// names it a moment later.
  static void kill_with_progress(const std::string& run, double later) {
    const std::string start =
        std::string(HEARTH_PROGRAMS) + "/hearth-" + run + " --checkpoint \"$D/kept\" --quiet >/dev/null 2>&1 & n=0; ";
    const std::string begun =
        "until [ \"$(ls \"$D/kept\" 2>/dev/null | grep -c '[.]hearth$')\" -ge 2 ]; do sleep 0.01; n=$((n+1)); "
        "[ $n -lt 6000 ] || break; done; ";
    const Outcome outcome =
        shell().run(start + begun + "sleep " + std::to_string(later) + "; kill -9 $!; wait $!; echo $?");
    EXPECT_EQ(outcome.out, "137\n") << outcome.err;
  }

  /// What a fresh process takes besides is the same every time, give or take so many MiB.
  static constexpr long kWavers = 1;
  static constexpr const char* kEmulated = " --tier emulated:optane_pmem_100:256MiB";
  static constexpr const char* kDisk = " --tier \"nvme:$D/tier:256MiB\"";

  static inline KilledRuns* runs_ = nullptr;
  static inline long tiered_ = 0, alone_ = 0;  ///< the least in MiB, with a tier and without
};

}  // namespace hearth::testing
