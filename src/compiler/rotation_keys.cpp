#include "compiler/rotation_keys.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"

namespace hearth::compiler {
namespace {

/// One way to split a map.
struct Choice {
  ckks::BsgsPlan plan;
  double cost = 0;
  std::vector<int> keys;
};

std::vector<Choice> choices_of(const ckks::MapShape& map, int slots, int outer, const SplitCosts& costs) {
  std::set<int> all;
  for (const ckks::DiagonalPlace& place : map.diagonals) {
    require(place.rotation >= 0 && place.rotation < slots, ErrorKind::kInvalidArgument,
            "the linear map rotates by {}; expected 0 to {}", place.rotation, slots - 1);
    all.insert(place.rotation);
  }
  std::vector<Choice> choices;
  for (int step = 1; step <= slots; step *= 2) {
    for (const int composed : std::set<int>{0, outer}) {
      Choice choice;
      choice.plan.step = step;
      choice.plan.outer = composed;
      std::set<int> babies, giants;
      for (const int r : all) {
        babies.insert(choice.plan.baby(r, slots));
        giants.insert(choice.plan.giant(r, slots));
      }
      choice.plan.babies.assign(babies.begin(), babies.end());
      choice.plan.giants.assign(giants.begin(), giants.end());
      choice.keys = ckks::rotations(choice.plan, slots);
      const ckks::StepCount count = ckks::count_steps(map, choice.plan, slots);
      choice.cost = costs.baby * static_cast<double>(count.babies) + costs.giant * static_cast<double>(count.giants);
      choices.push_back(std::move(choice));
    }
  }
  return choices;
}

/// How many chosen splits use each rotation.
class KeyCounts {
 public:
  explicit KeyCounts(int slots) : uses_(static_cast<std::size_t>(slots), 0) {}
  void add(const Choice& choice) {
    for (const int r : choice.keys) distinct_ += uses_[static_cast<std::size_t>(r)]++ == 0 ? 1 : 0;
  }
  void remove(const Choice& choice) {
    for (const int r : choice.keys) distinct_ -= --uses_[static_cast<std::size_t>(r)] == 0 ? 1 : 0;
  }
  std::size_t distinct() const { return distinct_; }

 private:
  std::vector<int> uses_;
  std::size_t distinct_ = 0;
};

}  // namespace

std::vector<ckks::BsgsPlan> split_rotations(const std::vector<const ckks::MapShape*>& maps, int slots, int outer,
                                            const SplitCosts& costs, std::size_t keys) {
  std::vector<std::vector<Choice>> choices(maps.size());
  parallel_for(0, maps.size(), [&](std::size_t i) { choices[i] = choices_of(*maps[i], slots, outer, costs); });
  std::vector<std::size_t> chosen;
  KeyCounts counts(slots);
  for (const auto& list : choices) {
    chosen.push_back(static_cast<std::size_t>(std::ranges::min_element(list, {}, &Choice::cost) - list.begin()));
    counts.add(list[chosen.back()]);
  }
  while (counts.distinct() > keys) {
    std::optional<std::pair<std::size_t, std::size_t>> best;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < maps.size(); ++i) {
      const std::size_t before = counts.distinct();
      counts.remove(choices[i][chosen[i]]);
      for (std::size_t c = 0; c < choices[i].size(); ++c) {
        counts.add(choices[i][c]);
        const double saved = static_cast<double>(before) - static_cast<double>(counts.distinct());
        const double price = (choices[i][c].cost - choices[i][chosen[i]].cost) / saved;
        counts.remove(choices[i][c]);
        if (saved <= 0 || price >= least) continue;
        least = price;
        best = {i, c};
      }
      counts.add(choices[i][chosen[i]]);
    }
    if (!best) break;
    counts.remove(choices[best->first][chosen[best->first]]);
    chosen[best->first] = best->second;
    counts.add(choices[best->first][best->second]);
  }
  std::vector<ckks::BsgsPlan> plans;
  for (std::size_t i = 0; i < maps.size(); ++i) plans.push_back(std::move(choices[i][chosen[i]].plan));
  return plans;
}

}  // namespace hearth::compiler
