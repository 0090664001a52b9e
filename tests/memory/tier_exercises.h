#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#include "base/buffer.h"
#include "memory/tier.h"
#include "tests/base/expect_error.h"

/// What every tier must be able to do, whatever it is made of.
namespace hearth::testing {

using memory::Direction;
using memory::Tier;
using memory::Transfer;

/// 4096-byte aligned memory.
class Aligned {
 public:
  explicit Aligned(std::size_t size) : all_(size + 4096) {
    const auto address = reinterpret_cast<std::uintptr_t>(all_.data());
    bytes_ = {all_.data() + (4096 - address % 4096) % 4096, size};
  }
  std::span<std::byte> span() { return bytes_; }
  std::span<std::byte> part(std::size_t offset, std::size_t size) { return bytes_.subspan(offset, size); }

 private:
  Buffer<std::byte> all_;
  std::span<std::byte> bytes_;
};

inline void fill(std::span<std::byte> bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, 8);
  }
}

inline bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

/// Counts transfers that have ended and keeps what went wrong first.
class Ends {
 public:
  memory::TransferDone count() {
    return [this](std::exception_ptr error) {
      const std::lock_guard lock(mutex_);
      if (error && !error_) error_ = error;
      ++ended_;
      changed_.notify_all();
    };
  }
  void wait(std::size_t many) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ >= many; });
    if (error_) std::rethrow_exception(error_);
  }
  std::size_t ended() {
    const std::lock_guard lock(mutex_);
    return ended_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t ended_ = 0;
  std::exception_ptr error_;
};

/// Writes all of `size` bytes in blocks and in random order, then reads them back in another, far more at once than the
/// tier's depth.
inline void round_trip(Tier& tier, std::size_t size, std::size_t block, bool registered = false) {
  ASSERT_LE(size, tier.capacity());
  Aligned out(size), in(size);
  fill(out.span(), size);
  in.span()[0] = ~out.span()[0];
  if (registered) tier.register_memory(in.span());
  std::vector<std::size_t> order(size / block);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937_64 random(1);
  for (const Direction direction : {Direction::kWrite, Direction::kRead}) {
    std::shuffle(order.begin(), order.end(), random);
    Aligned& memory = direction == Direction::kWrite ? out : in;
    Ends ends;
    for (const std::size_t i : order) {
      tier.start({.direction = direction, .offset = i * block, .memory = memory.part(i * block, block)}, ends.count());
    }
    ends.wait(order.size());
    for (const std::size_t i : order) {
      if (direction == Direction::kRead) tier.settle({direction, i * block, memory.part(i * block, block)});
    }
  }
  EXPECT_TRUE(equal(out.span(), in.span()));
  if (registered) tier.forget_memory();
}

inline void refuses_bad_transfers(Tier& tier) {
  Aligned memory(2 * tier.alignment());
  const std::size_t unit = tier.alignment();
  const auto refused = [&](std::uint64_t offset, std::size_t from, std::size_t size, const std::string& part) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] {
      tier.start({.direction = Direction::kRead, .offset = offset, .memory = memory.part(from, size)},
                 [](std::exception_ptr) { ADD_FAILURE() << "a refused transfer was carried out"; });
    });
  };
  refused(unit / 2, 0, unit, "multiples of");
  refused(0, unit / 2, unit, "multiples of");
  refused(0, 0, unit / 2, "multiples of");
  refused(0, 0, 0, "no bytes");
  refused(tier.capacity(), 0, unit, "leaves the capacity");
  refused(tier.capacity() - unit, 0, 2 * unit, "leaves the capacity");
  refused(~std::uint64_t{0} - unit + 1, 0, unit, "leaves the capacity");
}

/// A transfer's end starts the next one, many times; then the tier is destroyed while others are in flight.
inline void ends_may_start(std::unique_ptr<Tier> tier) {
  constexpr std::size_t kBlock = 4096;
  constexpr int kSteps = 200;
  Aligned memory(64 * kBlock);
  std::atomic<int> ended{0};
  std::function<void(int)> step = [&](int left) {
    Transfer transfer{.direction = left % 2 ? Direction::kRead : Direction::kWrite, .memory = memory.part(0, kBlock)};
    tier->start(transfer, [&, left](std::exception_ptr error) {
      EXPECT_FALSE(error);
      ++ended;
      if (left > 1) step(left - 1);
    });
  };
  step(kSteps);
  for (std::size_t i = 1; i < 64; ++i) {
    tier->start({.direction = Direction::kWrite, .offset = i * kBlock, .memory = memory.part(i * kBlock, kBlock)},
                [&](std::exception_ptr) { ++ended; });
  }
  // Not reset(), which clears the pointer first while transfers that still start others use it.
  Tier* const raw = tier.get();
  delete raw;
  static_cast<void>(tier.release());
  EXPECT_EQ(ended, kSteps + 63);
}

}  // namespace hearth::testing
