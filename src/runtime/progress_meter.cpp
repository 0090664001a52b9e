#include "runtime/progress_meter.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace hearth::runtime {
namespace {

constexpr double kPause = 0.1;        // seconds between guesses
constexpr double kMostGuessed = 0.9;  // of a part that goes on

}  // namespace

ProgressMeter::ProgressMeter(std::vector<double> costs, Report report, Clock clock)
    : costs_(std::move(costs)),
      report_(std::move(report)),
      clock_(std::move(clock)),
      total_(std::accumulate(costs_.begin(), costs_.end(), 0.0)),
      start_(clock_()) {}

void ProgressMeter::begin(std::size_t index, const std::string& name) {
  name_ = name;
  for (; instruction_ < index; ++instruction_) before_ += costs_[instruction_];
  if (skipped_ < 0) skipped_ = before_;
  begin_part(0, 1);
}

void ProgressMeter::begin_part(double from, double to) {
  part_done_ = before_ + from * costs_[instruction_];
  part_cost_ = (to - from) * costs_[instruction_];
  part_begin_ = told_ = clock_();
  pace_ = part_done_ > skipped_ ? (part_begin_ - start_) / (part_done_ - skipped_) : 0;
  report(part_done_);
}

void ProgressMeter::tick() {
  if (!report_ || pace_ <= 0 || part_cost_ <= 0 || std::this_thread::get_id() != thread_) return;
  const double now = clock_();
  if (now - told_ < kPause) return;
  told_ = now;
  report(part_done_ + part_cost_ * std::min(kMostGuessed, (now - part_begin_) / (pace_ * part_cost_)));
}

void ProgressMeter::finish() { report(total_); }

void ProgressMeter::report(double done) {
  if (report_) report_(std::min(done, total_), total_, name_);
}

}  // namespace hearth::runtime
