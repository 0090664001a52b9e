#include "base/dry_run.h"

#include <algorithm>
#include <utility>

namespace hearth {
namespace {

struct State {
  bool active = false;
  bool in_round = false;
  long long current = 0, peak = 0;
  // What the round at hand holds while it lasts is held by every worker at once.
  long long before_round = 0, workers = 1;
  double seconds = 0;

  long long held() const { return std::max(current, before_round + (current - before_round) * workers); }
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
  return static_cast<std::size_t>(std::max(0LL, std::exchange(s.peak, s.held())));
}

double DryRun::seconds() { return state().seconds; }

void add_dry_seconds(double seconds) { state().seconds += seconds; }

namespace dry {

Suspension::Suspension() : active_(std::exchange(state().active, false)) {}
Suspension::~Suspension() { state().active = active_; }

void count_allocated(std::size_t bytes) {
  State& s = state();
  s.current += static_cast<long long>(bytes);
  s.peak = std::max(s.peak, s.held());
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
  if (workers.nested_) return;
  s.before_round = s.current;
  s.workers = static_cast<long long>(workers.clocks_.size());
}

// What it leaves behind counts once from here on.
Round::~Round() {
  State& s = state();
  workers_.clocks_[worker_] = s.seconds;
  if (workers_.nested_) return;
  s.before_round = 0;
  s.workers = 1;
}

}  // namespace dry
}  // namespace hearth
