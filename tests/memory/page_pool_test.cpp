#include "memory/page_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace hearth::memory {
namespace {

TEST(PagePool, GivesRunsOfNeighboursWhereThereAreAny) {
  PagePool pool(10);
  const auto a = pool.take(3), b = pool.take(3), c = pool.take(3);
  EXPECT_EQ(b, (std::vector<std::uint32_t>{3, 4, 5}));
  EXPECT_EQ(pool.free(), 1U);
  pool.give(b);
  EXPECT_EQ(pool.take(3), b);
  pool.give(b);
  pool.give(a);
  EXPECT_EQ(pool.take(6), (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5}));
  pool.give(c);
  EXPECT_EQ(pool.free(), 4U);
}

TEST(PagePool, ClosedPagesStayAway) {
  PagePool pool(10);
  const auto low = pool.take(3), next = pool.take(2);
  pool.close(4);  // 0 to 2 are held, 3 as well
  EXPECT_EQ(pool.free(), 5U);
  pool.give(low);
  EXPECT_EQ(pool.free(), 5U);
  pool.give(next);
  EXPECT_EQ(pool.free(), 6U) << "page 4 is not closed";
  EXPECT_EQ(pool.take(6), (std::vector<std::uint32_t>{4, 5, 6, 7, 8, 9}));
  pool.open(std::vector<std::uint32_t>{1, 7});
  EXPECT_EQ(pool.free(), 3U);
  EXPECT_EQ(pool.take(3), (std::vector<std::uint32_t>{2, 3, 0}));
  pool.give(std::vector<std::uint32_t>{0, 1, 2, 3});
  pool.close(4);
  EXPECT_EQ(pool.free(), 0U);
  pool.open({});
  EXPECT_EQ(pool.take(4), (std::vector<std::uint32_t>{0, 1, 2, 3}));
}

TEST(PagePool, NeverGivesAPageTwice) {
  constexpr std::uint32_t kPages = 100;
  std::mt19937 random(1);
  PagePool pool(kPages);
  std::vector<std::vector<std::uint32_t>> held;
  std::set<std::uint32_t> used;
  for (int round = 0; round < 20'000; ++round) {
    const std::size_t count = 1 + random() % 7;
    if (random() % 2 == 0 && pool.free() >= count) {
      held.push_back(pool.take(count));
      ASSERT_EQ(held.back().size(), count);
      for (const std::uint32_t page : held.back()) {
        ASSERT_LT(page, kPages);
        ASSERT_TRUE(used.insert(page).second);
      }
    } else if (!held.empty()) {
      std::swap(held[random() % held.size()], held.back());
      for (const std::uint32_t page : held.back()) used.erase(page);
      pool.give(held.back());
      held.pop_back();
    }
    ASSERT_EQ(pool.free(), kPages - used.size());
  }
  for (const auto& pages : held) pool.give(pages);
  std::vector<std::uint32_t> all = pool.take(kPages);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
}

}  // namespace
}  // namespace hearth::memory
