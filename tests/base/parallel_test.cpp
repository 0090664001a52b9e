#include "base/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
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

TEST_P(Parallel, InOrderVisitsEveryIndexOnce) {
  for (const std::size_t count : {0U, 1U, 2U, 1000U}) {
    std::vector<std::atomic<int>> visits(count + 10);
    parallel_for_in_order(10, count + 10, [&](std::size_t i) { ++visits[i]; });
    for (std::size_t i = 0; i < visits.size(); ++i) EXPECT_EQ(visits[i], i >= 10 ? 1 : 0);
  }
  parallel_for_in_order(5, 3, [](std::size_t) { FAIL(); });
}

/// When a body begins, all before it have been handed out: no more than the other threads' are yet to begin, and each
/// of those is on its way.
TEST_P(Parallel, InOrderBodiesBeginInOrder) {
  std::mutex mutex;
  std::vector<std::size_t> begun;
  parallel_for_in_order(0, 500, [&](std::size_t i) {
    const std::lock_guard lock(mutex);
    begun.push_back(i);
  });
  ASSERT_EQ(begun.size(), 500U);
  const auto others = static_cast<std::size_t>(threads() - 1);
  std::set<std::size_t> missing;
  std::size_t next = 0;
  for (const std::size_t i : begun) {
    for (; next <= i; ++next) missing.insert(next);
    missing.erase(i);
    EXPECT_LE(missing.size(), others);
  }
  if (others == 0) {
    EXPECT_TRUE(std::is_sorted(begun.begin(), begun.end()));
  }
}

/// Every thread goes upwards, also where bodies have loops that it could leave for another body.
TEST_P(Parallel, InOrderLoopsInsideBodiesDoNotBeginOthers) {
  std::mutex mutex;
  std::map<std::thread::id, std::vector<std::size_t>> open;
  std::atomic<int> sum{0};
  parallel_for_in_order(0, 100, [&](std::size_t i) {
    {
      const std::lock_guard lock(mutex);
      std::vector<std::size_t>& here = open[std::this_thread::get_id()];
      EXPECT_TRUE(here.empty()) << i << " begun within " << here.front();
      here.push_back(i);
    }
    parallel_for(0, 50, [&](std::size_t) { ++sum; });
    parallel_for_in_order(0, 20, [&](std::size_t) { ++sum; });
    const std::lock_guard lock(mutex);
    open[std::this_thread::get_id()].pop_back();
  });
  EXPECT_EQ(sum, 100 * 70);
}

TEST_P(Parallel, InOrderNestsInOtherLoops) {
  std::atomic<int> sum{0};
  parallel_for(0, 20, [&](std::size_t) { parallel_for_in_order(0, 20, [&](std::size_t) { ++sum; }); });
  parallel_for_in_order(0, 20, [&](std::size_t) { parallel_for_in_order(0, 20, [&](std::size_t) { ++sum; }); });
  EXPECT_EQ(sum, 800);
}

TEST_P(Parallel, InOrderAnExceptionEndsTheLoop) {
  std::atomic<int> begun{0};
  expect_error(ErrorKind::kMismatch, "number 7", [&] {
    parallel_for_in_order(0, 100'000, [&](std::size_t i) {
      ++begun;
      if (i == 7) fail(ErrorKind::kMismatch, "number {}", i);
      std::this_thread::yield();
    });
  });
  EXPECT_LT(begun, 100'000) << "nothing begins once a body has failed";
  if (threads() == 1) {
    EXPECT_EQ(begun, 8);
  }
  std::atomic<int> sum{0};
  parallel_for_in_order(0, 100, [&](std::size_t) { ++sum; });
  EXPECT_EQ(sum, 100);
}

TEST_P(Parallel, InOrderExceptionsOfInnerLoopsCome) {
  expect_error(ErrorKind::kMismatch, "number 3", [] {
    parallel_for_in_order(0, 8, [](std::size_t) {
      parallel_for(0, 8, [](std::size_t i) {
        if (i == 3) fail(ErrorKind::kMismatch, "number {}", i);
      });
    });
  });
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
