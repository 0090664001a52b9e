#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/error.h"

namespace hearth {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr double kPatience = 2;         // seconds of work that need no progress
constexpr double kRedrawSeconds = 0.1;  // at most ten lines a second
constexpr double kPriorShare = 0.2;     // of the work, after which only the pace seen counts
constexpr int kMinColumns = 40;
constexpr int kBarCells = 20;

std::atomic<bool> enabled{true};

int terminal_columns() {
  struct winsize size {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

Progress::Display standard_error() {
  Progress::Display display;
  display.now = [] { return Progress::Clock::now(); };
  if (!progress_enabled() || !isatty(STDERR_FILENO)) return display;
  display.columns = terminal_columns();
  display.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  return display;
}

}  // namespace

void set_progress_enabled(bool value) { enabled = value; }
bool progress_enabled() { return enabled; }

std::string format_duration(double seconds) {
  const auto whole = static_cast<long long>(std::llround(std::clamp(seconds, 0.0, 1e9)));
  const long long hours = whole / 3600, minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

Progress::Progress(std::string label, double total, double expected_seconds)
    : Progress(std::move(label), total, expected_seconds, standard_error()) {}

Progress::Progress(std::string label, double total, double expected_seconds, Display display)
    : label_(std::move(label)), total_(total), expected_seconds_(expected_seconds), display_(std::move(display)) {
  require(total > 0 && std::isfinite(total), ErrorKind::kInvalidArgument, "progress of {} needs work to do, got {}",
          label_, total);
  start_ = display_.now();
  const std::lock_guard lock(mutex_);
  show();
}

Progress::~Progress() { finish(); }

void Progress::advance(double work) {
  const std::lock_guard lock(mutex_);
  done_ = std::min(total_, done_ + std::max(0.0, work));
  show();
}

void Progress::set(double done, std::string_view detail) {
  const std::lock_guard lock(mutex_);
  detail_ = detail;
  done_ = std::clamp(done, done_, total_);
  show();
}

double Progress::done() const {
  const std::lock_guard lock(mutex_);
  return done_;
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  if (shown_ && !finished_) display_.write("\r\x1b[K");
  finished_ = true;
}

void Progress::show() {
  if (!display_.write || finished_) return;
  const Clock::time_point now = display_.now();
  if (!due(now)) return;
  shown_ = true;
  shown_at_ = now;
  display_.write(fmt::format("\r{}\x1b[K", line(Seconds(now - start_).count())));
}

bool Progress::due(Clock::time_point now) const {
  if (shown_) return Seconds(now - shown_at_).count() >= kRedrawSeconds;
  const double elapsed = Seconds(now - start_).count();
  return elapsed > kPatience || elapsed + seconds_left(elapsed) > kPatience;
}

/// Blends the prediction with the pace seen so far, which counts more the more of the work is done. Negative: unknown.
double Progress::seconds_left(double elapsed) const {
  const double share = done_ / total_;
  const double predicted = std::max(0.0, expected_seconds_ * (1 - share));
  if (share <= 0) return expected_seconds_ > 0 ? std::max(predicted - elapsed, 0.0) : -1;
  const double seen = elapsed / share * (1 - share);
  if (expected_seconds_ <= 0) return seen;
  const double weight = std::min(1.0, share / kPriorShare);
  return weight * seen + (1 - weight) * predicted;
}

std::string Progress::line(double elapsed) const {
  const double share = done_ / total_;
  const double left = seconds_left(elapsed);
  const int filled = static_cast<int>(share * kBarCells);
  std::string text = fmt::format("{}  [{:#<{}}{:-<{}}] {:3.0f}%  {}", label_, "", filled, "", kBarCells - filled,
                                 std::floor(share * 100), format_duration(elapsed));
  if (left >= 0) text += fmt::format(", about {} left", format_duration(left));
  if (!detail_.empty()) text += ": " + detail_;
  // A line that wraps cannot be redrawn in place.
  text.resize(std::min(text.size(), static_cast<std::size_t>(std::max(kMinColumns, display_.columns) - 1)));
  return text;
}

}  // namespace hearth
