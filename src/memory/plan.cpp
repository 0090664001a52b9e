#include "memory/plan.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "memory/load_rules.h"
#include "memory/replay.h"

namespace hearth::memory {
namespace {

/// A choice of gaps and what follows from it.
struct Candidate {
  std::vector<After> after;
  Schedule schedule;
  double seconds = 0, wait_seconds = 0;  // on a tier that is worse than it says
  double moved = 0;                      // bytes, without the first loads
};

/// Rules to try, those that cost less traffic first.
constexpr std::array<Tuning, 6> kTunings{{{2, 1}, {8, 1}, {16, 2}, {32, 6}, {64, 16}, {128, 32}}};
struct Spread {
  double spread = 0, limit = 0;
};
/// Spreads to try besides the usual one. The last is for a tier that is always late: as even as possible, without
/// limit.
constexpr std::array<Spread, 3> kSpreads{{{1.02, 1.05}, {1.25, 1.05}, {1.01, 10}}};
/// Shares of time up to which the tier is used before something is recomputed. More than all of it is possible, because
/// recomputing takes time in which the tier goes on.
constexpr std::array<double, 5> kLimits{0.4, 0.6, 0.8, 1.0, 1.3};
/// Transferred bytes over those of the plan that transfers least.
constexpr double kMostTraffic = 1.15;
/// What doubling the transferred bytes is worth, as a share of the time: of two plans that take about as long, the one
/// that moves less is better.
constexpr double kTrafficWeight = 0.05;
/// Plans are compared on a tier that is this much slower than the real one, so that they stand its moods.
constexpr double kCautionBusy = 1.05, kCautionLatency = 3;
/// Waits of less than this share of the time are not worth more search.
constexpr double kLittleWait = 0.001;

bool can_recompute(const AccessSequence& sequence) {
  return std::ranges::any_of(sequence.objects,
                             [](const PlannedObject& object) { return object.recompute_seconds != kNever; });
}

std::vector<TransferCost> with_caution(std::vector<TransferCost> costs) {
  for (TransferCost& cost : costs) {
    cost.read_busy *= kCautionBusy;
    cost.write_busy *= kCautionBusy;
    cost.read_latency *= kCautionLatency;
    cost.write_latency *= kCautionLatency;
  }
  return costs;
}

/// Builds plans by different rules and keeps the best.
class Search {
 public:
  Search(const AccessSequence& sequence, const PlanOptions& options)
      : options_(options),
        costs_(transfer_costs(sequence, options)),
        cautious_(with_caution(costs_)),
        timeline_(sequence, options.tier) {}

  Plan run() {
    require_capacity();
    EvictionRules least;
    least.budget = options_.capacity;
    best_ = build(least);
    least_moved_ = best_.moved;
    if (options_.tier && !good_enough() && std::ranges::count(best_.after, After::kEvict) > 0) try_tunings();
    return finish();
  }

 private:
  Candidate build(const EvictionRules& rules) const;
  Plan finish();
  void require_capacity() const;
  bool good_enough() const { return best_.wait_seconds <= kLittleWait * best_.seconds; }
  double price(const Candidate& candidate) const {
    const double more = least_moved_ > 0 ? candidate.moved / least_moved_ - 1 : 0;
    return candidate.seconds * (1 + kTrafficWeight * more) + options_.moving_seconds * candidate.moved;
  }
  /// False if it moves too much.
  bool consider(const LoadRules& load, const Tuning& tuning);
  void try_tunings();

  const PlanOptions& options_;
  std::vector<TransferCost> costs_, cautious_;
  Timeline timeline_;
  Candidate best_;
  Tuning best_tuning_ = kTunings[0];
  double least_moved_ = 0;
};

Candidate Search::build(const EvictionRules& rules) const {
  Candidate out;
  out.after = choose_gaps(timeline_, costs_, rules);
  out.schedule = schedule_transfers(timeline_, out.after, options_.capacity);
  const ReplayedTime time = replay(timeline_, cautious_, out.after, out.schedule, options_.capacity);
  out.seconds = time.seconds;
  out.wait_seconds = time.wait_seconds;
  const TransferredBytes bytes = transferred_bytes(timeline_, out.schedule);
  out.moved = static_cast<double>(bytes.read - bytes.first_read + bytes.written);
  return out;
}

Plan Search::finish() {
  Plan plan;
  PlanFigures& figures = plan.figures;
  const ReplayedTime time = replay(timeline_, costs_, best_.after, best_.schedule, options_.capacity);
  const TransferredBytes bytes = transferred_bytes(timeline_, best_.schedule);
  figures.read_bytes = bytes.read;
  figures.first_read_bytes = bytes.first_read;
  figures.written_bytes = bytes.written;
  if (options_.tier) figures.bound_bytes = read_bound(timeline_, options_.capacity);
  figures.compute_seconds = timeline_.begin.back();
  figures.recompute_seconds = time.recompute_seconds;
  figures.wait_seconds = time.wait_seconds;
  figures.seconds = time.seconds;
  figures.peak_bytes = greatest(best_.schedule.occupied);
  plan.after = std::move(best_.after);
  plan.fetches = std::move(best_.schedule.fetches);
  plan.fetch_from = std::move(best_.schedule.fetch_from);
  plan.writes = std::move(best_.schedule.writes);
  return plan;
}

void Search::require_capacity() const {
  const std::uint64_t least = greatest(timeline_.required);
  require(least <= options_.capacity, ErrorKind::kResource,
          "{} bytes of memory for large objects are too few: the program needs {} or more", options_.capacity, least);
}

bool Search::consider(const LoadRules& load, const Tuning& tuning) {
  Candidate candidate = build(load.rules(tuning, options_.capacity));
  if (candidate.moved > kMostTraffic * least_moved_) return false;
  if (price(candidate) < price(best_)) {
    best_ = std::move(candidate);
    best_tuning_ = tuning;
  }
  return true;
}

void Search::try_tunings() {
  const LoadRules load(timeline_, costs_, best_.after);
  int in_vain = 0;
  for (const Tuning& tuning : kTunings) {
    const double before = price(best_);
    if (!consider(load, tuning)) break;
    if (good_enough()) return;
    in_vain = price(best_) < before ? 0 : in_vain + 1;
    if (in_vain == 2) break;
  }
  Tuning tuning = best_tuning_;
  for (const auto& [spread, limit] : kSpreads) {
    tuning.spread = spread;
    tuning.limit = limit;
    consider(load, tuning);
  }
  if (!can_recompute(timeline_.sequence)) return;
  tuning = best_tuning_;
  tuning.recompute = true;
  for (const double limit : kLimits) {
    tuning.limit = limit;
    consider(load, tuning);
  }
}

}  // namespace

std::uint64_t smallest_capacity(const AccessSequence& sequence, bool tier) {
  check(sequence);
  const Timeline timeline(sequence, tier);
  return greatest(timeline.required);
}

Plan make_plan(const AccessSequence& sequence, const PlanOptions& options) {
  check(sequence);
  return Search(sequence, options).run();
}

}  // namespace hearth::memory
