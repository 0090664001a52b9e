#include "memory/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "programs.h"
#include "tests/base/expect_error.h"

namespace hearth::memory {
namespace {

Plan checked_plan(const AccessSequence& sequence, const PlanOptions& options) {
  Plan plan = make_plan(sequence, options);
  verify(sequence, options, plan);
  EXPECT_LE(plan.figures.peak_bytes, options.capacity);
  EXPECT_NEAR(plan.figures.seconds,
              plan.figures.compute_seconds + plan.figures.recompute_seconds + plan.figures.wait_seconds,
              1e-9 * plan.figures.seconds);
  return plan;
}

TEST(Plan, KeepsEverythingWhereThereIsRoom) {
  const AccessSequence sequence = sequence_of({0, 1, 2, 0, 1, 2});
  const Plan plan = checked_plan(sequence, options_for(3));
  EXPECT_EQ(plan.after,
            (std::vector{After::kKeep, After::kKeep, After::kKeep, After::kDead, After::kDead, After::kDead}));
  EXPECT_EQ(plan.fetches, (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(plan.fetch_from, (std::vector<std::uint32_t>{0, 0, 0}));
  EXPECT_EQ(plan.figures.read_bytes, 3U);
  EXPECT_EQ(plan.figures.bound_bytes, 0U);
}

TEST(Plan, EvictsWhatIsUsedLast) {
  const AccessSequence sequence = sequence_of({0, 1, 2, 1, 0});
  const Plan plan = checked_plan(sequence, options_for(2));
  EXPECT_EQ(plan.after[0], After::kEvict);
  EXPECT_EQ(plan.after[1], After::kKeep);
  EXPECT_EQ(reread_bytes(plan), 1U);
  EXPECT_EQ(plan.figures.bound_bytes, 1U);
}

TEST(Plan, PrintsOneLineAUse) {
  AccessSequence sequence = sequence_of({0, 1, 2, 1, 0, 0}, 100);
  sequence.objects[0].created = true;
  sequence.objects[0].kind = ObjectClass::kCiphertext;
  sequence.objects[2].kind = ObjectClass::kWeights;
  sequence.uses[0].writes = true;
  sequence.uses[1].last = 2;
  const Plan plan = checked_plan(sequence, options_for(200));
  EXPECT_EQ(print(sequence, plan),
            "0: ciphertext 0, 100 bytes, created, changed; evict, write\n"
            "1: evaluation key 1, 100 bytes, fetched from 0, pinned to 2; keep\n"
            "2: weights 2, 100 bytes, fetched from 1; dead\n"
            "3: evaluation key 1, 100 bytes, kept; dead\n"
            "4: ciphertext 0, 100 bytes, fetched from 3; keep\n"
            "5: ciphertext 0, 100 bytes, kept; dead\n");
}

TEST(Plan, IsTheSameEveryTime) {
  const AccessSequence sequence = cyclic(200, 6, Evenness::kClustered);
  const PlanOptions options = options_for_cycle(sequence, 0.4, 0.9);
  const Plan first = checked_plan(sequence, options), second = make_plan(sequence, options);
  EXPECT_EQ(print(sequence, first), print(sequence, second));
  EXPECT_EQ(first.figures.seconds, second.figures.seconds);
}

TEST(Plan, NoUsesNeedNothing) {
  AccessSequence sequence;
  EXPECT_EQ(smallest_capacity(sequence), 0U);
  EXPECT_EQ(checked_plan(sequence, options_for(0)).figures.seconds, 0);
  sequence.objects.push_back({.bytes = 5});
  EXPECT_TRUE(checked_plan(sequence, options_for(0)).fetches.empty());
}

TEST(Plan, TooLittleMemoryNamesWhatIsNeeded) {
  AccessSequence sequence = sequence_of({0, 1, 2, 0}, 1000);
  sequence.objects[1].bytes = 7000;
  sequence.uses[0].last = 1;
  EXPECT_EQ(smallest_capacity(sequence), 8000U);
  expect_error(ErrorKind::kResource, "8000", [&] { make_plan(sequence, options_for(7999)); });
  checked_plan(sequence, options_for(8000));
}

TEST(Plan, WithoutATierWhatCannotBeMadeAnewStays) {
  AccessSequence sequence = sequence_of({0, 1, 2, 1, 0}, 10);
  sequence.objects[1].recompute_seconds = 0.5;
  EXPECT_EQ(smallest_capacity(sequence, true), 10U);
  EXPECT_EQ(smallest_capacity(sequence, false), 30U);  // objects 0 and 2 are there from the start
  sequence.objects[2].created = true;
  EXPECT_EQ(smallest_capacity(sequence, false), 20U);
  PlanOptions options;
  options.capacity = 20;
  options.tier = false;
  const Plan plan = checked_plan(sequence, options);
  EXPECT_EQ(plan.after[1], After::kRecompute);
  EXPECT_DOUBLE_EQ(plan.figures.recompute_seconds, 1);  // for its first use as well
  EXPECT_EQ(plan.figures.read_bytes, 0U);
}

TEST(Plan, WithoutATierTheCheapestIsMadeAnew) {
  AccessSequence sequence = sequence_of({0, 1, 2, 0, 1, 2, 0, 1, 2}, 10);
  for (PlannedObject& object : sequence.objects) object.recompute_seconds = 100;
  sequence.objects[1].recompute_seconds = 1;
  PlanOptions options;
  options.capacity = 20;
  options.tier = false;
  const Plan plan = checked_plan(sequence, options);
  EXPECT_LE(plan.figures.recompute_seconds, 3 + 3 * 100);
}

TEST(Plan, AChangedObjectIsNotMadeAnew) {
  AccessSequence sequence = sequence_of({0, 0, 1, 0}, 10);
  sequence.objects[0].created = sequence.objects[1].created = true;
  sequence.objects[0].recompute_seconds = 0.1;
  EXPECT_EQ(smallest_capacity(sequence, false), 10U);
  sequence.uses[1].writes = true;
  EXPECT_EQ(smallest_capacity(sequence, false), 20U);
}

TEST(Plan, OneGiantObjectPushesEverythingOut) {
  AccessSequence sequence = sequence_of({0, 1, 2, 3, 0, 1, 2}, 10);
  sequence.objects[3].bytes = 100;
  const Plan plan = checked_plan(sequence, options_for(100));
  EXPECT_EQ(reread_bytes(plan), 30U);
  EXPECT_EQ(plan.figures.bound_bytes, 30U);
}

TEST(Plan, WhatIsPinnedStays) {
  AccessSequence sequence = sequence_of({0, 1, 2, 3, 0, 1, 2, 3}, 10);
  for (Use& use : sequence.uses) use.last = 7;
  EXPECT_EQ(smallest_capacity(sequence), 40U);
  EXPECT_EQ(reread_bytes(checked_plan(sequence, options_for(40))), 0U);
}

TEST(Plan, AlternatingObjectsThatDoNotFitTogether) {
  AccessSequence sequence = sequence_of({0, 1, 0, 1, 0, 1}, 10);
  for (Use& use : sequence.uses) use.writes = true;
  const Plan plan = checked_plan(sequence, options_for(10));
  EXPECT_EQ(reread_bytes(plan), 40U);
  EXPECT_EQ(plan.figures.written_bytes, 40U);
  EXPECT_EQ(plan.writes, (std::vector<std::uint32_t>{0, 1, 2, 3}));
}

TEST(Plan, AnUnchangedObjectIsWrittenOnce) {
  AccessSequence sequence = sequence_of({0, 1, 0, 1, 0, 1}, 10);
  sequence.objects[0].created = true;
  const Plan plan = checked_plan(sequence, options_for(10));
  EXPECT_EQ(plan.writes, (std::vector<std::uint32_t>{0}));
}

TEST(Plan, CreatedObjectsFindRoomAmongPrefetchedOnes) {
  // Were memory granted as soon as it is free, the fetch of 3 would take what the creation of 1 needs.
  AccessSequence sequence = sequence_of({0, 1, 2, 3}, 10);
  sequence.objects[1].created = true;
  const Plan plan = checked_plan(sequence, options_for(20));
  EXPECT_EQ(plan.fetch_from, (std::vector<std::uint32_t>{0, 0, 2}));
}

TEST(Plan, PredictsHowLongUsesWaitForTheTier) {
  const AccessSequence sequence = sequence_of({0, 1, 2}, 10);  // one second each
  PlanOptions options = options_for(20);
  options.speed = flat_speed(5, 3, 10);  // a fetch lasts 3 s, of which it keeps the tier busy for 2
  const Plan plan = checked_plan(sequence, options);
  // 0 and 1 start at once and end at 3 and 4; 0 is given up at 4, when 1 begins, and 2 starts; it ends at 7.
  EXPECT_DOUBLE_EQ(plan.figures.seconds, 8);
  EXPECT_DOUBLE_EQ(plan.figures.wait_seconds, 5);
}

TEST(Plan, WhatIsBeingWrittenKeepsItsMemory) {
  AccessSequence sequence = sequence_of({0, 1, 0}, 10);
  sequence.objects[0].created = sequence.objects[1].created = true;
  PlanOptions options = options_for(10);
  options.speed = flat_speed(5, 3, 10);
  const Plan plan = checked_plan(sequence, options);
  // 0 is used until 1 and written until 4; 1 until 5; 0 fetched until 8 and used until 9.
  EXPECT_DOUBLE_EQ(plan.figures.seconds, 9);
  EXPECT_DOUBLE_EQ(plan.figures.wait_seconds, 6);
}

TEST(Plan, RecomputesWhereTheTierIsTheBottleneck) {
  AccessSequence sequence = cyclic(300, 10, Evenness::kEven);
  const PlanOptions options = options_for_cycle(sequence, 0.4, 2.5);
  const double fetched = checked_plan(sequence, options).figures.seconds;
  for (PlannedObject& object : sequence.objects) object.recompute_seconds = 0.3e-3;  // a fetch takes 5.6 ms
  const Plan plan = checked_plan(sequence, options);
  EXPECT_GT(plan.figures.recompute_seconds, 0);
  EXPECT_LT(plan.figures.seconds, 0.7 * fetched);
  for (PlannedObject& object : sequence.objects) object.recompute_seconds = 1;
  EXPECT_EQ(checked_plan(sequence, options).figures.recompute_seconds, 0);
}

TEST(Plan, RefusesSequencesThatMakeNoSense) {
  const AccessSequence good = sequence_of({0, 1});
  const auto refused = [&](const std::string& part, const std::function<void(AccessSequence&)>& spoil) {
    AccessSequence bad = good;
    spoil(bad);
    expect_error(ErrorKind::kInvalidArgument, part, [&] { make_plan(bad, options_for(10)); });
  };
  refused("use 1 is of object 2", [](AccessSequence& s) { s.uses[1].object = 2; });
  refused("use 1 pins to the end of use 0", [](AccessSequence& s) { s.uses[1].last = 0; });
  refused("use 0 pins to the end of use 2", [](AccessSequence& s) { s.uses[0].last = 2; });
  refused("use 0 takes -1 s", [](AccessSequence& s) { s.uses[0].seconds = -1; });
  refused("use 0 takes nan", [](AccessSequence& s) { s.uses[0].seconds = std::nan(""); });
  refused("object 1 of the access sequence has 0 bytes", [](AccessSequence& s) { s.objects[1].bytes = 0; });
  refused("recomputed in -1 s", [](AccessSequence& s) { s.objects[1].recompute_seconds = -1; });
  PlanOptions options = options_for(10);
  options.speed.write.clear();
  expect_error(ErrorKind::kInvalidArgument, "no points for writing", [&] { make_plan(good, options); });
}

TEST(Plan, VerifyRefusesWhatCannotBeExecuted) {
  AccessSequence sequence = sequence_of({0, 1, 2, 0, 1, 2}, 10);
  sequence.objects[0].created = true;
  const PlanOptions options = options_for(20);
  const Plan good = checked_plan(sequence, options);
  const auto refused = [&](const std::string& part, const std::function<void(Plan&)>& spoil) {
    Plan bad = good;
    spoil(bad);
    expect_error(ErrorKind::kInternal, part, [&] { verify(sequence, options, bad); });
  };
  refused("expected 6", [](Plan& p) { p.after.pop_back(); });
  refused("is not the last of its object", [](Plan& p) { p.after[0] = After::kDead; });
  refused("is the last of its object", [](Plan& p) { p.after[5] = After::kKeep; });
  refused("cannot be recomputed", [](Plan& p) { p.after[0] = After::kRecompute; });
  refused("lacks its fetch", [](Plan& p) { p.fetches.pop_back(), p.fetch_from.pop_back(); });
  refused("fetches; expected", [](Plan& p) { p.fetches.push_back(5), p.fetch_from.push_back(5); });
  refused("start at", [](Plan& p) { p.fetch_from.pop_back(); });
  refused("starts at 6", [](Plan& p) { p.fetch_from.back() = 6; });
  refused("nothing to write", [](Plan& p) { p.writes = {1}; });
  refused("figures", [](Plan& p) { ++p.figures.read_bytes; });
  refused("bytes; expected 20 or less", [](Plan& p) { p.fetch_from[1] = 0; });
  Plan kept = good;
  std::ranges::replace(kept.after, After::kEvict, After::kKeep);
  kept.fetches = {1, 2};
  kept.fetch_from = {1, 2};
  expect_error(ErrorKind::kInternal, "at use 2 there are 30 bytes", [&] { verify(sequence, options, kept); });
}

TEST(Plan, AnEvictedObjectThatChangedMustBeWritten) {
  AccessSequence sequence = sequence_of({0, 1, 0}, 10);
  sequence.objects[0].created = true;
  const PlanOptions options = options_for(10);
  Plan plan = checked_plan(sequence, options);
  plan.writes.clear();
  expect_error(ErrorKind::kInternal, "the tier has no copy", [&] { verify(sequence, options, plan); });
}

class CyclicPlan : public testing::TestWithParam<Evenness> {};

TEST_P(CyclicPlan, HardlyWaitsAndMovesLittleMoreThanTheBound) {
  const AccessSequence sequence = cyclic(1500, 20, GetParam());
  for (const double share : {1.0 / 3, 1.0 / 6}) {
    for (const double load : {0.3, 0.6, 0.8}) {
      const PlanOptions options = options_for_cycle(sequence, share, load);
      const Plan plan = checked_plan(sequence, options);
      EXPECT_LT(plan.figures.wait_seconds, 0.02 * plan.figures.compute_seconds) << share << " " << load;
      EXPECT_LE(static_cast<double>(reread_bytes(plan)), 1.15 * static_cast<double>(plan.figures.bound_bytes));
      EXPECT_GE(reread_bytes(plan), plan.figures.bound_bytes);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CyclicPlan, testing::Values(Evenness::kEven, Evenness::kUneven, Evenness::kClustered));

}  // namespace
}  // namespace hearth::memory
