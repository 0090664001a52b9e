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

// What a round holds only while it lasts is held by every worker at once; what it leaves behind, once.
Round::Round(std::size_t workers) : workers_(state().in_round ? 1 : workers), nested_(state().in_round) {
  State& s = state();
  before_ = s.current;
  outer_peak_ = std::exchange(s.peak, s.current);
  s.in_round = s.in_round || workers > 1;
}

Round::~Round() {
  State& s = state();
  const long long passing = (s.peak - before_) * static_cast<long long>(workers_);
  s.peak = std::max({outer_peak_, before_ + passing, s.current});
  s.in_round = nested_;
}

}  // namespace dry
}  // namespace hearth
