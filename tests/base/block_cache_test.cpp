#include "base/block_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/dry_run.h"
#include "expect_error.h"

namespace hearth {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kChunk = 32 * kMiB;  // what is asked of the kernel at a time, or more for larger blocks

class BlockCache : public testing::Test {
 protected:
  void SetUp() override { start_afresh(); }
  void TearDown() override { start_afresh(); }

 private:
  static void start_afresh() {
    set_chunk_limit(0);
    trim_chunks();
    ASSERT_EQ(chunk_bytes(), 0U);
  }
};

std::size_t place_of(const void* block) { return reinterpret_cast<std::size_t>(block); }

TEST_F(BlockCache, BlocksAreWholePagesOfOneChunk) {
  EXPECT_EQ(block_bytes(1), 4096U);
  EXPECT_EQ(block_bytes(8192), 8192U);
  EXPECT_EQ(block_bytes(8193), 12288U);
  std::vector<void*> blocks;
  for (int i = 0; i < 300; ++i) {
    blocks.push_back(take_block(100'000));
    ASSERT_NE(blocks.back(), nullptr);
    EXPECT_EQ(place_of(blocks.back()) % 4096, 0U);
    std::memset(blocks.back(), i, 100'000);
  }
  EXPECT_EQ(chunk_bytes(), kChunk);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto* const bytes = static_cast<const unsigned char*>(blocks[i]);
    EXPECT_EQ(bytes[0], i % 256);
    EXPECT_EQ(bytes[99'999], i % 256);
    give_block(blocks[i], 100'000);
  }
  EXPECT_EQ(chunk_bytes(), kChunk) << "kept";
}

TEST_F(BlockCache, FreedBlocksAreUsedAgain) {
  void* const first = take_block(kMiB);
  give_block(first, kMiB);
  EXPECT_EQ(take_block(kMiB), first);
  give_block(first, kMiB);
  EXPECT_EQ(chunk_bytes(), kChunk);
}

/// Whatever the order in which neighbours are freed, a block as large as the chunk fits again.
TEST_F(BlockCache, FreeNeighboursGrowTogether) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::vector<void*> blocks;
    for (int i = 0; i < 32; ++i) blocks.push_back(take_block(kMiB));
    EXPECT_EQ(chunk_bytes(), kChunk);
    std::shuffle(blocks.begin(), blocks.end(), random);
    for (void* const block : blocks) give_block(block, kMiB);
    void* const whole = take_block(kChunk);
    EXPECT_EQ(chunk_bytes(), kChunk) << round;
    give_block(whole, kChunk);
  }
}

/// The best fit is taken, so that large free blocks stay whole.
TEST_F(BlockCache, TakesTheSmallestThatFits) {
  void* const a = take_block(2 * kMiB);
  void* const between = take_block(kMiB);
  void* const b = take_block(kMiB);
  void* const end = take_block(kMiB);
  give_block(a, 2 * kMiB);
  give_block(b, kMiB);
  EXPECT_EQ(take_block(kMiB), b);
  EXPECT_EQ(take_block(2 * kMiB), a);
  for (const auto& [block, bytes] : {std::pair(a, 2 * kMiB), {between, kMiB}, {b, kMiB}, {end, kMiB}}) {
    give_block(block, bytes);
  }
}

TEST_F(BlockCache, LargeBlocksHaveChunksOfTheirOwn) {
  void* const large = take_block(kChunk + 5);
  EXPECT_EQ(chunk_bytes(), kChunk + 2 * kMiB) << "whole huge pages";
  give_block(large, kChunk + 5);
  trim_chunks();
  EXPECT_EQ(chunk_bytes(), 0U);
}

TEST_F(BlockCache, TrimmingKeepsChunksInUse) {
  void* const held = take_block(kMiB);
  void* const large = take_block(2 * kChunk);
  give_block(large, 2 * kChunk);
  EXPECT_EQ(chunk_bytes(), 3 * kChunk);
  trim_chunks();
  EXPECT_EQ(chunk_bytes(), kMiB) << "without the end of the chunk";
  static_cast<std::byte*>(held)[kMiB - 1] = std::byte{1};
  give_block(held, kMiB);
  trim_chunks();
  EXPECT_EQ(chunk_bytes(), 0U);
}

/// What lies between blocks stays, and is whole again with them.
TEST_F(BlockCache, TrimmingCutsOnlyTheEndsOfChunks) {
  std::array<void*, 4> blocks{};
  for (void*& block : blocks) block = take_block(kMiB);
  give_block(blocks[0], kMiB);
  give_block(blocks[2], kMiB);
  trim_chunks();
  EXPECT_EQ(chunk_bytes(), 4 * kMiB);
  EXPECT_EQ(used_chunk_bytes(), 2 * kMiB);
  give_block(blocks[3], kMiB);
  trim_chunks();
  EXPECT_EQ(chunk_bytes(), 2 * kMiB) << "the gap before the last block was its neighbour";
  EXPECT_EQ(take_block(kMiB), blocks[0]);
  void* const more = take_block(kMiB);
  EXPECT_EQ(chunk_bytes(), 2 * kMiB + kChunk) << "a new chunk, as this one is full";
  for (void* const block : {blocks[0], blocks[1], more}) give_block(block, kMiB);
}

TEST_F(BlockCache, HighBlocksLeaveLowEndsFree) {
  set_chunk_limit(kChunk);
  void* const high = take_block(8 * kMiB, BlockPlace::kHigh);
  void* const low = take_block(8 * kMiB);
  EXPECT_EQ(place_of(high) - place_of(low), 24 * kMiB);
  void* const next = take_block(kMiB, BlockPlace::kHigh);
  EXPECT_EQ(place_of(high) - place_of(next), kMiB);
  for (const auto& [block, bytes] : {std::pair{high, 8 * kMiB}, {low, 8 * kMiB}, {next, kMiB}}) {
    give_block(block, bytes);
  }
}

TEST_F(BlockCache, PartsOfBlocksAreGivenAndTakenBack) {
  set_chunk_limit(kChunk);
  auto* const all = static_cast<std::byte*>(take_block(kChunk));
  ASSERT_NE(all, nullptr);
  EXPECT_FALSE(take_block_at(all, kMiB)) << "nothing is free";
  give_block(all + 4 * kMiB, 8 * kMiB);
  EXPECT_FALSE(take_block_at(all + 3 * kMiB, 2 * kMiB)) << "in part";
  EXPECT_FALSE(take_block_at(all + 11 * kMiB, 2 * kMiB));
  void* const borrowed = take_block(kMiB);
  EXPECT_EQ(borrowed, all + 4 * kMiB);
  EXPECT_FALSE(take_block_at(all + 4 * kMiB, 8 * kMiB));
  EXPECT_TRUE(take_block_at(all + 8 * kMiB, 2 * kMiB));
  EXPECT_FALSE(take_block_at(all + 8 * kMiB, kMiB)) << "twice";
  EXPECT_EQ(used_chunk_bytes(), kChunk - 5 * kMiB);
  give_block(all + 8 * kMiB, 2 * kMiB);
  give_block(borrowed, kMiB);
  EXPECT_TRUE(take_block_at(all + 4 * kMiB, 8 * kMiB));
  give_block(all, kChunk);
}

TEST_F(BlockCache, BuffersCanBeSplitAndHadBack) {
  const std::size_t before = allocated_bytes();
  set_chunk_limit(kChunk);
  Buffer<std::byte> first(4 * kMiB, BlockPlace::kHigh);
  std::byte* const place = first.data();
  {
    const Buffer<std::byte> rest = first.split(kMiB);
    EXPECT_EQ(rest.data(), place + kMiB);
    EXPECT_EQ(rest.size(), 3 * kMiB);
    EXPECT_EQ(first.size(), kMiB);
    first = {};
    EXPECT_EQ(allocated_bytes(), before + 3 * kMiB);
    EXPECT_TRUE(Buffer<std::byte>::at(place, 2 * kMiB).empty());
    first = Buffer<std::byte>::at(place, kMiB);
    EXPECT_EQ(first.data(), place);
    EXPECT_EQ(allocated_bytes(), before + 4 * kMiB);
  }
  EXPECT_EQ(allocated_bytes(), before + kMiB);
}

TEST_F(BlockCache, ALenderIsAskedBeforeABlockIsRefused) {
  set_chunk_limit(kChunk);
  auto* const all = static_cast<std::byte*>(take_block(kChunk));
  std::size_t lent = 0;
  int asked = 0;
  set_block_lender([&] {
    ++asked;
    if (lent == 4) return false;
    give_block(all + kMiB * lent++, kMiB);
    return true;
  });
  void* const block = take_block(3 * kMiB);
  EXPECT_EQ(block, all) << "as much as it takes";
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(take_block(2 * kMiB), nullptr);
  EXPECT_EQ(asked, 5);
  set_block_lender({});
  EXPECT_EQ(take_block(2 * kMiB), nullptr);
  EXPECT_EQ(asked, 5);
  give_block(block, 3 * kMiB);
  give_block(all + 4 * kMiB, kChunk - 4 * kMiB);
}

TEST_F(BlockCache, IdleChunksAreGivenBackOnlyWithoutALimit) {
  const auto idle_after = [](std::size_t limit) {
    set_chunk_limit(limit);
    std::vector<void*> blocks;
    for (int i = 0; i < 12; ++i) blocks.push_back(take_block(kChunk));
    for (void* const block : blocks) give_block(block, kChunk);
    return chunk_bytes();
  };
  EXPECT_LE(idle_after(0), kIdleBlocks);
  EXPECT_GE(idle_after(20 * kChunk), 12 * kChunk);
}

TEST_F(BlockCache, TheLimitRefusesAndCanBeLifted) {
  set_chunk_limit(kChunk + 4 * kMiB);
  EXPECT_EQ(chunk_limit(), kChunk + 4 * kMiB);
  {
    const Buffer<std::byte> first(20 * kMiB);
    const Buffer<std::byte> rest(12 * kMiB);
    // There is room for less than a usual chunk.
    const Buffer<std::byte> small(3 * kMiB);
    EXPECT_EQ(chunk_bytes(), kChunk + 4 * kMiB);
    const std::size_t held = allocated_bytes();
    expect_error(ErrorKind::kResource, "cannot allocate 2097152 bytes", [] { Buffer<std::byte>(2 * kMiB); });
    expect_error(ErrorKind::kResource, "of the 37748736 that it may take", [] { Buffer<std::byte>(2 * kMiB); });
    EXPECT_EQ(allocated_bytes(), held) << "what was refused does not count";
    EXPECT_EQ(take_block(2 * kMiB), nullptr);
    set_chunk_limit(0);
    const Buffer<std::byte> again(2 * kMiB);
    EXPECT_GT(chunk_bytes(), kChunk + 4 * kMiB);
  }
  set_chunk_limit(kMiB);
  EXPECT_GT(chunk_bytes(), chunk_limit()) << "a limit takes nothing away";
  const Buffer<std::byte> old(kMiB);
}

/// Chunks in which nothing is left make room for others of another size.
TEST_F(BlockCache, EmptyChunksAreGivenBackBeforeMemoryIsRefused) {
  { const Buffer<std::byte> small(kMiB); }
  EXPECT_EQ(chunk_bytes(), kChunk);
  set_chunk_limit(2 * kChunk);
  const Buffer<std::byte> large(2 * kChunk);
  EXPECT_EQ(chunk_bytes(), 2 * kChunk);
}

/// Blocks cannot cross chunks, so that all of a limit is one: three blocks fit where two chunks would hold one each.
TEST_F(BlockCache, ALimitIsOneChunk) {
  set_chunk_limit(2 * kChunk);
  std::vector<Buffer<std::byte>> blocks;
  for (int i = 0; i < 3; ++i) blocks.emplace_back(20 * kMiB);
  EXPECT_EQ(chunk_bytes(), 2 * kChunk);
}

TEST_F(BlockCache, ManyThreadsNeverShareABlock) {
  const auto work = [](unsigned seed) {
    std::mt19937 random(seed);
    std::vector<Buffer<std::uint64_t>> held(8);
    for (int i = 0; i < 400; ++i) {
      Buffer<std::uint64_t>& one = held[random() % held.size()];
      for (std::size_t k = 0; k < one.size(); k += 512) ASSERT_EQ(one[k], one[0]);
      one = {};
      one = Buffer<std::uint64_t>(kMappedBlock / 8 + random() % 100'000);
      const std::uint64_t mark = std::uint64_t{seed} << 32 | static_cast<std::uint64_t>(i);
      for (std::size_t k = 0; k < one.size(); k += 512) one[k] = mark;
    }
  };
  const std::size_t before = allocated_bytes();
  std::vector<std::thread> all;
  for (unsigned t = 0; t < 6; ++t) all.emplace_back(work, t);
  for (std::thread& one : all) one.join();
  EXPECT_EQ(allocated_bytes(), before);
}

/// Some blocks are freed by other threads than took them, and while the limit is near.
TEST_F(BlockCache, ThreadsAreRefusedWhenTheLimitIsReachedAndServedAgainAfterwards) {
  set_chunk_limit(2 * kChunk);
  std::atomic<int> refused{0}, served{0};
  const auto work = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 200; ++i) {
      try {
        const Buffer<std::byte> a(kMiB * (1 + random() % 20)), b(kMiB * (1 + random() % 20));
        ++served;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kResource);
        ++refused;
      }
    }
  };
  std::vector<std::thread> all;
  for (unsigned t = 0; t < 4; ++t) all.emplace_back(work, t);
  for (std::thread& one : all) one.join();
  EXPECT_LE(chunk_bytes(), 2 * kChunk);
  EXPECT_GT(served, 0);
  const Buffer<std::byte> whole(2 * kChunk);
}

TEST_F(BlockCache, DryRunsTakeNothing) {
  set_chunk_limit(kMiB);
  const DryRun dry;
  void* const block = take_block(1000 * kMiB);
  EXPECT_NE(block, nullptr);
  EXPECT_EQ(chunk_bytes(), 0U);
  give_block(block, 1000 * kMiB);
}

}  // namespace
}  // namespace hearth
