#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace hearth {

/// Turns progress off or on for the whole process (--quiet, --json). On at start. Thread safe.
void set_progress_enabled(bool enabled);
bool progress_enabled();

/// Shows how far a long piece of work is, and the estimated time left, as one line of a terminal that is redrawn in
/// place:
///   Evaluating  [#########-----------]  46%  1:07, about 1:20 left: conv3
/// Shows nothing unless standard error is a terminal and the work has run, or is expected to run, for more than two
/// seconds. The line is erased when the object goes. Thread safe.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// Where and how to show; for tests. `now` and `write` are called under a lock.
  struct Display {
    std::function<Clock::time_point()> now;
    std::function<void(std::string_view)> write;  ///< empty: show nothing
    int columns = 80;
  };

  /// `total` > 0, in any unit of work. `expected_seconds`: a prediction of the whole time, or 0 if there is none.
  Progress(std::string label, double total, double expected_seconds = 0);
  Progress(std::string label, double total, double expected_seconds, Display display);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(double work);
  /// Sets the work done so far, which never goes back, and what is being done now (shown last, "" for nothing; no
  /// control characters).
  void set(double done, std::string_view detail = {});
  double done() const;
  /// Erases the line; nothing is shown afterwards. Called by the destructor.
  void finish();

 private:
  void show();
  bool due(Clock::time_point now) const;
  double seconds_left(double elapsed) const;
  std::string line(double elapsed) const;

  const std::string label_;
  const double total_;
  const double expected_seconds_;
  Display display_;
  Clock::time_point start_, shown_at_;
  double done_ = 0;
  std::string detail_;
  bool shown_ = false;
  bool finished_ = false;
  mutable std::mutex mutex_;
};

/// "0:07", "12:34" or "1:02:03".
std::string format_duration(double seconds);

}  // namespace hearth
