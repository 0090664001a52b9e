#include "memory/load_rules.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hearth::memory {
namespace {

constexpr double kFetchesPerBucket = 4;

}  // namespace

LoadRules::LoadRules(const Timeline& timeline, const std::vector<TransferCost>& costs, const std::vector<After>& min)
    : timeline_(timeline), costs_(costs) {
  const double gap_seconds = measure(min);
  fill_buckets(min);
  average(gap_seconds);
}

/// Sets the width of buckets and the bytes of the mean fetch; returns the seconds of the mean gap given up.
double LoadRules::measure(const std::vector<After>& min) {
  double fetches = 0, seconds = 0, evicted = 0, gap_seconds = 0;
  for (std::uint32_t use = 0; use < timeline_.uses(); ++use) {
    const std::uint32_t before = timeline_.previous[use];
    const bool again = before != kNoUse && min[before] == After::kEvict;
    if (!again && !(before == kNoUse && timeline_.first_fetch(use))) continue;
    ++fetches;
    seconds += costs_[timeline_.sequence.uses[use].object].read_busy;
    fetch_bytes_ += static_cast<double>(timeline_.object(use).bytes);
    if (!again) continue;
    ++evicted;
    gap_seconds += timeline_.begin[use] - timeline_.begin[timeline_.hold[before] + 1];
  }
  const double total = timeline_.begin.back();
  width_ = std::max(kFetchesPerBucket * seconds / std::max(fetches, 1.0), total / (4.0 * timeline_.uses()));
  fetch_bytes_ /= std::max(fetches, 1.0);
  return gap_seconds / std::max(evicted, 1.0);
}

void LoadRules::fill_buckets(const std::vector<After>& min) {
  const std::uint32_t n = timeline_.uses();
  const auto bucket_of = [&](std::uint32_t use) { return static_cast<std::uint32_t>(timeline_.begin[use] / width_); };
  bucket_.resize(n);
  for (std::uint32_t use = 0; use < n; ++use) bucket_[use] = bucket_of(use);
  first_.assign(static_cast<std::size_t>(bucket_of(n)) + 1, 0);
  load_ = first_;
  for (std::uint32_t use = 0; use < n; ++use)
    while (bucket_begin_.size() <= bucket_[use]) bucket_begin_.push_back(use);
  bucket_begin_.resize(first_.size() + 1, n);
  std::vector<char> written(n, false);
  for (std::uint32_t use = 0; use < n; ++use) {
    const TransferCost& cost = costs_[timeline_.sequence.uses[use].object];
    const std::uint32_t before = timeline_.previous[use];
    if (before == kNoUse && timeline_.first_fetch(use)) first_[bucket_[use]] += cost.read_busy;
    if (before == kNoUse || min[before] != After::kEvict) continue;
    load_[bucket_[use]] += cost.read_busy;
    const std::uint32_t change = timeline_.change[before];
    if (change == kNoUse || written[change]) continue;
    written[change] = true;
    load_[bucket_[change]] += cost.write_busy;
  }
}

/// Replaces each load by the mean of the times before or after, whichever is more. A gap that ends in a burst can be
/// exchanged for one that ends up to a gap's length earlier; a cycle that repeats has its bursts at equal distances.
void LoadRules::average(double seconds) {
  std::vector<double> sum(load_.size() + 1, 0);
  std::partial_sum(load_.begin(), load_.end(), sum.begin() + 1);
  const auto width = static_cast<std::size_t>(std::ceil(seconds / width_)) + 1;
  const auto mean = [&](std::size_t from, std::size_t to) {
    return (sum[to] - sum[from]) / static_cast<double>(to - from);
  };
  for (std::size_t i = 0; i < load_.size(); ++i)
    load_[i] = std::max(mean(i + 1 - std::min(i + 1, width), i + 1), mean(i, std::min(i + width, load_.size())));
}

EvictionRules LoadRules::rules(const Tuning& tuning, std::uint64_t capacity) const {
  EvictionRules rules;
  rules.recompute = tuning.recompute;
  rules.budget = capacity - std::min(static_cast<std::uint64_t>(tuning.spare * fetch_bytes_), capacity / 4);
  rules.window = tuning.window;
  rules.bucket = bucket_;
  rules.bucket_begin = bucket_begin_;
  rules.room.resize(load_.size());
  for (std::size_t i = 0; i < load_.size(); ++i)
    rules.room[i] = std::min(tuning.limit * width_, tuning.spread * load_[i] + first_[i]);
  return rules;
}

}  // namespace hearth::memory
