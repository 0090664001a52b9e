#include "base/system.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/buffer.h"

namespace hearth {
namespace {

TEST(System, PeakMemoryFollowsWhatIsTouched) {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  const std::size_t before = peak_rss_bytes();
  EXPECT_GT(before, 100'000U);
  {
    Buffer<std::byte> buffer(before + kBytes);
    std::memset(buffer.data(), 1, buffer.size());
  }
  EXPECT_GE(peak_rss_bytes(), before + kBytes);
  EXPECT_LE(peak_rss_bytes(), total_memory_bytes());
}

TEST(System, DescribesTheMachine) {
  EXPECT_FALSE(cpu_model().empty());
  EXPECT_GE(hardware_threads(), 1);
  EXPECT_GT(total_memory_bytes(), std::size_t{1} << 20);
}

}  // namespace
}  // namespace hearth
