#include "base/checksum.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <random>
#include <vector>

#include "base/isa.h"

namespace hearth {
namespace {

std::vector<std::byte> random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> out(count);
  for (std::byte& byte : out) byte = static_cast<std::byte>(random());
  return out;
}

/// Each range of lengths goes its own way in XXH3: up to 16, 128 and 240 bytes, blocks of 1024, and what remains.
std::vector<std::size_t> lengths() {
  std::vector<std::size_t> out;
  for (std::size_t n = 0; n <= 300; ++n) out.push_back(n);
  for (const std::size_t near : {512U, 1024U, 2048U, 4096U, 65536U}) {
    for (std::size_t n = near - 66; n <= near + 66; ++n) out.push_back(n);
  }
  return out;
}

constexpr std::uint64_t kSeeds[] = {0, 1, 0x9E3779B97F4A7C15, ~std::uint64_t{0}};

void expect_same(detail::Checksum64 function, const char* what) {
  const std::vector<std::byte> data = random_bytes(66000, 1);
  for (const std::uint64_t seed : kSeeds) {
    for (const std::size_t n : lengths()) {
      ASSERT_EQ(function(data.data(), n, seed), XXH3_64bits_withSeed(data.data(), n, seed)) << what << " " << n;
    }
  }
}

TEST(Checksum, IsThatOfTheLibrary) {
  expect_same(
      [](const void* data, std::size_t bytes, std::uint64_t seed) {
        return checksum64({static_cast<const std::byte*>(data), bytes}, seed);
      },
      "chosen");
}

TEST(Checksum, IsTheSameByEveryInstructionSet) {
  const std::string_view isa = best_isa();
  if (isa == "scalar") GTEST_SKIP() << "skipped: no wide instructions here";
  if (detail::checksum64_avx2() != nullptr) expect_same(detail::checksum64_avx2(), "avx2");
  if (isa == "avx512" && detail::checksum64_avx512() != nullptr) expect_same(detail::checksum64_avx512(), "avx512");
}

TEST(Checksum, DoesNotDependOnAlignment) {
  const std::vector<std::byte> data = random_bytes(5000, 2);
  for (std::size_t offset = 0; offset < 64; ++offset) {
    const std::span<const std::byte> part(data.data() + offset, 4900);
    const std::vector<std::byte> copy(part.begin(), part.end());
    EXPECT_EQ(checksum64(part, 5), checksum64(copy, 5)) << offset;
  }
}

TEST(Checksum, SeesEveryBitAndTheSeed) {
  std::vector<std::byte> data = random_bytes(700, 3);
  const std::uint64_t whole = checksum64(data, 9);
  EXPECT_NE(checksum64(data, 10), whole);
  for (std::size_t bit = 0; bit < data.size() * 8; ++bit) {
    data[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_NE(checksum64(data, 9), whole) << bit;
    data[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  EXPECT_EQ(checksum64(data, 9), whole);
}

}  // namespace
}  // namespace hearth
