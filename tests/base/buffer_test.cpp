#include "base/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <random>
#include <thread>
#include <utility>

#include "base/block_cache.h"
#include "base/scratch.h"
#include "expect_error.h"

namespace hearth {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::uintptr_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

TEST(Buffer, IsAligned) {
  for (const std::size_t bytes : {1U, 64U, 65U, 4096U, 1U << 20}) {
    const Buffer<std::byte> buffer(bytes);
    EXPECT_EQ(address(buffer.data()) % 64, 0U) << bytes;
  }
  const Buffer<std::byte> large(std::size_t{3} << 20);
  EXPECT_EQ(address(large.data()) % 4096, 0U);
}

TEST(Buffer, CountsWhatIsHeld) {
  const std::size_t before = allocated_bytes();
  {
    Buffer<std::uint32_t> a(1000);
    EXPECT_GE(allocated_bytes(), before + 4000);
    Buffer<std::uint32_t> b = std::move(a);
    EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move)
    b = Buffer<std::uint32_t>(10);
  }
  EXPECT_EQ(allocated_bytes(), before);
  EXPECT_GE(peak_allocated_bytes(), before + 4000);
}

TEST(Buffer, ClonesAndClears) {
  auto a = Buffer<int>::zeros(5);
  a[4] = 7;
  const Buffer<int> b = a.clone();
  a.clear();
  EXPECT_EQ(a[4], 0);
  EXPECT_EQ(b[4], 7);
  EXPECT_TRUE(Buffer<int>().clone().empty());
}

TEST(Buffer, ImpossibleSizesAreAnErrorNotACrash) {
  expect_error(ErrorKind::kResource, "cannot allocate",
               [] { allocate_aligned(std::numeric_limits<std::size_t>::max() - 5); });
  expect_error(ErrorKind::kResource, "cannot allocate", [] { allocate_aligned(std::size_t{1} << 60); });
}

TEST(Scratch, NestedScopesDoNotShareMemory) {
  Scratch<std::uint32_t> outer(100);
  for (std::size_t i = 0; i < 100; ++i) outer[i] = 1;
  {
    Scratch<std::uint32_t> inner(100);
    for (std::size_t i = 0; i < 100; ++i) inner[i] = 2;
  }
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(outer[i], 1U);
}

TEST(Scratch, ReusesWhatWasReleased) {
  const void* first;
  {
    Scratch<std::uint32_t> block(5000);
    first = block.data();
  }
  Scratch<std::uint32_t> again(4900);
  EXPECT_EQ(again.data(), first);
}

TEST(Scratch, KeepsNoMoreThanItsLimit) {
  const std::size_t before = allocated_bytes();
  std::thread([] {
    Scratch<std::byte> large(kScratchKept + 1);
    Scratch<std::byte> small(100);
  }).join();
  EXPECT_EQ(allocated_bytes(), before) << "a thread's idle blocks go with it";
  { Scratch<std::byte> large(kScratchKept + 1); }
  EXPECT_LT(allocated_bytes(), before + kScratchKept);
}

TEST(Scratch, UnderALimitScopesShareAnArena) {
  const ChunkLimit limit(chunk_bytes() + 64 * kMiB);
  std::thread([] {
    const std::size_t before = allocated_bytes();
    std::mt19937 random(1);
    const void* first;
    {
      Scratch<std::byte> block(kMiB);
      first = block.data();
    }
    std::deque<std::pair<std::unique_ptr<Scratch<std::byte>>, std::byte>> held;  // released in any order
    for (int i = 0; i < 2000; ++i) {
      const auto value = static_cast<std::byte>(i);
      held.emplace_back(std::make_unique<Scratch<std::byte>>(kMappedBlock + random() % (3 * kMiB)), value);
      std::memset(held.back().first->data(), i, held.back().first->size());
      while (held.size() > 4 || (!held.empty() && random() % 3 == 0)) {
        auto& [block, filled] = held[random() % held.size()];
        ASSERT_TRUE(std::all_of(block->data(), block->data() + block->size(),
                                [same = filled](std::byte b) { return b == same; }));
        std::swap(held.front().first, block);
        std::swap(held.front().second, filled);
        held.pop_front();
      }
    }
    held.clear();
    EXPECT_EQ(allocated_bytes(), before + kScratchArena) << "the arena is all that is kept";
    EXPECT_EQ(Scratch<std::byte>(kMiB).data(), first) << "what was used last is used next";
  }).join();
}

}  // namespace
}  // namespace hearth
