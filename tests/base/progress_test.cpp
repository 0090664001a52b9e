#include "base/progress.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "expect_error.h"

namespace hearth {
namespace {

/// A clock that the test turns, and a terminal that remembers.
struct FakeTerminal {
  Progress::Clock::time_point time{};
  std::vector<std::string> lines;
  int columns = 80;

  Progress::Display display() {
    return {[this] { return time; }, [this](std::string_view text) { lines.emplace_back(text); }, columns};
  }
  void wait(double seconds) {
    time += std::chrono::duration_cast<Progress::Clock::duration>(std::chrono::duration<double>(seconds));
  }
  bool last_has(const std::string& part) const {
    return !lines.empty() && lines.back().find(part) != std::string::npos;
  }
};

TEST(Progress, ShortWorkShowsNothing) {
  FakeTerminal terminal;
  {
    Progress progress("Short", 10, 0, terminal.display());
    for (int i = 0; i < 10; ++i) {
      terminal.wait(0.1);
      progress.advance(1);
    }
  }
  EXPECT_TRUE(terminal.lines.empty());
}

TEST(Progress, LongWorkShowsShareAndTimeLeftAndCleansUp) {
  FakeTerminal terminal;
  {
    Progress progress("Encoding", 100, 0, terminal.display());
    terminal.wait(10);
    progress.advance(25);
    EXPECT_TRUE(terminal.last_has("Encoding  [#####---------------]  25%  0:10, about 0:30 left"))
        << terminal.lines.back();
    EXPECT_EQ(progress.done(), 25);
  }
  EXPECT_EQ(terminal.lines.back(), "\r\x1b[K");
}

TEST(Progress, SaysWhatIsBeingDone) {
  FakeTerminal terminal;
  Progress progress("Evaluating", 4, 0, terminal.display());
  terminal.wait(10);
  progress.set(1, "conv1");
  EXPECT_TRUE(terminal.last_has("about 0:30 left: conv1\x1b[K")) << terminal.lines.back();
  terminal.wait(10);
  progress.set(2);
  EXPECT_TRUE(terminal.last_has("about 0:20 left\x1b[K")) << terminal.lines.back();
}

TEST(Progress, ShowsAtOnceWhatIsExpectedToBeLong) {
  FakeTerminal terminal;
  Progress progress("Running", 1, 60, terminal.display());
  EXPECT_TRUE(terminal.last_has("0%  0:00, about 1:00 left"));
}

TEST(Progress, TrustsThePaceOverThePrediction) {
  FakeTerminal terminal;
  Progress progress("Running", 100, 1000, terminal.display());
  terminal.wait(10);
  progress.advance(50);
  EXPECT_TRUE(terminal.last_has("about 0:10 left")) << terminal.lines.back();
}

TEST(Progress, RedrawsAtMostTenTimesASecond) {
  FakeTerminal terminal;
  Progress progress("Many steps", 1e6, 60, terminal.display());
  for (int i = 0; i < 10'000; ++i) {
    terminal.wait(0.001);
    progress.advance(1);
  }
  EXPECT_GT(terminal.lines.size(), 50U);
  EXPECT_LE(terminal.lines.size(), 101U);
}

TEST(Progress, NeverWrapsALine) {
  FakeTerminal terminal;
  terminal.columns = 50;
  Progress progress(std::string(200, 'x'), 1, 60, terminal.display());
  ASSERT_FALSE(terminal.lines.empty());
  EXPECT_LE(terminal.lines.back().size(), 49U + std::string("\r\x1b[K").size());
}

TEST(Progress, NeverGoesBackNorBeyondTheEnd) {
  FakeTerminal terminal;
  Progress progress("Work", 10, 60, terminal.display());
  progress.set(5);
  progress.set(3);
  progress.advance(-1);
  EXPECT_EQ(progress.done(), 5);
  progress.advance(100);
  EXPECT_EQ(progress.done(), 10);
  progress.finish();
  const std::size_t lines = terminal.lines.size();
  terminal.wait(10);
  progress.advance(1);
  EXPECT_EQ(terminal.lines.size(), lines);
}

TEST(Progress, CountsAcrossThreads) {
  FakeTerminal terminal;
  Progress progress("Threads", 4000, 60, terminal.display());
  std::vector<std::thread> workers;
  for (int t = 0; t < 4; ++t) {
    workers.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) progress.advance(1);
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(progress.done(), 4000);
}

TEST(Progress, RefusesWorkOfNoSize) {
  expect_error(ErrorKind::kInvalidArgument, "needs work", [] { Progress progress("Nothing", 0); });
}

TEST(Progress, CanBeTurnedOff) {
  EXPECT_TRUE(progress_enabled());
  set_progress_enabled(false);
  EXPECT_FALSE(progress_enabled());
  set_progress_enabled(true);
}

TEST(FormatDuration, UsesTheLargestUnitNeeded) {
  EXPECT_EQ(format_duration(0.4), "0:00");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(754), "12:34");
  EXPECT_EQ(format_duration(3723), "1:02:03");
}

}  // namespace
}  // namespace hearth
