#include "memory/index_set.h"

#include <gtest/gtest.h>

#include <iterator>
#include <random>
#include <set>

namespace hearth::memory {
namespace {

std::uint32_t last_before(const std::set<std::uint32_t>& set, std::uint32_t end) {
  const auto above = set.lower_bound(end);
  return above == set.begin() ? IndexSet::kNone : *std::prev(above);
}

TEST(IndexSet, AgreesWithAnOrderedSet) {
  std::mt19937 random(1);
  for (const std::uint32_t limit : {1U, 63U, 64U, 65U, 4095U, 4096U, 4097U, 300'000U}) {
    IndexSet set(limit);
    std::set<std::uint32_t> expected;
    for (int step = 0; step < 2000; ++step) {
      const auto x = static_cast<std::uint32_t>(random() % limit);
      if (random() % 2 == 0) {
        set.insert(x);
        expected.insert(x);
      } else {
        const std::uint32_t gone = random() % 2 == 0 || expected.empty() ? x : *expected.begin();
        set.erase(gone);
        expected.erase(gone);
      }
      ASSERT_EQ(set.contains(x), expected.contains(x));
      const auto end = static_cast<std::uint32_t>(random() % (limit + 1));
      ASSERT_EQ(set.last_before(end), last_before(expected, end)) << limit << " " << end;
      ASSERT_EQ(set.last_before(limit), last_before(expected, limit)) << limit;
    }
  }
}

}  // namespace
}  // namespace hearth::memory
