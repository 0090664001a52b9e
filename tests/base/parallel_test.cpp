#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/error.h"
#include "expect_error.h"

namespace hearth {
namespace {

class Parallel : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    before_ = threads();
    set_threads(GetParam());
  }
  void TearDown() override { set_threads(before_); }

 private:
  int before_ = 1;
};

TEST_P(Parallel, VisitsEveryIndexOnce) {
  for (const std::size_t count : {0U, 1U, 2U, 1000U}) {
    std::vector<std::atomic<int>> visits(count + 10);
    parallel_for(10, count + 10, [&](std::size_t i) { ++visits[i]; });
    for (std::size_t i = 0; i < visits.size(); ++i) EXPECT_EQ(visits[i], i >= 10 ? 1 : 0);
  }
}

TEST_P(Parallel, ReversedRangesAreEmpty) {
  parallel_for(5, 3, [](std::size_t) { FAIL(); });
}

TEST_P(Parallel, Nests) {
  std::atomic<int> sum{0};
  parallel_for(0, 20, [&](std::size_t) { parallel_for(0, 20, [&](std::size_t) { ++sum; }); });
  EXPECT_EQ(sum, 400);
}

TEST_P(Parallel, RethrowsAndStaysUsable) {
  expect_error(ErrorKind::kMismatch, "number 7", [] {
    parallel_for(0, 100, [](std::size_t i) {
      if (i == 7) fail(ErrorKind::kMismatch, "number {}", i);
    });
  });
  std::atomic<int> sum{0};
  parallel_for(0, 100, [&](std::size_t) { ++sum; });
  EXPECT_EQ(sum, 100);
}

TEST_P(Parallel, UsesNoMoreThreadsThanAsked) {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  parallel_for(0, 1000, [&](std::size_t) {
    const std::lock_guard lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  EXPECT_LE(seen.size(), static_cast<std::size_t>(threads()));
}

INSTANTIATE_TEST_SUITE_P(ThreadCounts, Parallel, testing::Values(1, 2, 3));

TEST(Threads, AreAtLeastOne) {
  const int before = threads();
  EXPECT_GE(before, 1);
  set_threads(-4);
  EXPECT_EQ(threads(), 1);
  set_threads(before);
}

}  // namespace
}  // namespace hearth
