#include "runtime/loan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hearth::runtime {
namespace {

std::vector<memory::Use> uses_of(std::span<const double> seconds) {
  std::vector<memory::Use> out;
  for (const double s : seconds)
    out.push_back({.object = 0, .seconds = s, .last = static_cast<std::uint32_t>(out.size())});
  return out;
}

TEST(Loan, TakesTheLargestTimesTheLongest) {
  // 20 bytes for 50 s, or 60 for 10 s, or 70 for 2 s.
  std::vector<std::uint64_t> held(100, 80);
  std::vector<double> seconds(100, 1.25);
  for (std::size_t i = 0; i < 20; ++i) held[i] = 30 + (i < 4 ? 0 : 10), seconds[i] = 0.5;
  for (std::size_t i = 60; i < 100; ++i) held[i] = 100;
  const Loan loan = choose_loan(uses_of(seconds), held, 0, 1000, 1, 0);
  EXPECT_EQ(loan.bytes, 20U);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(loan.due[i] != 0, i >= 60) << i;
  std::fill(seconds.begin() + 20, seconds.begin() + 60, 0.1);
  EXPECT_EQ(choose_loan(uses_of(seconds), held, 0, 1000, 1, 0).bytes, 60U);
  EXPECT_EQ(choose_loan(uses_of(seconds), held, 0, 1000, 25, 0).bytes, 50U) << "whole units";
  EXPECT_EQ(choose_loan(uses_of(seconds), held, 0, 33, 1, 0).bytes, 33U) << "no more than there is use for";
  EXPECT_EQ(choose_loan(uses_of(seconds), held, 90, 1000, 1, 0).bytes, 10U) << "what is always needed stays";
  EXPECT_EQ(choose_loan(uses_of(seconds), held, 100, 1000, 1, 0).bytes, 0U);
}

TEST(Loan, NothingToLend) {
  EXPECT_EQ(choose_loan({}, {}, 5, 1000, 1, 4).bytes, 0U);
  const std::vector<double> seconds(10, 1);
  const std::vector<std::uint64_t> held(10, 70);
  EXPECT_EQ(choose_loan(uses_of(seconds), held, 0, 1000, 1, 4).bytes, 0U);
  EXPECT_EQ(choose_loan(uses_of(seconds), held, 90, 1000, 1, 0).bytes, 0U);
}

/// Wherever a use may come to lie, working memory has what it needs.
TEST(Loan, LeavesWorkingMemoryWhatItNeeds) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const std::size_t count = 1 + random() % 300, guard = random() % 6;
    std::vector<double> seconds;
    std::vector<std::uint64_t> held;
    for (std::size_t i = 0; i < count; ++i) {
      seconds.push_back(0.1 * static_cast<double>(random() % 10));
      held.push_back(i > 0 && random() % 8 > 0 ? held.back() : random() % 100);
    }
    const std::uint64_t always = random() % 60, peak = std::max(always, *std::ranges::max_element(held));
    const Loan loan = choose_loan(uses_of(seconds), held, always, 1000, 1 + random() % 4, guard);
    if (loan.bytes == 0) continue;
    ASSERT_EQ(loan.due.size(), count);
    EXPECT_LE(always + loan.bytes, peak);
    std::size_t free = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (loan.due[i] != 0) {
        EXPECT_TRUE(free == 0 || free >= 4 * guard) << "not worth moving anything";
        free = 0;
        continue;
      }
      ++free;
      for (std::size_t k = i - std::min(i, guard); k < std::min(count, i + guard + 1); ++k) {
        ASSERT_LE(held[k] + loan.bytes, peak) << i;
      }
    }
  }
}

}  // namespace
}  // namespace hearth::runtime
