#include "cli/report/summary.h"

#include <algorithm>
#include <map>
#include <utility>

namespace hearth::cli {
namespace {

using trace::Category;
using trace::Event;

constexpr std::string_view kResident = "resident";

double seconds_of(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }
std::int64_t end_of(const Event& event) { return event.begin + event.duration; }

/// Totals by (name, detail), in the order in which these come first.
class Totals {
 public:
  void add(const std::string& name, const std::string& detail, const Event& event, double tier_bytes = 0) {
    const auto [place, added] = index_.emplace(std::pair(name, detail), list_.size());
    if (added) list_.push_back({.name = name, .detail = detail});
    Total& total = list_[place->second];
    ++total.count;
    total.seconds += seconds_of(event.duration);
    total.bytes += event.value;
    total.tier_bytes += tier_bytes;
  }
  std::vector<Total> in_order() { return std::move(list_); }
  std::vector<Total> longest_first() {
    std::ranges::stable_sort(list_, std::greater<>(), &Total::seconds);
    return std::move(list_);
  }

 private:
  std::map<std::pair<std::string, std::string>, std::size_t> index_;
  std::vector<Total> list_;
};

bool moves(const Event& event) {
  return !event.counter && (event.category == Category::kRead || event.category == Category::kWrite ||
                            event.category == Category::kCheckpoint);
}

/// Bytes of reads and writes that began in [0, t), for any t.
class TierBytes {
 public:
  explicit TierBytes(const std::vector<Event>& events) {
    double sum = 0;
    for (const Event& event : events) {
      if (!moves(event)) continue;
      begins_.push_back(event.begin);
      sums_.push_back(sum);
      sum += event.value;
    }
    sums_.push_back(sum);
  }
  double between(std::int64_t from, std::int64_t to) const { return before(to) - before(from); }

 private:
  double before(std::int64_t time) const {
    return sums_[static_cast<std::size_t>(std::ranges::lower_bound(begins_, time) - begins_.begin())];
  }
  std::vector<std::int64_t> begins_;
  std::vector<double> sums_;
};

/// The times at which a recording's first and last event begin and end.
std::pair<std::int64_t, std::int64_t> range_of(const std::vector<Event>& events) {
  if (events.empty()) return {0, 0};
  std::int64_t end = 0;
  for (const Event& event : events) end = std::max(end, end_of(event));
  return {events.front().begin, end};
}

Occupancy occupancy(const std::vector<Event>& events, std::size_t moments) {
  Occupancy out;
  std::map<std::string, std::size_t> index;
  for (const Event& event : events) {
    if (event.counter && event.name == kResident && index.emplace(event.detail, out.classes.size()).second) {
      out.classes.push_back(event.detail);
    }
  }
  if (out.classes.empty()) return out;
  const auto [begin, end] = range_of(events);
  const double step = seconds_of(end - begin) / static_cast<double>(moments);
  for (std::size_t m = 0; m < moments; ++m) out.times.push_back(static_cast<double>(m + 1) * step);
  out.values.assign(out.classes.size(), std::vector<double>(moments, 0));
  out.peaks.assign(out.classes.size(), 0);
  std::vector<double> now(out.classes.size(), 0);
  std::size_t moment = 0;
  double sum = 0;
  for (const Event& event : events) {
    if (!event.counter || event.name != kResident) continue;
    const double time = seconds_of(event.begin - begin);
    while (moment + 1 < moments && time > out.times[moment]) {
      ++moment;
      for (std::size_t c = 0; c < now.size(); ++c) out.values[c][moment] = now[c];
    }
    const std::size_t c = index.at(event.detail);
    sum += event.value - std::exchange(now[c], event.value);
    out.values[c][moment] = std::max(out.values[c][moment], event.value);
    out.peaks[c] = std::max(out.peaks[c], event.value);
    out.peak = std::max(out.peak, sum);
  }
  for (++moment; moment < moments; ++moment) {
    for (std::size_t c = 0; c < now.size(); ++c) out.values[c][moment] = now[c];
  }
  return out;
}

}  // namespace

TraceSummary summarise(const trace::Recording& recording, std::size_t moments) {
  const TierBytes tiers(recording.events);
  Totals layers, operations, traffic, waits;
  std::map<trace::Track, std::int64_t> busy_until;
  for (const Event& event : recording.events) {
    if (event.counter) continue;
    const std::string& track = recording.tracks.at(event.track);
    if (event.category == Category::kWait) waits.add(event.name, track, event);
    if (moves(event)) traffic.add(track, std::string(to_string(event.category)), event);
    if (event.category != Category::kCompute) continue;
    const auto [until, first] = busy_until.emplace(event.track, 0);
    if (!first && event.begin < until->second) continue;
    until->second = end_of(event);
    const double bytes = tiers.between(event.begin, end_of(event));
    layers.add(event.name, event.detail, event, bytes);
    operations.add(event.detail, "", event, bytes);
  }
  const auto [begin, end] = range_of(recording.events);
  return {.seconds = seconds_of(end - begin),
          .layers = layers.in_order(),
          .operations = operations.longest_first(),
          .traffic = traffic.in_order(),
          .waits = waits.longest_first(),
          .resident = occupancy(recording.events, moments)};
}

}  // namespace hearth::cli
