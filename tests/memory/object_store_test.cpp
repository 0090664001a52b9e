#include "memory/object_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <thread>

#include "memory/file_tier.h"
#include "tests/base/expect_error.h"
#include "tests/base/temporary_folder.h"
#include "tests/memory/store_world.h"

namespace hearth::memory {
namespace {

using testing::below;
using testing::random_uses;
using testing::StoreWorld;

/// Rows that a program needs at least, and a few more.
std::uint64_t rows_for(const AccessSequence& sequence, std::uint64_t more) {
  return smallest_capacity(sequence) + more;
}

/// Everything that holds of a run in order by one thread.
void expect_as_planned(StoreWorld& world, std::uint64_t resident_before) {
  const StoreFigures figures = world.store().figures();
  const PlanFigures& planned = world.plan().figures;
  EXPECT_EQ(figures.unplanned, 0U);
  EXPECT_EQ(figures.retries, 0U);
  EXPECT_LE(figures.peak_total, world.options().capacity);
  EXPECT_LE(figures.fetches, world.plan().fetches.size());
  EXPECT_LE(figures.read_bytes, planned.read_bytes);
  EXPECT_GE(figures.read_bytes + resident_before, planned.read_bytes) << "only what was there need not be fetched";
}

std::uint64_t resident(StoreWorld& world) {
  const StoreFigures figures = world.store().figures();
  return std::accumulate(figures.resident_bytes.begin(), figures.resident_bytes.end(), std::uint64_t{0});
}

TEST(ObjectStore, RandomProgramsRunAsPlannedAgainAndAgain) {
  std::mt19937 random(1);
  for (int i = 0; i < 150; ++i) {
    SCOPED_TRACE(i);
    const AccessSequence sequence = random_uses(random, 1 + below(random, 12), 1 + below(random, 80));
    StoreWorld world(sequence, rows_for(sequence, below(random, 8)));
    world.put_all();
    for (int again = 0; again < 3; ++again) {
      const std::uint64_t before = resident(world);
      world.run();
      expect_as_planned(world, before);
    }
  }
}

/// Something that no use needs lies in all of the memory when the run begins, so everything is fetched.
TEST(ObjectStore, WithNothingThereEverythingIsReadAsPlanned) {
  std::mt19937 random(2);
  for (int i = 0; i < 50; ++i) {
    SCOPED_TRACE(i);
    AccessSequence sequence = random_uses(random, 2 + below(random, 10), 1 + below(random, 80));
    const std::uint64_t rows = rows_for(sequence, below(random, 6));
    sequence.objects.push_back({.bytes = rows});
    StoreWorld world(sequence, rows);
    world.put(world.objects() - 1);
    world.put_all();
    world.run();
    EXPECT_EQ(world.store().figures().read_bytes, world.plan().figures.read_bytes);
    EXPECT_EQ(world.store().figures().fetches, world.plan().fetches.size());
    EXPECT_EQ(world.store().figures().unplanned, 0U);
  }
}

TEST(ObjectStore, WhatFitsIsNeverMoved) {
  std::mt19937 random(3);
  const AccessSequence sequence = random_uses(random, 9, 60);
  StoreWorld world(sequence, total_bytes(sequence));
  EXPECT_FALSE(world.store().has_tier());
  world.put_all();
  world.run();
  EXPECT_EQ(world.store().figures().fetches, 0U);
  EXPECT_EQ(world.store().figures().written_bytes, 0U);
  EXPECT_EQ(world.store().figures().peak_total, world.store().capacity());
}

TEST(ObjectStore, FiguresGoByClass) {
  AccessSequence sequence = sequence_of({0, 1, 2, 0, 1, 2}, 2);
  sequence.objects[1].kind = ObjectClass::kPlaintext;
  StoreWorld world(sequence, 4);
  world.put_all();
  EXPECT_EQ(world.store().figures().written_bytes, 6 * StoreWorld::kRow);
  world.run();
  const StoreFigures figures = world.store().figures();
  EXPECT_EQ(figures.written_bytes, 6 * StoreWorld::kRow) << "loading is remembered";
  EXPECT_EQ(figures.peak_bytes[static_cast<std::size_t>(ObjectClass::kPlaintext)], 2 * StoreWorld::kRow);
  EXPECT_EQ(figures.peak_bytes[static_cast<std::size_t>(ObjectClass::kEvaluationKey)], 4 * StoreWorld::kRow);
  EXPECT_EQ(figures.peak_bytes[static_cast<std::size_t>(ObjectClass::kWeights)], 0U);
  EXPECT_EQ(figures.read_bytes, world.tier().read_bytes());
}

/// Uses that come in another order are served: slower, with the right contents, within the capacity.
TEST(ObjectStore, UsesOutOfOrderAreServed) {
  std::mt19937 random(4);
  for (int i = 0; i < 40; ++i) {
    SCOPED_TRACE(i);
    const AccessSequence sequence = random_uses(random, 2 + below(random, 10), 1 + below(random, 40), 4, false);
    StoreWorld world(sequence, rows_for(sequence, below(random, 6)), i % 2 == 0);
    world.put_all();
    for (int again = 0; again < 2; ++again) {
      std::vector<std::uint32_t> order;
      for (const Use& use : sequence.uses) order.push_back(use.object);
      std::shuffle(order.begin(), order.end(), random);
      world.begin();
      for (const std::uint32_t object : order) world.use(object);
      world.store().end();
      EXPECT_LE(world.store().figures().peak_total, world.options().capacity);
    }
    world.run();
    EXPECT_LE(world.store().figures().peak_total, world.options().capacity);
  }
}

/// Threads take uses one after the other, each is done with its own when it is.
void use_from_threads(StoreWorld& world, unsigned count, const std::vector<std::uint32_t>& objects) {
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < count; ++t) {
    threads.emplace_back([&] {
      for (std::size_t u = next++; u < objects.size(); u = next++) world.use(objects[u]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}
void use_from_threads(StoreWorld& world, unsigned count) {
  std::vector<std::uint32_t> objects;
  for (const Use& use : world.sequence().uses) objects.push_back(use.object);
  use_from_threads(world, count, objects);
}

/// Uses of objects half of which are made anew faster than the tier gives them.
AccessSequence with_recipes(std::mt19937& random, std::uint32_t objects, std::uint32_t uses, bool pins) {
  AccessSequence sequence = random_uses(random, objects, uses, 4, pins);
  for (std::uint32_t i = 0; i < objects; i += 2) sequence.objects[i].recompute_seconds = 1e-7;
  return sequence;
}
constexpr double kSlow = 1e7;  // bytes a second: a row takes as long as a use or two

std::size_t planned_to_be_made(const StoreWorld& world) {
  return static_cast<std::size_t>(std::ranges::count(world.plan().after, After::kRecompute));
}

TEST(ObjectStore, ObjectsAreMadeAnewAsPlanned) {
  std::mt19937 random(31);
  std::size_t all = 0;
  for (int i = 0; i < 100; ++i) {
    SCOPED_TRACE(i);
    const AccessSequence sequence = with_recipes(random, 2 + below(random, 12), 10 + below(random, 80), true);
    StoreWorld world(sequence, rows_for(sequence, below(random, 8)), false, kSlow);
    world.put_all();
    for (int again = 0; again < 3; ++again) {
      const std::uint64_t before = resident(world);
      world.run();
      expect_as_planned(world, before);
      EXPECT_EQ(world.store().figures().made, planned_to_be_made(world));
    }
    all += planned_to_be_made(world);
  }
  EXPECT_GT(all, 300U) << "the plans make hardly anything anew";
}

TEST(ObjectStore, ObjectsAreMadeAnewInAnyOrderAndByManyThreads) {
  std::mt19937 random(32);
  for (int i = 0; i < 40; ++i) {
    SCOPED_TRACE(i);
    const unsigned threads = 1 + static_cast<unsigned>(i) % 4;
    const AccessSequence sequence = with_recipes(random, 12, 100, false);
    StoreWorld world(sequence, std::max<std::uint64_t>(rows_for(sequence, 0), 4 * (threads + 1)), i % 2 == 0, kSlow);
    world.put_all();
    for (int again = 0; again < 2; ++again) {
      std::vector<std::uint32_t> order;
      for (const Use& use : sequence.uses) order.push_back(use.object);
      if (again == 1) std::shuffle(order.begin(), order.end(), random);
      world.begin();
      use_from_threads(world, threads, order);
      world.store().end();
      EXPECT_LE(world.store().figures().peak_total, world.options().capacity);
    }
    // An early end leaves memory that was meant for objects which nobody made.
    world.begin();
    world.use_in_order(below(random, 100));
    world.store().end();
    world.run();
    EXPECT_EQ(world.store().figures().made, planned_to_be_made(world));
  }
}

TEST(ObjectStore, WhatGoesWrongInMakingReachesTheUser) {
  std::mt19937 random(33);
  int failures = 0;
  for (int i = 0; i < 30; ++i) {
    SCOPED_TRACE(i);
    const AccessSequence sequence = with_recipes(random, 8, 60, false);
    StoreWorld world(sequence, rows_for(sequence, 2), false, kSlow);
    world.put_all();
    world.fail_to_make(2);
    world.begin();
    try {
      world.use_in_order();
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "cannot be made");
      ++failures;
    }
    world.store().end();
    world.fail_to_make(1000);
    world.run();
    EXPECT_LE(world.store().figures().peak_total, world.options().capacity);
  }
  EXPECT_GT(failures, 5);
}

TEST(ObjectStore, ThreadsAreServedSideBySide) {
  std::mt19937 random(5);
  for (int i = 0; i < 12; ++i) {
    SCOPED_TRACE(i);
    const unsigned threads = 2 + static_cast<unsigned>(i) % 3;
    const AccessSequence sequence = random_uses(random, 12, 200, 3, false);
    // Room for what every thread holds, and one on its way.
    StoreWorld world(sequence, std::max<std::uint64_t>(rows_for(sequence, 0), 3 * (threads + 1)), true);
    world.put_all();
    for (int again = 0; again < 2; ++again) {
      world.begin();
      use_from_threads(world, threads);
      world.store().end();
      EXPECT_LE(world.store().figures().peak_total, world.options().capacity);
    }
  }
}

TEST(ObjectStore, ContentsMayBePutByManyThreads) {
  std::mt19937 random(6);
  const AccessSequence sequence = random_uses(random, 64, 100);
  StoreWorld world(sequence, rows_for(sequence, 30));
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t i = t; i < world.objects(); i += 4) world.put(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  world.run();
  EXPECT_EQ(world.store().figures().unplanned, 0U);
}

/// Contents may be put once more, for example because keys are loaded again.
TEST(ObjectStore, ContentsMayBePutAgain) {
  std::mt19937 random(7);
  for (const bool fits : {false, true}) {
    const AccessSequence sequence = random_uses(random, 10, 60);
    StoreWorld world(sequence, fits ? total_bytes(sequence) : rows_for(sequence, 2));
    world.put_all();
    world.put_all();
    world.run();
    world.put_all();
    world.run();
    EXPECT_LE(world.store().figures().peak_total, world.options().capacity);
    EXPECT_EQ(world.store().figures().unplanned, 0U);
  }
}

TEST(ObjectStore, ARunMayEndEarlyAndBeginAgain) {
  std::mt19937 random(8);
  for (int i = 0; i < 60; ++i) {
    SCOPED_TRACE(i);
    const AccessSequence sequence = random_uses(random, 2 + below(random, 10), 2 + below(random, 60));
    StoreWorld world(sequence, rows_for(sequence, below(random, 6)), i % 2 == 0);
    world.put_all();
    for (int again = 0; again < 3; ++again) {
      world.begin();
      world.use_in_order(below(random, static_cast<std::uint32_t>(sequence.uses.size())));
      world.store().end();
    }
    const std::uint64_t before = resident(world);
    world.run();
    if (i % 2 == 1) expect_as_planned(world, before);
  }
}

TEST(ObjectStore, NothingIsInFlightOnceItIsGone) {
  std::mt19937 random(9);
  for (int i = 0; i < 30; ++i) {
    const AccessSequence sequence = random_uses(random, 12, 60);
    StoreWorld world(sequence, rows_for(sequence, 8), true);
    world.put_all();
    world.begin();
    world.use_in_order(below(random, static_cast<std::uint32_t>(sequence.uses.size())));
    if (i % 2 == 0) world.store().end();
    const testing::LastWords words = world.destroy();
    EXPECT_TRUE(words.destroyed);
    EXPECT_EQ(words.in_flight, 0U);
  }
}

TEST(ObjectStore, MoreUsesThanPlannedAreServed) {
  StoreWorld world(sequence_of({0, 1, 0}), 1);
  world.put_all();
  expect_error(ErrorKind::kInternal, "outside of a run", [&] { world.use(0); });
  world.begin();
  world.use_in_order();
  world.use(1);
  world.store().end();
  world.run();
}

TEST(ObjectStore, WhatCannotFitIsRefused) {
  const auto make = [](std::uint64_t capacity, std::unique_ptr<Tier> tier) {
    ObjectStore(
        {.capacity = capacity, .row_bytes = 64, .tier = std::move(tier), .objects = {{.bytes = 6400}, {.bytes = 64}}});
  };
  expect_error(ErrorKind::kResource, "there is no tier for them", [&] { make(6400, nullptr); });
  expect_error(ErrorKind::kResource, "do not fit the 128 of tier instant",
               [&] { make(6400, std::make_unique<testing::InstantTier>(128)); });
  make(6464, nullptr);
  expect_error(ErrorKind::kInvalidArgument, "rows of 100 bytes", [] {
    ObjectStore({.capacity = 100,
                 .row_bytes = 100,
                 .tier = std::make_unique<testing::InstantTier>(1000),
                 .objects = {{.bytes = 1000}}});
  });
}

/// Small rows and a small capacity lie in memory that direct transfers can use.
TEST(ObjectStore, SmallRowsGoToFiles) {
  const TemporaryFolder folder;
  constexpr std::size_t kRow = 4096;
  for (const std::uint64_t capacity : {1U, 3U, 15U, 17U}) {
    AccessSequence sequence;
    for (std::uint32_t i = 0; i < 20; ++i) sequence.objects.push_back({.bytes = kRow});
    for (std::uint32_t u = 0; u < 60; ++u) sequence.uses.push_back({.object = u * 7 % 20, .seconds = 0, .last = u});
    const PlanOptions options = options_for(capacity * kRow, 1e9, 1e-6);
    const Plan plan = make_plan(sequence, options);
    ObjectStore store({.capacity = capacity * kRow,
                       .row_bytes = kRow,
                       .tier = std::make_unique<FileTier>("file", folder.path(), 20 * kRow),
                       .objects = sequence.objects});
    EXPECT_EQ(store.capacity(), capacity * kRow);
    for (std::uint32_t i = 0; i < 20; ++i) {
      const std::vector<std::byte> row(kRow, static_cast<std::byte>(i));
      store.put(i, std::vector<const std::byte*>(1, row.data()));
    }
    store.begin(sequence, plan);
    for (const Use& use : sequence.uses) {
      const std::byte* row = nullptr;
      store.acquire(use.object, {&row, 1});
      EXPECT_EQ(row[0], static_cast<std::byte>(use.object));
      EXPECT_EQ(row[kRow - 1], static_cast<std::byte>(use.object));
      store.release(use.object);
    }
    store.end();
  }
  EXPECT_EQ(folder.entries(), 0U);
}

/// Nobody holds anything that could be waited for.
TEST(ObjectStore, AnObjectLargerThanTheStoreIsAnErrorNotAHang) {
  const AccessSequence small = sequence_of({0, 1});
  AccessSequence real = small;
  for (PlannedObject& object : real.objects) object.bytes = 64;
  real.objects[1].bytes = 640;
  ObjectStore store({.capacity = 128,
                     .row_bytes = 64,
                     .tier = std::make_unique<testing::InstantTier>(1000 * 64),
                     .objects = real.objects});
  const std::vector<std::byte> row(64);
  store.put(0, std::vector<const std::byte*>(1, row.data()));
  store.put(1, std::vector<const std::byte*>(10, row.data()));
  const Plan plan = make_plan(real, options_for(704));
  Plan nothing = plan;
  nothing.fetches.clear();
  nothing.fetch_from.clear();
  store.begin(real, nothing);
  std::vector<const std::byte*> rows(10);
  expect_error(ErrorKind::kResource, "does not fit", [&] { store.acquire(1, rows); });
  store.acquire(0, std::span(rows).first(1));
  store.release(0);
  store.end();
}

}  // namespace
}  // namespace hearth::memory
