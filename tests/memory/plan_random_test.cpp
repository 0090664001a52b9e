#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "hearth/error.h"
#include "memory/plan.h"
#include "naive_replay.h"
#include "programs.h"

namespace hearth::memory {
namespace {

/// A random number below a bound.
using Below = std::function<std::uint32_t(std::uint32_t)>;

std::uint32_t below(std::uint32_t end) { return *rc::gen::inRange<std::uint32_t>(0, end); }

struct ProgramKind {
  std::uint32_t objects = 8, uses = 60, sizes = 9;
  bool changes = true, recomputes = true, pins = true, others = true;
};

AccessSequence random_program(const ProgramKind& kind, const Below& draw = below) {
  AccessSequence out;
  const std::uint32_t objects = 1 + draw(kind.objects), uses = draw(kind.uses + 1);
  for (std::uint32_t i = 0; i < objects; ++i) {
    PlannedObject object{.bytes = 1 + draw(kind.sizes)};
    object.created = kind.changes && draw(3) == 0;
    if (kind.recomputes && draw(3) == 0) object.recompute_seconds = 0.25 * draw(8);
    out.objects.push_back(object);
  }
  for (std::uint32_t i = 0; i < uses; ++i) {
    Use use{.object = draw(objects), .seconds = 0.25 * draw(5), .last = i};
    use.writes = kind.changes && draw(4) == 0;
    if (kind.pins && draw(4) == 0) use.last = std::min(i + draw(4), uses - 1);
    if (kind.others && draw(3) == 0) use.beside = draw(10);
    out.uses.push_back(use);
  }
  return out;
}

PlanOptions random_options(const AccessSequence& sequence) {
  const double bandwidth = *rc::gen::element(0.5, 2.0, 10.0, 1e9);
  PlanOptions options = options_for(0, bandwidth, *rc::gen::element(1e-6, 0.3, 2.0));
  options.tier = below(4) != 0;
  options.capacity = smallest_capacity(sequence, options.tier) + below(12);
  return options;
}

bool refused(const AccessSequence& sequence, const PlanOptions& options, const Plan& plan) {
  try {
    verify(sequence, options, plan);
  } catch (const Error& error) {
    RC_ASSERT(error.kind() == ErrorKind::kInternal);
    return true;
  }
  return false;
}

RC_GTEST_PROP(PlanRandom, IsAcceptedByVerifyAndByAPlainReplay, ()) {
  const AccessSequence sequence = random_program({});
  const PlanOptions options = random_options(sequence);
  const Plan plan = make_plan(sequence, options);
  verify(sequence, options, plan);
  RC_ASSERT(naive_replay(sequence, options, plan) == "");
  const PlanFigures& figures = plan.figures;
  RC_ASSERT(figures.peak_bytes <= options.capacity);
  RC_ASSERT(figures.wait_seconds >= 0);
  RC_ASSERT(std::abs(figures.seconds - figures.compute_seconds - figures.recompute_seconds - figures.wait_seconds) <
            1e-6);
}

RC_GTEST_PROP(PlanRandom, BelowTheSmallestCapacityThereIsNone, ()) {
  const AccessSequence sequence = random_program({});
  PlanOptions options = random_options(sequence);
  const std::uint64_t least = smallest_capacity(sequence, options.tier);
  RC_PRE(least > 0);
  options.capacity = least - 1;
  try {
    make_plan(sequence, options);
    RC_FAIL("a plan below the smallest capacity");
  } catch (const Error& error) {
    RC_ASSERT(error.kind() == ErrorKind::kResource);
    RC_ASSERT(std::string(error.what()).find(std::to_string(least)) != std::string::npos);
  }
}

/// Changes one thing about a plan that has at least one use.
void corrupt(Plan& plan) {
  const auto uses = static_cast<std::uint32_t>(plan.after.size());
  switch (below(5)) {
    case 0:
      plan.after[below(uses)] = static_cast<After>(below(4));
      return;
    case 1:
      if (!plan.writes.empty())
        plan.writes.erase(plan.writes.begin() + below(static_cast<std::uint32_t>(plan.writes.size())));
      return;
    case 2:
      if (!plan.fetch_from.empty())
        plan.fetch_from[below(static_cast<std::uint32_t>(plan.fetches.size()))] = below(uses);
      return;
    case 3:
      if (!plan.fetches.empty()) plan.fetches[below(static_cast<std::uint32_t>(plan.fetches.size()))] = below(uses);
      return;
    default:
      if (!plan.writes.empty()) plan.writes[below(static_cast<std::uint32_t>(plan.writes.size()))] = below(uses);
  }
}

RC_GTEST_PROP(PlanRandom, CorruptedPlansAreRefused, ()) {
  const AccessSequence sequence = random_program({});
  const PlanOptions options = random_options(sequence);
  RC_PRE(!sequence.uses.empty());
  Plan plan = make_plan(sequence, options);
  for (std::uint32_t i = 0; i <= below(2); ++i) corrupt(plan);
  if (naive_replay(sequence, options, plan) != "") RC_ASSERT(refused(sequence, options, plan));
}

/// Bytes read again in the best of all choices of gaps to keep; nothing recomputed, fetches just in time.
class BruteForce {
 public:
  BruteForce(const AccessSequence& sequence, std::uint64_t capacity) : sequence_(sequence), capacity_(capacity) {
    for (std::uint32_t use = 0; use < sequence.uses.size(); ++use) {
      for (std::uint32_t next = use + 1; next < sequence.uses.size(); ++next) {
        if (sequence.uses[next].object != sequence.uses[use].object) continue;
        gaps_.push_back({use, next});
        break;
      }
    }
  }

  std::uint64_t least() const {
    std::uint64_t best = ~std::uint64_t{0};
    for (std::uint64_t kept = 0; kept < std::uint64_t{1} << gaps_.size(); ++kept)
      if (fits(kept)) best = std::min(best, read(kept));
    return best;
  }

 private:
  struct Gap {
    std::uint32_t use = 0, next = 0;
  };

  bool pinned(std::uint32_t object, std::uint32_t at) const {
    for (std::uint32_t use = 0; use <= at; ++use)
      if (sequence_.uses[use].object == object && sequence_.uses[use].last >= at) return true;
    return false;
  }
  /// Between two uses and not pinned in between: all that can be given up.
  bool covers(const Gap& gap, std::uint32_t at) const {
    return gap.use < at && at < gap.next && !pinned(sequence_.uses[gap.use].object, at);
  }
  std::uint64_t bytes(const Gap& gap) const { return sequence_.objects[sequence_.uses[gap.use].object].bytes; }

  bool fits(std::uint64_t kept) const {
    for (std::uint32_t at = 0; at < sequence_.uses.size(); ++at) {
      std::uint64_t sum = sequence_.uses[at].beside;
      for (std::uint32_t object = 0; object < sequence_.objects.size(); ++object)
        if (pinned(object, at)) sum += sequence_.objects[object].bytes;
      for (std::size_t i = 0; i < gaps_.size(); ++i)
        if ((kept >> i & 1) != 0 && covers(gaps_[i], at)) sum += bytes(gaps_[i]);
      if (sum > capacity_) return false;
    }
    return true;
  }

  std::uint64_t read(std::uint64_t kept) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < gaps_.size(); ++i) {
      bool any = false;
      for (std::uint32_t at = 0; at < sequence_.uses.size(); ++at) any = any || covers(gaps_[i], at);
      if ((kept >> i & 1) == 0 && any) sum += bytes(gaps_[i]);
    }
    return sum;
  }

  const AccessSequence& sequence_;
  std::uint64_t capacity_;
  std::vector<Gap> gaps_;
};

RC_GTEST_PROP(PlanRandom, ReadsLeastWhereSizesAreEqualAndTheTierIsIdle, ()) {
  AccessSequence sequence =
      random_program({.objects = 5, .uses = 14, .sizes = 1, .changes = false, .recomputes = false});
  for (Use& use : sequence.uses) use.seconds = 1;
  const PlanOptions options = options_for(smallest_capacity(sequence) + below(3));
  const std::uint64_t least = BruteForce(sequence, options.capacity).least();
  const Plan plan = make_plan(sequence, options);
  RC_ASSERT(reread_bytes(plan) == least);
  RC_ASSERT(plan.figures.bound_bytes == least);
}

RC_GTEST_PROP(PlanRandom, ReadsLittleMoreThanTheLeast, ()) {
  const AccessSequence sequence = random_program({.objects = 5, .uses = 13, .sizes = 9, .recomputes = false});
  const PlanOptions options = options_for(smallest_capacity(sequence) + below(12));
  const std::uint64_t least = BruteForce(sequence, options.capacity).least();
  const Plan plan = make_plan(sequence, options);
  RC_ASSERT(plan.figures.bound_bytes <= least);
  RC_ASSERT(reread_bytes(plan) >= least);
  // Whole objects are given up where parts would do, at worst a large one instead of a small one every time.
  const std::uint64_t largest = std::ranges::max(sequence.objects, {}, &PlannedObject::bytes).bytes;
  RC_ASSERT(reread_bytes(plan) <= least * largest);
}

TEST(PlanRandom, OnAverageReadsHardlyMoreThanTheLeast) {
  std::mt19937 random(1);
  const Below draw = [&](std::uint32_t end) { return static_cast<std::uint32_t>(random() % end); };
  std::uint64_t read = 0, least = 0;
  for (int i = 0; i < 300; ++i) {
    const AccessSequence sequence =
        random_program({.objects = 5, .uses = 14, .recomputes = false, .others = false}, draw);
    const PlanOptions options = options_for(smallest_capacity(sequence) + draw(12));
    read += reread_bytes(make_plan(sequence, options));
    least += BruteForce(sequence, options.capacity).least();
  }
  EXPECT_GT(least, 300U);
  EXPECT_LE(static_cast<double>(read), 1.08 * static_cast<double>(least)) << read << " " << least;
}

}  // namespace
}  // namespace hearth::memory
