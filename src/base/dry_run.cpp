#include "base/dry_run.h"

#include <algorithm>
#include <utility>

namespace hearth {
namespace {

struct State {
  bool active = false;
  bool in_round = false;
  long long current = 0, peak = 0;
  double seconds = 0;
};

State& state() {
  thread_local State here;
  return here;
}

}  // namespace

bool dry_run() { return state().active; }

DryRun::DryRun() { state() = {.active = true}; }
DryRun::~DryRun() { state() = {}; }

std::size_t DryRun::take_peak_bytes() {
  State& s = state();
  return static_cast<std::size_t>(std::max(0LL, std::exchange(s.peak, s.current)));
}

double DryRun::seconds() { return state().seconds; }

void add_dry_seconds(double seconds) { state().seconds += seconds; }

namespace dry {

Suspension::Suspension() : active_(std::exchange(state().active, false)) {}
Suspension::~Suspension() { state().active = active_; }

void count_allocated(std::size_t bytes) {
  State& s = state();
  s.current += static_cast<long long>(bytes);
  s.peak = std::max(s.peak, s.current);
}

void count_freed(std::size_t bytes) { state().current -= static_cast<long long>(bytes); }

Workers::Workers(std::size_t count) : nested_(state().in_round), clocks_(nested_ ? 1 : count, state().seconds) {
  state().in_round = nested_ || count > 1;
}

Workers::~Workers() {
  state().in_round = nested_;
  state().seconds = *std::max_element(clocks_.begin(), clocks_.end());
}

Round::Round(Workers& workers)
    : workers_(workers),
      worker_(static_cast<std::size_t>(std::min_element(workers.clocks_.begin(), workers.clocks_.end()) -
                                       workers.clocks_.begin())) {
  State& s = state();
  s.seconds = workers.clocks_[worker_];
  before_ = s.current;
  outer_peak_ = std::exchange(s.peak, s.current);
}

// What a round holds only while it lasts is held by every worker at once; what it leaves behind, once.
Round::~Round() {
  State& s = state();
  workers_.clocks_[worker_] = s.seconds;
  const long long passing = (s.peak - before_) * static_cast<long long>(workers_.clocks_.size());
  s.peak = std::max({outer_peak_, before_ + passing, s.current});
}

}  // namespace dry
}  // namespace hearth
