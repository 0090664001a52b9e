#include "base/spin_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace hearth {
namespace {

TEST(SpinLock, ExcludesOthers) {
  constexpr int kThreads = 4, kRounds = 20'000;
  std::mutex mutex;
  long sum = 0;  // not atomic: a lost update shows
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        const auto lock = spin_lock(mutex);
        ++sum;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, long{kThreads} * kRounds);
}

/// Far longer than it looks again for.
TEST(SpinLock, WaitsForALongHolder) {
  std::mutex mutex;
  std::atomic<bool> held = false, released = false;
  std::thread holder([&] {
    const std::lock_guard lock(mutex);
    held = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    released = true;
  });
  while (!held) std::this_thread::yield();
  {
    const std::unique_lock<std::mutex> lock = spin_lock(mutex);
    EXPECT_TRUE(lock.owns_lock());
    EXPECT_TRUE(released);
  }
  holder.join();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

}  // namespace
}  // namespace hearth
