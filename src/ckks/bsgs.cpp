// How the rotations of a linear map are split into baby and giant steps.
#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "ckks/linear_map.h"

namespace hearth::ckks {
namespace {

/// Every step up to this is tried, besides powers of two and differences of rotations.
constexpr int kSmallSteps = 128;
constexpr std::size_t kDifferences = 128;

/// The representative of a modulo b > 0 in [0, b).
int floor_mod(int a, int b) {
  const int r = a % b;
  return r < 0 ? r + b : r;
}

int to_signed(int rotation, int slots) { return rotation >= (slots + 1) / 2 ? rotation - slots : rotation; }

/// Distinct rotations by input and by output.
struct Usage {
  std::vector<std::set<int>> inputs, outputs;
  std::set<int> all;
};

Usage usage_of(const MapShape& shape, int slots) {
  Usage usage{.inputs = std::vector<std::set<int>>(static_cast<std::size_t>(shape.inputs)),
              .outputs = std::vector<std::set<int>>(static_cast<std::size_t>(shape.outputs)),
              .all = {}};
  for (const DiagonalPlace& place : shape.diagonals) {
    require(place.output >= 0 && place.output < shape.outputs && place.input >= 0 && place.input < shape.inputs,
            ErrorKind::kInvalidArgument,
            "the linear map has a block (output {}, input {}) but only {} outputs and {} inputs", place.output,
            place.input, shape.outputs, shape.inputs);
    require(place.rotation >= 0 && place.rotation < slots, ErrorKind::kInvalidArgument,
            "the linear map rotates by {}; expected 0 to {}", place.rotation, slots - 1);
    usage.inputs[static_cast<std::size_t>(place.input)].insert(place.rotation);
    usage.outputs[static_cast<std::size_t>(place.output)].insert(place.rotation);
    usage.all.insert(place.rotation);
  }
  return usage;
}

/// Counts distinct non-zero values per list without clearing between lists: a value is seen when it carries the
/// current stamp.
class Counter {
 public:
  explicit Counter(int slots) : stamps_(static_cast<std::size_t>(slots), 0) {}
  void start() { ++stamp_; }
  bool first(int value) { return std::exchange(stamps_[static_cast<std::size_t>(value)], stamp_) != stamp_; }

 private:
  std::vector<int> stamps_;
  int stamp_ = 0;
};

template <typename Part>
std::size_t count_non_zero(const std::vector<std::set<int>>& lists, Counter& counter, Part&& part) {
  std::size_t count = 0;
  for (const std::set<int>& list : lists) {
    counter.start();
    for (const int rotation : list) {
      const int value = part(rotation);
      if (value != 0 && counter.first(value)) ++count;
    }
  }
  return count;
}

std::set<int> candidate_steps(const std::set<int>& rotations, int slots) {
  std::set<int> steps;
  for (int step = 1; step <= slots; step *= 2) steps.insert(step);
  for (int step = 1; step <= std::min(kSmallSteps, slots); ++step) steps.insert(step);
  std::set<int> sorted;
  for (const int rotation : rotations) sorted.insert(to_signed(rotation, slots));
  if (sorted.empty()) return steps;
  int previous = *sorted.begin();
  std::size_t tried = 0;
  for (const int rotation : sorted) {
    if (++tried > kDifferences) break;
    if (rotation - *sorted.begin() > 0) steps.insert(rotation - *sorted.begin());
    if (rotation - previous > 0) steps.insert(rotation - previous);
    previous = rotation;
  }
  return steps;
}

/// Links of the chains of all outputs, and how many ways they go, for a chained plan.
struct Chains {
  std::size_t links = 0, directions = 0;
};

/// Nothing if some giant is no multiple of the step.
std::optional<Chains> chains_of(const BsgsPlan& plan, const std::vector<std::set<int>>& outputs, int slots) {
  Chains chains;
  int least = 0, most = 0;
  for (const std::set<int>& list : outputs) {
    int low = 0, high = 0;
    for (const int rotation : list) {
      const int giant = plan.giant(rotation, slots);
      if (to_signed(giant, slots) % plan.step != 0) return std::nullopt;
      low = std::min(low, plan.links(giant, slots)), high = std::max(high, plan.links(giant, slots));
    }
    chains.links += static_cast<std::size_t>(high - low);
    least = std::min(least, low), most = std::max(most, high);
  }
  chains.directions = static_cast<std::size_t>(least < 0) + static_cast<std::size_t>(most > 0);
  return chains;
}

/// Rotations of inputs and copies, of inputs to make copies, and the keys for both.
struct BabySteps {
  std::size_t hoisted = 0, copies = 0, keys = 0;
};

BabySteps baby_steps_of(const BsgsPlan& plan, const Usage& usage, Counter& counter, int slots) {
  const auto baby = [&](int rotation) { return plan.baby(rotation, slots); };
  if (plan.copy_step == 0) {
    return {count_non_zero(usage.inputs, counter, baby), 0, count_non_zero({usage.all}, counter, baby)};
  }
  const auto rest = [&](int rotation) { return plan.copy_and_rest(baby(rotation), slots).second; };
  // Of those that are rotated at all.
  BabySteps steps{.hoisted = count_non_zero(usage.inputs, counter, [&](int r) { return rest(r) == 0 ? 0 : baby(r); }),
                  .copies = 0,
                  .keys = count_non_zero({usage.all}, counter, rest)};
  int least = 0, most = 0;
  for (const int rotation : usage.all) {
    const int copy = plan.copy_and_rest(baby(rotation), slots).first;
    least = std::min(least, copy), most = std::max(most, copy);
  }
  steps.copies = static_cast<std::size_t>(most - least) * usage.inputs.size();
  steps.keys += static_cast<std::size_t>(least < 0) + static_cast<std::size_t>(most > 0);
  return steps;
}

void fill_lists(BsgsPlan& plan, const std::set<int>& rotations, int slots) {
  std::set<int> babies, giants;
  for (const int rotation : rotations) {
    babies.insert(plan.baby(rotation, slots));
    giants.insert(plan.giant(rotation, slots));
  }
  plan.babies.assign(babies.begin(), babies.end());
  plan.giants.assign(giants.begin(), giants.end());
}

struct Choice {
  BsgsPlan plan;
  bool found = false;
};

Choice cheapest(const Usage& usage, int slots, const StepCosts& costs, bool chained) {
  Counter counter(slots);
  Choice best;
  std::tuple<double, std::size_t> best_cost(std::numeric_limits<double>::infinity(), 0);
  for (const int step : candidate_steps(usage.all, slots)) {
    for (const int offset : std::set<int>{0, (step - 1) / 2, step / 2}) {
      BsgsPlan plan{.step = step, .babies = {}, .giants = {}, .offset = offset, .outer = 0, .chained = chained};
      const auto giant = [&](int rotation) { return plan.giant(rotation, slots); };
      std::size_t giants = 0, giant_keys = 0;
      if (chained) {
        const std::optional<Chains> chains = chains_of(plan, usage.outputs, slots);
        if (!chains) continue;
        giants = chains->links;
        giant_keys = chains->directions;
      } else {
        giants = count_non_zero(usage.outputs, counter, giant);
        giant_keys = count_non_zero({usage.all}, counter, giant);
      }
      for (const int parts : {1, 2, 4, 8}) {  // that copies cut a step into
        if (parts > 1 && (!chained || costs.copy <= 0 || step % parts != 0)) break;
        plan.copy_step = parts == 1 ? 0 : step / parts;
        const BabySteps babies = baby_steps_of(plan, usage, counter, slots);
        if (chained && babies.hoisted == 0) continue;
        const std::size_t keys = giant_keys + babies.keys;
        const double cost = costs.baby * static_cast<double>(babies.hoisted) +
                            costs.copy * static_cast<double>(babies.copies) +
                            costs.giant * static_cast<double>(giants) + costs.key * static_cast<double>(keys);
        if (const std::tuple total(cost, keys); total < best_cost) {
          best_cost = total;
          best = {plan, true};
        }
      }
    }
  }
  fill_lists(best.plan, usage.all, slots);
  return best;
}

}  // namespace

int BsgsPlan::baby(int rotation, int slots) const {
  const int s = to_signed(rotation, slots);
  return floor_mod(floor_mod(s + offset, step) - offset, slots);
}

int BsgsPlan::giant(int rotation, int slots) const { return floor_mod(rotation - baby(rotation, slots), slots); }

std::pair<int, int> BsgsPlan::copy_and_rest(int baby, int slots) const {
  if (copy_step <= 0) return {0, baby};
  const int s = to_signed(baby, slots), rest = floor_mod(s, copy_step);
  return {(s - rest) / copy_step, rest};
}

int BsgsPlan::outer_part(int giant, int slots) const {
  if (outer <= 0) return 0;
  const int s = to_signed(giant, slots), half = outer / 2;
  return floor_mod(s + half - floor_mod(s + half, outer), slots);
}

int BsgsPlan::inner_part(int giant, int slots) const {
  return outer <= 0 ? giant : floor_mod(giant - outer_part(giant, slots), slots);
}

int BsgsPlan::links(int giant, int slots) const {
  const int s = to_signed(giant, slots);
  require(s % step == 0, ErrorKind::kInvalidArgument, "giant step {} of a chained plan is no multiple of {}", giant,
          step);
  return s / step;
}

BsgsPlan plan_bsgs(const MapShape& shape, int slots, const StepCosts& costs) {
  return cheapest(usage_of(shape, slots), slots, costs, false).plan;
}

BsgsPlan plan_bsgs(const LinearMap& map, int slots, const StepCosts& costs) {
  return plan_bsgs(shape_of(map), slots, costs);
}

BsgsPlan plan_bsgs(const ComplexLinearMap& map, int slots, const StepCosts& costs) {
  return plan_bsgs(shape_of(map), slots, costs);
}

BsgsPlan plan_chained_bsgs(const MapShape& shape, int slots, const StepCosts& costs) {
  const Usage usage = usage_of(shape, slots);
  const Choice chained = cheapest(usage, slots, costs, true);
  return chained.found ? chained.plan : cheapest(usage, slots, costs, false).plan;
}

std::vector<int> rotations(const BsgsPlan& plan, int slots) {
  require((plan.outer <= 0 && !plan.chained && plan.copy_step <= 0) || slots > 0, ErrorKind::kInvalidArgument,
          "the rotations of a plan that composes or chains steps depend on the number of slots");
  std::set<int> out;
  for (const int baby : plan.babies) {
    const auto [copy, rest] = plan.copy_and_rest(baby, slots);
    out.insert(rest);
    if (copy != 0) out.insert(floor_mod(copy > 0 ? plan.copy_step : -plan.copy_step, slots));
  }
  for (const int giant : plan.giants) {
    if (plan.chained) {
      const int links = plan.links(giant, slots);
      out.insert(links == 0 ? 0 : floor_mod(links > 0 ? plan.step : -plan.step, slots));
      continue;
    }
    out.insert(plan.inner_part(giant, slots));
    out.insert(plan.outer_part(giant, slots));
  }
  out.erase(0);
  return {out.begin(), out.end()};
}

StepCount count_steps(const MapShape& shape, const BsgsPlan& plan, int slots) {
  std::vector<std::pair<int, int>> babies, inner, outer;  // (input or output, rotation)
  if (plan.chained) {
    const Usage usage = usage_of(shape, slots);
    Counter counter(slots);
    const BabySteps steps = baby_steps_of(plan, usage, counter, slots);
    return {steps.hoisted, chains_of(plan, usage.outputs, slots).value().links, steps.copies};
  }
  for (const DiagonalPlace& place : shape.diagonals) {
    const int giant = plan.giant(place.rotation, slots);
    if (const int baby = plan.baby(place.rotation, slots); baby != 0) babies.emplace_back(place.input, baby);
    // Sums whose inner part is 0 are added to those of their outer part as they are.
    if (plan.inner_part(giant, slots) != 0) inner.emplace_back(place.output, giant);
    if (const int part = plan.outer_part(giant, slots); part != 0) outer.emplace_back(place.output, part);
  }
  const auto distinct = [](auto& list) {
    std::sort(list.begin(), list.end());
    return static_cast<std::size_t>(std::unique(list.begin(), list.end()) - list.begin());
  };
  return {distinct(babies), distinct(inner) + distinct(outer), 0};
}

}  // namespace hearth::ckks
