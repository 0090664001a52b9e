#include "runtime/residency.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "memory/emulated_tier.h"
#include "tests/base/expect_error.h"
#include "tests/memory/store_world.h"
#include "tests/runtime/budgeted_run.h"

// Runs within budgets of memory: the same bits as without, in no more memory than was given.
namespace hearth::runtime {
namespace {

using hearth::testing::BudgetedModel;
using hearth::testing::BudgetedRun;
using hearth::testing::CipherTensor;
using hearth::testing::copy_of;
using hearth::testing::Fault;
using hearth::testing::FaultyTier;
using hearth::testing::InstantTier;
using hearth::testing::same_bits;
using memory::Tier;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kTierBytes = 64 * kMiB;

std::unique_ptr<Tier> mapped_tier() {
  return std::make_unique<memory::MappedTier>("mapped", memory::MappedMemory::anonymous(kTierBytes));
}

class Budget : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = new BudgetedModel; }
  static void TearDownTestSuite() { delete model_; }
  void TearDown() override {
    set_chunk_limit(0);
    set_threads(before_);
  }

  static BudgetedRun make(std::uint64_t mib, std::unique_ptr<Tier> tier) {
    set_chunk_limit(0);
    return {*model_, {.limit = mib * kMiB, .tier = std::move(tier)}};
  }
  /// The least that an error names, in MiB.
  static std::uint64_t smallest(std::unique_ptr<Tier> tier) {
    set_chunk_limit(0);
    try {
      BudgetedRun run(*model_, {.limit = kMiB, .tier = std::move(tier)});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kResource);
      const std::string text = error.what(), before = "needs at least ";
      const std::size_t at = text.find(before);
      if (at != std::string::npos) return std::strtoull(text.c_str() + at + before.size(), nullptr, 10);
      ADD_FAILURE() << text;
    }
    ADD_FAILURE() << "a budget of nothing was accepted";
    return 1;
  }
  /// What the process takes besides is measured anew every time, and wavers by less than so many MiB.
  static constexpr std::uint64_t kWavers = 3;
  /// Barely enough.
  static std::uint64_t tight() { return smallest(mapped_tier()) + kWavers; }

  static void expect_the_same(const CipherTensor& result) { EXPECT_TRUE(same_bits(result, model_->expected())); }
  static void expect_within(const BudgetedRun& run) {
    const MemoryForecast& forecast = run.residency().forecast();
    EXPECT_LE(run.residency().figures().peak_total, forecast.store_bytes + forecast.lent_bytes);
    EXPECT_LE(chunk_bytes() + forecast.process_bytes, forecast.limit);
  }

  static BudgetedModel* model_;
  int before_ = threads();
};

BudgetedModel* Budget::model_ = nullptr;

TEST_F(Budget, WithPlentyNothingMoves) {
  const BudgetedRun run = make(4096, nullptr);
  for (int again = 0; again < 2; ++again) {
    expect_the_same(run.run());
    EXPECT_EQ(run.residency().figures().fetches, 0U);
    expect_within(run);
  }
  const MemoryForecast& forecast = run.residency().forecast();
  EXPECT_EQ(forecast.tier, "");
  EXPECT_EQ(forecast.figures.read_bytes, 0U);
  EXPECT_EQ(forecast.limit, 4096 * kMiB);
}

/// Keys lie in working memory too while that is not needed.
TEST_F(Budget, WorkingMemoryIsLent) {
  const BudgetedRun run = make(tight(), mapped_tier());
  const MemoryForecast& forecast = run.residency().forecast();
  EXPECT_GT(forecast.lent_bytes, 0U);
  EXPECT_LT(forecast.lent_bytes, forecast.working_bytes);
  for (int again = 0; again < 2; ++again) {
    expect_the_same(run.run());
    expect_within(run);
    EXPECT_GT(run.residency().figures().cleared, 0U);
    EXPECT_GT(run.residency().figures().peak_total, forecast.store_bytes);
  }
}

TEST_F(Budget, EveryBudgetAndTierGivesTheSameBits) {
  const TemporaryFolder folder;
  const memory::TierSpeed speed = hearth::memory::flat_speed(2e9, 1e-5, 4096);
  const std::uint64_t least = tight(), all = smallest(nullptr);
  ASSERT_LT(least + 4, all) << "a tier makes a difference";
  for (const std::uint64_t mib : {least, (least + all) / 2, all + 2}) {
    for (int kind = 0; kind < 3; ++kind) {
      SCOPED_TRACE(std::to_string(mib) + " MiB, tier " + std::to_string(kind));
      std::unique_ptr<Tier> tier = mapped_tier();
      if (kind == 1) tier = std::make_unique<memory::FileTier>("file", folder.path(), kTierBytes);
      if (kind == 2) tier = std::make_unique<memory::EmulatedTier>("thing", std::move(tier), speed);
      const BudgetedRun run = make(mib, std::move(tier));
      std::atomic<std::uint64_t> most{0};
      RunHooks hooks;
      hooks.checkpoint = [&] {
        const std::uint64_t now = chunk_bytes();
        for (std::uint64_t seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
      };
      for (int again = 0; again < 2; ++again) {
        expect_the_same(run.run(hooks));
        expect_within(run);
      }
      const MemoryForecast& forecast = run.residency().forecast();
      EXPECT_LE(most + forecast.process_bytes, forecast.limit);
      EXPECT_EQ(run.residency().figures().retries, 0U);
      // What idle threads keep comes and goes, so that in between everything may fit after all.
      if (mib == least || forecast.figures.read_bytes > 0) {
        EXPECT_GT(run.residency().figures().fetches, 0U);
      }
      EXPECT_EQ(forecast.emulated, kind == 2);
    }
  }
  EXPECT_EQ(folder.entries(), 0U) << "nothing is left behind";
}

/// On a tier that is said to be slow, diagonals of bootstraps are made from their coefficients.
TEST_F(Budget, PlaintextsMadeAnewGiveTheSameBits) {
  const BudgetedModel model(6);
  const auto slow_tier = [] {
    return std::make_unique<memory::MappedTier>("slow", memory::MappedMemory::anonymous(kTierBytes),
                                                hearth::memory::flat_speed(2e7, 1e-5, 4096));
  };
  set_chunk_limit(0);
  std::uint64_t limit = 0;
  {
    const BudgetedRun all(model, {.limit = 4096 * kMiB, .tier = slow_tier()});
    const MemoryForecast& whole = all.residency().forecast();
    EXPECT_EQ(whole.recipe_bytes, 0U) << "everything fits";
    limit = whole.process_bytes + whole.fixed_bytes + whole.working_bytes + whole.store_bytes / 2;
  }
  set_chunk_limit(0);
  const BudgetedRun run(model, {.limit = limit, .tier = slow_tier()});
  for (int again = 0; again < 2; ++again) {
    EXPECT_TRUE(same_bits(run.run(), model.expected()));
    expect_within(run);
    EXPECT_GT(run.residency().figures().made, 0U);
  }
  const MemoryForecast& forecast = run.residency().forecast();
  EXPECT_GT(forecast.recipe_bytes, 0U);
  EXPECT_LE(forecast.process_bytes + forecast.fixed_bytes + forecast.working_bytes + forecast.recipe_bytes +
                forecast.store_bytes,
            forecast.limit);
  EXPECT_GT(forecast.figures.recompute_seconds, 0);
}

TEST_F(Budget, TheLeastThatIsNamedWorksAndLessDoesNot) {
  for (const bool tiered : {true, false}) {
    const auto tier = [&] { return tiered ? mapped_tier() : nullptr; };
    const std::uint64_t least = smallest(tier());
    EXPECT_GT(least, 10U);
    const std::string named = tiered ? "with this tier" : "without a tier";
    expect_error(ErrorKind::kResource, named, [&] { make(least - 1 - kWavers, tier()); });
    const BudgetedRun run = make(least + kWavers, tier());
    expect_the_same(run.run());
    EXPECT_LE(run.residency().forecast().smallest >> 20, least + kWavers);
    EXPECT_GE(run.residency().forecast().smallest >> 20, least - 1 - kWavers);
  }
}

/// With one thread everything happens in the order of the recording.
TEST_F(Budget, OneThreadFetchesAsPlannedOnly) {
  set_threads(1);
  const std::uint64_t least = tight();
  for (const std::uint64_t more : {0, 1, 3, 6}) {
    SCOPED_TRACE(more);
    const BudgetedRun run = make(least + kTierBytes / kMiB + more, std::make_unique<InstantTier>(kTierBytes));
    const memory::Plan& plan = run.residency().residency_plan();
    for (int again = 0; again < 3; ++again) {
      expect_the_same(run.run());
      const memory::StoreFigures figures = run.residency().figures();
      EXPECT_EQ(figures.unplanned, 0U);
      EXPECT_LE(figures.fetches, plan.fetches.size());
      EXPECT_LE(figures.read_bytes, plan.figures.read_bytes);
      EXPECT_EQ(figures.waits, 0U) << "an instant tier is never waited for";
    }
  }
}

TEST_F(Budget, ThePlanIsSoundAndForeseesEveryUse) {
  const BudgetedRun run = make(tight() + 2, mapped_tier());
  const Residency& residency = run.residency();
  const MemoryForecast& forecast = residency.forecast();
  memory::PlanOptions options;
  options.capacity = forecast.store_bytes + forecast.lent_bytes;
  options.speed = memory::unmeasured_speed();
  memory::verify(residency.sequence(), options, residency.residency_plan());
  EXPECT_LE(forecast.figures.peak_bytes, options.capacity);
  std::uint64_t total = 0;
  for (const memory::PlannedObject& object : residency.sequence().objects) total += object.bytes;
  using memory::ObjectClass;
  const auto of = [&](ObjectClass kind) { return forecast.working_set[static_cast<std::size_t>(kind)]; };
  EXPECT_EQ(of(ObjectClass::kEvaluationKey) + of(ObjectClass::kPlaintext), total);
  EXPECT_LT(forecast.store_bytes, total);
  EXPECT_GT(of(ObjectClass::kPlaintext), 0U);
  EXPECT_EQ(forecast.working_bytes, of(ObjectClass::kCiphertext));
  // Uses are those of the real run: every one of them happens, no other does, or runs would fail or leave fetches.
  expect_the_same(run.run());
}

TEST_F(Budget, ResumedRunsGiveTheSameBits) {
  const BudgetedRun run = make(tight(), mapped_tier());
  std::vector<RunState> states;
  RunHooks hooks;
  hooks.save = [&](std::size_t done, const ResultLookup& result) {
    if (done == model_->program().instructions.size()) return;
    states.push_back({.next = done, .values = {}});
    for (const std::size_t v : live_values(model_->program(), done)) states.back().values.push_back(copy_of(result(v)));
  };
  expect_the_same(run.run(hooks));
  ASSERT_GT(states.size(), 3U);
  for (RunState& state : states) {
    SCOPED_TRACE(state.next);
    set_threads(state.next % 2 == 0 ? 1 : before_);
    expect_the_same(run.resume(std::move(state)));
    expect_within(run);
  }
  expect_the_same(run.run());
}

/// Wherever the tier fails for good, the run ends with what it says; then the next one is whole.
TEST_F(Budget, ATierThatFailsEndsTheRunAndTheNextIsWhole) {
  auto owned = std::make_unique<FaultyTier>(mapped_tier());
  FaultyTier& tier = *owned;
  const BudgetedRun run = make(tight(), std::move(owned));
  const std::uint64_t loaded = tier.reads();
  expect_the_same(run.run());
  const std::uint64_t reads = tier.reads() - loaded;
  ASSERT_GT(reads, 100U);
  for (const auto& [fault, after] : {std::pair(Fault::kError, reads / 4),
                                     {Fault::kShort, reads / 2},
                                     {Fault::kSilentLoss, reads / 8},
                                     {Fault::kFlippedBit, reads * 2 / 3}}) {
    const bool told = fault == Fault::kError || fault == Fault::kShort;
    tier.fail(memory::Direction::kRead, fault, after, FaultyTier::kAlways);
    expect_error(told ? ErrorKind::kIo : ErrorKind::kCorrupt, told ? "injected" : "gave back other data",
                 [&] { run.run(); });
    tier.heal();
    expect_the_same(run.run());
    expect_within(run);
  }
}

TEST_F(Budget, ReadsThatFailOnceAreHealed) {
  auto owned = std::make_unique<FaultyTier>(mapped_tier());
  FaultyTier& tier = *owned;
  const BudgetedRun run = make(tight(), std::move(owned));
  for (const Fault fault : {Fault::kError, Fault::kShort, Fault::kSilentLoss, Fault::kFlippedBit}) {
    tier.fail(memory::Direction::kRead, fault, 50);
    expect_the_same(run.run());
    EXPECT_EQ(run.residency().figures().retries, 1U);
  }
}

TEST_F(Budget, FullTiersAndDiskErrorsEndTheLoadingOfKeys) {
  auto owned = std::make_unique<FaultyTier>(mapped_tier());
  FaultyTier& tier = *owned;
  BudgetedRun run = make(tight(), std::move(owned));
  for (const std::uint64_t after : {0U, 7U, 200U}) {
    tier.fail(memory::Direction::kWrite, Fault::kFull, after);
    expect_error(ErrorKind::kResource, "the disk is full", [&] { run.store_keys(); });
    tier.fail(memory::Direction::kWrite, Fault::kError, after);
    expect_error(ErrorKind::kIo, "injected", [&] { run.store_keys(); });
  }
  run.store_keys();
  expect_the_same(run.run());
}

TEST_F(Budget, KeysMayBeStoredAgain) {
  for (const bool tiered : {true, false}) {
    BudgetedRun run = tiered ? make(tight(), mapped_tier()) : make(4096, nullptr);
    run.store_keys();
    expect_the_same(run.run());
    run.store_keys();
    expect_the_same(run.run());
  }
}

struct Stop {};

TEST_F(Budget, ARunThatIsEndedLeavesTheNextWhole) {
  const BudgetedRun run = make(tight(), mapped_tier());
  for (const int limit : {1, 20, 90}) {
    std::atomic<int> calls{0};
    RunHooks hooks;
    hooks.checkpoint = [&] {
      if (++calls >= limit) throw Stop{};
    };
    EXPECT_THROW(run.run(hooks), Stop);
    expect_the_same(run.run());
    expect_within(run);
  }
}

TEST_F(Budget, KeysOfAnotherShapeAreRefused) {
  const BudgetedRun run = make(4096, nullptr);
  const auto& [name, key] = *model_->plain().keys().galois.begin();
  const ckks::KeyName right{ckks::KeyKind::kGalois, name.first, name.second};
  ckks::SwitchingKey other{.set = key.set + 1, .b = {}, .a = {}, .seed = {}, .rows = nullptr};
  expect_error(ErrorKind::kMismatch, "was to be stored, expected set", [&] { run.executor().store_key(right, other); });
}

}  // namespace
}  // namespace hearth::runtime
