#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "base/block_cache.h"
#include "base/error.h"
#include "memory/mapped_tier.h"
#include "memory/object_store.h"
#include "tests/memory/programs.h"
#include "tests/memory/store_world.h"

// A part of a store's memory that is lent to blocks: contents stay right, and blocks get it when the plan says so.
namespace hearth::memory {
namespace {

using testing::below;
using testing::InstantTier;

constexpr std::size_t kRow = 4096, kSharedRows = 20, kShared = kSharedRows * kRow;

/// Uses of objects of up to 8 rows, in some stretches of which `kShared` bytes are left to something else.
AccessSequence random_program(std::mt19937& random, std::uint32_t objects, std::uint32_t uses) {
  AccessSequence out = testing::random_uses(random, objects, uses, 8);
  for (PlannedObject& object : out.objects) object.bytes *= kRow;
  for (std::uint32_t u = 0; u < uses;) {
    const bool lent = below(random, 2) == 0;
    for (std::uint32_t k = 5 + below(random, 30), first = u; k > 0 && u < uses; --k, ++u) {
      out.uses[u].beside = lent ? kShared : 0;
      for (std::uint32_t before = 0; before < first; ++before) {
        out.uses[before].last = std::min(out.uses[before].last, first - 1);  // what is pinned cannot move
      }
    }
  }
  return out;
}

class Lending : public ::testing::Test {
 protected:
  void TearDown() override { close(); }

  void close() {
    store_.reset();
    if (rest_ != nullptr) give_block(std::exchange(rest_, nullptr), rest_bytes_);
    set_chunk_limit(0);
    trim_chunks();
    ASSERT_EQ(chunk_bytes(), 0U);
  }

  /// `more`: rows besides those that the plan needs at least.
  void open(AccessSequence sequence, std::uint64_t more, bool threaded = false) {
    close();
    sequence_ = std::move(sequence);
    options_ = options_for((smallest_capacity(sequence_) / kRow + more) * kRow, 1e9, 1e-6);
    options_.capacity = std::max<std::uint64_t>(options_.capacity, kShared + kMappedBlock);
    plan_ = make_plan(sequence_, options_);
    verify(sequence_, options_, plan_);
    const std::uint64_t total = total_bytes(sequence_);
    std::unique_ptr<Tier> tier = std::make_unique<InstantTier>(total);
    if (threaded) tier = std::make_unique<MappedTier>("mapped", MappedMemory::anonymous(total));
    set_chunk_limit((options_.capacity + (std::size_t{2} << 20) - 1) >> 21 << 21);
    store_ = std::make_unique<ObjectStore>(ObjectStore::Options{.capacity = options_.capacity,
                                                                .shared = kShared,
                                                                .row_bytes = kRow,
                                                                .tier = std::move(tier),
                                                                .objects = sequence_.objects});
    // Nothing is left but what the store lends.
    rest_bytes_ = chunk_limit() - options_.capacity;
    if (rest_bytes_ > 0) rest_ = take_block(rest_bytes_);
    ASSERT_EQ(used_chunk_bytes(), chunk_limit());
    ASSERT_EQ(store_->figures().loans, 0U);
    for (std::uint32_t i = 0; i < sequence_.objects.size(); ++i) put(i);
  }

  std::size_t rows_of(std::uint32_t object) const {
    return static_cast<std::size_t>(sequence_.objects[object].bytes / kRow);
  }
  static std::byte content(std::uint32_t object, std::size_t row) {
    return static_cast<std::byte>(1 + object * 31 + row * 7);
  }
  void put(std::uint32_t object) {
    std::vector<std::vector<std::byte>> contents;
    std::vector<const std::byte*> rows;
    for (std::size_t r = 0; r < rows_of(object); ++r) contents.emplace_back(kRow, content(object, r));
    for (const auto& row : contents) rows.push_back(row.data());
    store_->put(object, rows);
  }
  void acquire(std::uint32_t object) {
    std::vector<const std::byte*> rows(rows_of(object));
    store_->acquire(object, rows);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      ASSERT_TRUE(rows[r][0] == content(object, r) && std::memcmp(rows[r], rows[r] + 1, kRow - 1) == 0) << object;
    }
  }

  /// Uses in order by this thread; borrow(use) comes before each acquisition, and once more at the end.
  template <typename Borrow>
  void run(const Borrow& borrow) {
    store_->begin(sequence_, plan_);
    std::vector<std::vector<std::uint32_t>> pinned_to(sequence_.uses.size());
    for (std::uint32_t u = 0; u < sequence_.uses.size(); ++u) {
      const Use& use = sequence_.uses[u];
      borrow(u);
      acquire(use.object);
      pinned_to[use.last].push_back(use.object);
      for (const std::uint32_t object : pinned_to[u]) store_->release(object);
    }
    borrow(static_cast<std::uint32_t>(sequence_.uses.size()));
    store_->end();
  }

  AccessSequence sequence_;
  PlanOptions options_;
  Plan plan_;
  std::unique_ptr<ObjectStore> store_;
  void* rest_ = nullptr;  // of the memory that blocks may take
  std::size_t rest_bytes_ = 0;
};

/// Takes all that is lent from the second use of each stretch on, up to the end of the last but one, and writes to it.
class Borrower {
 public:
  explicit Borrower(const AccessSequence& sequence) : sequence_(sequence) {}
  ~Borrower() { give(); }
  void operator()(std::uint32_t use) {
    const bool due = lent(use) && use > 0 && lent(use - 1);
    if (!due) return give();
    if (block_ != nullptr) return;
    block_ = take_block(kShared);
    ASSERT_NE(block_, nullptr) << use;
    std::memset(block_, 0xee, kShared);
    ++times;
  }
  int times = 0;

 private:
  bool lent(std::uint32_t use) const { return use < sequence_.uses.size() && sequence_.uses[use].beside > 0; }
  void give() {
    if (block_ != nullptr) give_block(std::exchange(block_, nullptr), kShared);
  }
  const AccessSequence& sequence_;
  void* block_ = nullptr;
};

TEST_F(Lending, ProgramsRunAsPlannedWhileTheirMemoryComesAndGoes) {
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    SCOPED_TRACE(i);
    open(random_program(random, 12 + below(random, 20), 20 + below(random, 200)), below(random, 12), i % 2 == 1);
    if (total_bytes(sequence_) <= options_.capacity) continue;
    for (int again = 0; again < 2; ++again) {
      Borrower borrower(sequence_);
      run([&](std::uint32_t use) { borrower(use); });
      const StoreFigures figures = store_->figures();
      const auto times = static_cast<std::uint64_t>(borrower.times);
      EXPECT_LE(figures.loans, times);
      EXPECT_GE(figures.loans + 1, times) << "only what was lent while contents were put is there already";
      EXPECT_GE(figures.cleared, figures.loans);
      EXPECT_LE(figures.peak_total, options_.capacity);
      EXPECT_TRUE(i % 2 == 1 || figures.unplanned == 0);
    }
  }
}

/// Blocks that are needed when the plan did not expect it: objects give way, and come back.
TEST_F(Lending, BlocksThatNobodyExpectedAreServed) {
  std::mt19937 random(2);
  for (int i = 0; i < 40; ++i) {
    SCOPED_TRACE(i);
    AccessSequence sequence = random_program(random, 30, 200);
    for (std::uint32_t u = 0; u < sequence.uses.size(); ++u) sequence.uses[u].last = u;
    open(std::move(sequence), 40, i % 2 == 1);
    ASSERT_GT(total_bytes(sequence_), options_.capacity);
    void* block = nullptr;
    int taken = 0;
    run([&](std::uint32_t use) {
      if (block != nullptr && (use == sequence_.uses.size() || below(random, 8) == 0)) {
        give_block(std::exchange(block, nullptr), kShared / 2);
      } else if (block == nullptr && use < sequence_.uses.size() && below(random, 8) == 0) {
        const std::uint64_t loans = store_->figures().loans;
        block = take_block(kShared / 2);
        ASSERT_NE(block, nullptr);
        std::memset(block, 0xee, kShared / 2);
        ++taken;
        EXPECT_LE(store_->figures().loans, loans + 1);
      }
    });
    EXPECT_GT(taken, 0);
  }
}

/// Whoever holds rows in memory that it asks for is refused, after a while; nothing else happens to it.
TEST_F(Lending, WhatIsInUseIsNotLent) {
  AccessSequence sequence = sequence_of({0, 1, 2, 0, 1, 2}, 15 * kRow);
  open(sequence, 25);
  ASSERT_GT(total_bytes(sequence_), options_.capacity);
  store_->begin(sequence_, plan_);
  acquire(0);  // one of two that fill the memory
  acquire(1);
  EXPECT_EQ(take_block(kShared), nullptr);
  EXPECT_EQ(store_->figures().loans, 0U);
  store_->release(0);
  store_->release(1);
  void* const block = take_block(kShared);
  EXPECT_NE(block, nullptr);
  acquire(2);
  store_->release(2);
  give_block(block, kShared);
  for (const std::uint32_t object : {0, 1, 2}) {
    acquire(object);
    store_->release(object);
  }
  EXPECT_EQ(store_->figures().loans, 1U);
  store_->end();
}

TEST_F(Lending, AStoreMayGoWhileItsMemoryIsLent) {
  std::mt19937 random(3);
  open(random_program(random, 30, 50), 20);
  ASSERT_GT(total_bytes(sequence_), options_.capacity);
  void* const block = take_block(kShared);
  ASSERT_NE(block, nullptr);
  store_.reset();
  EXPECT_EQ(take_block(options_.capacity), nullptr) << "the block is still there";
  give_block(block, kShared);
  void* const all = take_block(options_.capacity);
  EXPECT_NE(all, nullptr);
  give_block(all, options_.capacity);
}

TEST_F(Lending, ManyThreadsAndABorrower) {
  std::mt19937 random(4);
  open(random_program(random, 40, 400), 60, true);
  ASSERT_GT(total_bytes(sequence_), options_.capacity);
  store_->begin(sequence_, plan_);
  std::atomic<std::uint32_t> next{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (std::uint32_t use; (use = next++) < sequence_.uses.size();) {
        acquire(sequence_.uses[use].object);
        store_->release(sequence_.uses[use].object);
      }
    });
  }
  int taken = 0;
  std::thread borrower([&] {
    do {
      void* const block = take_block(kShared);
      if (block == nullptr) continue;
      std::memset(block, 0xee, kShared);
      ++taken;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      give_block(block, kShared);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    } while (!over);
  });
  for (std::thread& thread : threads) thread.join();
  over = true;
  borrower.join();
  EXPECT_GT(taken, 0);
  store_->end();
}

}  // namespace
}  // namespace hearth::memory
