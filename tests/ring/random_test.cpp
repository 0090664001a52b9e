#include "ring/random.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <map>
#include <numeric>

#include "../base/expect_error.h"
#include "oracle.h"
#include "ring_fixtures.h"

namespace hearth::ring {
namespace {

Seed counting_seed() {
  Seed seed;
  std::iota(seed.begin(), seed.end(), std::uint8_t{0});
  return seed;
}

/// sum (seen - expected)^2 / expected, of mean `cells - 1` and variance about twice that.
double chi_square(const std::vector<double>& seen, const std::vector<double>& expected) {
  double sum = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) sum += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
  return sum;
}

/// Six standard deviations above the mean: seeds are fixed, so a right sampler passes always.
double chi_square_limit(std::size_t cells) {
  const auto freedom = static_cast<double>(cells - 1);
  return freedom + 6 * std::sqrt(2 * freedom);
}

// From `openssl enc -aes-256-ctr -K 000102..1f -iv 05000000000000000000000000000000` over zeros.
TEST(RandomStream, GoldenWords) {
  const std::vector<std::uint32_t> expected = {
      0xc0cceb99U, 0xcd497911U, 0xc0443c66U, 0xb0581c6aU, 0x796b11aeU, 0xc91d6c80U, 0xe19142a6U, 0xa8619f62U,
      0xc1ad6be6U, 0xd953a733U, 0x045d8ab4U, 0xb2247e09U, 0xbecbf525U, 0x787d141dU, 0x1315a92eU, 0x0c40c8b5U};
  RandomStream stream(counting_seed(), 5);
  std::vector<std::uint32_t> words(expected.size());
  stream.fill(std::span(words));
  EXPECT_EQ(words, expected);
}

RC_GTEST_PROP(RandomStream, BytesDoNotDependOnHowTheyAreCut, (std::uint64_t number)) {
  const Seed seed = counting_seed();
  RandomStream whole(seed, number), cut(seed, number);
  std::vector<std::uint8_t> expected(5000), bytes(5000, 0xff);
  whole.fill(std::span(expected));
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t count = std::min(bytes.size() - at, *rc::gen::inRange<std::size_t>(0, 1000) + 1);
    cut.fill(std::span(bytes).subspan(at, count));
    at += count;
  }
  RC_ASSERT(bytes == expected);
}

TEST(RandomStream, SeedsAndStreamsDiffer) {
  const auto first_word = [](const Seed& seed, std::uint64_t number) {
    RandomStream stream(seed, number);
    std::uint64_t word = 0;
    stream.fill(std::span(&word, 1));
    return word;
  };
  Seed other = counting_seed();
  other[31] ^= 1;
  EXPECT_NE(first_word(counting_seed(), 0), first_word(counting_seed(), 1));
  EXPECT_NE(first_word(counting_seed(), 0), first_word(counting_seed(), 1ULL << 63));
  EXPECT_NE(first_word(counting_seed(), 0), first_word(other, 0));
  EXPECT_NE(random_seed(), random_seed());
}

/// 12289, 65537 and 786433 reject a quarter to a half of the words, the last prime next to none.
const Ring& uniform_ring() {
  static const Ring ring(11, {12289, 65537, 786433, ntt_primes(11, 30, 1).front()});
  return ring;
}

TEST(SampleUniform, TakesTheWordsOfItsStreamThatFit) {
  const Ring& ring = uniform_ring();
  const Poly a = sample_uniform(ring, {0, 1, 2, 3}, Domain::kNtt, counting_seed(), 1000);
  EXPECT_EQ(a.domain(), Domain::kNtt);
  for (int prime = 0; prime < 4; ++prime) {
    const std::uint32_t q = ring.modulus(prime).q;
    RandomStream stream(counting_seed(), 1000 + static_cast<std::uint64_t>(prime));
    for (std::size_t j = 0; j < ring.n(); ++j) {
      std::uint32_t word = q;
      while (word >= q) {
        stream.fill(std::span(&word, 1));
        word %= std::bit_ceil(q);
      }
      ASSERT_EQ(a.limb(static_cast<std::size_t>(prime))[j], word) << "prime " << q << ", residue " << j;
    }
  }
}

TEST(SampleUniform, VectorKernelDrawsWhatTheLibraryDraws) {
  for (const std::uint32_t q : {2U, 12289U, 65537U, 786433U, 0x3fff0001U, 0x3fffffffU, 0x20000001U}) {
    for (const std::size_t n : {1U, 15U, 16U, 63U, 64U, 65U, 200U, 4096U, 32768U}) {
      for (const std::uint64_t stream : {std::uint64_t{0}, std::uint64_t{1003}, ~std::uint64_t{0}}) {
        std::vector<std::uint32_t> fast(n + 1, 77), slow(n + 1, 77);
        sample_uniform_limb({fast.data(), n}, q, counting_seed(), stream);
        sample_uniform_limb({slow.data(), n}, q, counting_seed(), stream, true);
        ASSERT_EQ(fast, slow) << "q " << q << ", " << n << " residues of stream " << stream;
        ASSERT_EQ(fast[n], 77U);
      }
    }
  }
}

TEST(SampleUniform, LimbsDoNotDependOnEachOther) {
  const Ring& ring = uniform_ring();
  const Poly all = sample_uniform(ring, {0, 1, 2, 3}, Domain::kNtt, counting_seed(), 7);
  const Poly some = sample_uniform(ring, {3, 1}, Domain::kCoefficient, counting_seed(), 7);
  Poly expected = restrict_to(all, {3, 1});
  expected.set_domain(Domain::kCoefficient);
  EXPECT_TRUE(same(some, expected));
}

TEST(SampleUniform, IsUniform) {
  const Ring& ring = uniform_ring();
  constexpr std::size_t kCells = 128, kRepeats = 32;
  for (int prime = 0; prime < 4; ++prime) {
    const std::uint64_t q = ring.modulus(prime).q;
    std::vector<double> seen(kCells), expected(kCells);
    for (std::uint64_t repeat = 0; repeat < kRepeats; ++repeat) {
      const Poly a = sample_uniform(ring, {prime}, Domain::kNtt, counting_seed(), 100 * repeat);
      for (std::size_t j = 0; j < ring.n(); ++j) {
        ASSERT_LT(a.limb(0)[j], q);
        seen[a.limb(0)[j] * kCells / q] += 1;
      }
    }
    for (std::uint64_t cell = 0; cell < kCells; ++cell) {
      const std::uint64_t begin = (cell * q + kCells - 1) / kCells, end = ((cell + 1) * q + kCells - 1) / kCells;
      expected[cell] = static_cast<double>(kRepeats * ring.n() * (end - begin)) / static_cast<double>(q);
    }
    EXPECT_LT(chi_square(seen, expected), chi_square_limit(kCells)) << q;
  }
}

TEST(SampleTernary, IsUniformOnThreeValues) {
  RandomStream stream(counting_seed(), 1);
  const std::vector<std::int8_t> values = sample_ternary(300'000, stream);
  std::vector<double> seen(3);
  for (const std::int8_t value : values) {
    ASSERT_LE(std::abs(value), 1);
    seen[static_cast<std::size_t>(value + 1)] += 1;
  }
  EXPECT_LT(chi_square(seen, {1e5, 1e5, 1e5}), chi_square_limit(3));
  // Neighbours are independent.
  std::vector<double> pairs(9);
  for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
    pairs[static_cast<std::size_t>(3 * (values[i] + 1) + values[i + 1] + 1)] += 1;
  }
  EXPECT_LT(chi_square(pairs, std::vector<double>(9, 150'000.0 / 9)), chi_square_limit(9));
}

RC_GTEST_PROP(SampleTernaryFixed, HasExactlyItsWeight, (std::uint64_t number)) {
  const auto n = *rc::gen::inRange<std::size_t>(1, 5000);
  const auto weight = *rc::gen::inRange<std::size_t>(0, n + 1);
  RandomStream stream(counting_seed(), number);
  const std::vector<std::int8_t> values = sample_ternary_fixed(n, weight, stream);
  RC_ASSERT(values.size() == n);
  std::size_t found = 0;
  for (const std::int8_t value : values) {
    RC_ASSERT(-1 <= value && value <= 1);
    found += value != 0;
  }
  RC_ASSERT(found == weight);
}

TEST(SampleTernaryFixed, PositionsAndSignsAreUniform) {
  constexpr std::size_t kN = 64, kWeight = 10, kRepeats = 20'000;
  RandomStream stream(counting_seed(), 2);
  std::vector<double> seen(2 * kN), pairs(16), pairs_expected(16, 0);
  for (std::size_t repeat = 0; repeat < kRepeats; ++repeat) {
    const std::vector<std::int8_t> values = sample_ternary_fixed(kN, kWeight, stream);
    for (std::size_t j = 0; j < kN; ++j) {
      if (values[j] != 0) seen[2 * j + (values[j] > 0)] += 1;
    }
    // How many of the first sixteen positions are taken: hypergeometric.
    std::size_t count = 0;
    for (std::size_t j = 0; j < 16; ++j) count += values[j] != 0;
    pairs[count] += 1;
  }
  EXPECT_LT(chi_square(seen, std::vector<double>(2 * kN, double{kRepeats} * kWeight / (2 * kN))),
            chi_square_limit(2 * kN));
  const auto choose = [](double n, double k) {
    return std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1));
  };
  std::vector<double> likely, likely_expected;
  for (std::size_t count = 0; count <= kWeight; ++count) {
    const auto k = static_cast<double>(count);
    const double expected = kRepeats * choose(16, k) * choose(48, 10 - k) / choose(64, 10);
    if (expected < 10) continue;
    likely.push_back(pairs[count]);
    likely_expected.push_back(expected);
  }
  EXPECT_GE(likely.size(), 6U);
  EXPECT_LT(chi_square(likely, likely_expected), chi_square_limit(likely.size()));
}

TEST(SampleTernaryFixed, RefusesMoreThanThereIsRoomFor) {
  RandomStream stream(counting_seed(), 2);
  expect_error(ErrorKind::kInvalidArgument, "cannot place 9 non-zero values in 8",
               [&] { sample_ternary_fixed(8, 9, stream); });
}

/// P(|x| <= k) of the discrete Gaussian cut at 19, to the 64 bits of long double.
long double gaussian_cumulative(int k) {
  const auto density = [](int x) {
    return std::exp(-static_cast<long double>(x) * static_cast<long double>(x) / (2 * 3.2L * 3.2L));
  };
  long double below = 0, all = 0;
  for (int x = 19; x >= 1; --x) {
    all += 2 * density(x);
    if (x <= k) below += 2 * density(x);
  }
  return (below + density(0)) / (all + density(0));
}

// Inversion of the distribution, word by word, in floating point.
TEST(SampleGaussian, InvertsTheDistribution) {
  constexpr std::size_t kCount = 500'000;
  RandomStream words_stream(counting_seed(), 3), stream(counting_seed(), 3);
  std::vector<std::uint64_t> words(kCount);
  words_stream.fill(std::span(words));
  const std::vector<std::int8_t> values = sample_gaussian(kCount, stream);
  std::vector<long double> cumulative;
  for (int k = 0; k <= 19; ++k) cumulative.push_back(gaussian_cumulative(k));
  for (std::size_t i = 0; i < kCount; ++i) {
    const long double level = std::ldexp(static_cast<long double>(words[i] >> 1), -63);
    int magnitude = 0;
    while (cumulative[static_cast<std::size_t>(magnitude)] <= level) ++magnitude;
    ASSERT_EQ(values[i], words[i] % 2 ? -magnitude : magnitude) << i;
  }
}

TEST(SampleGaussian, HasItsMomentsAndShape) {
  constexpr std::size_t kCount = 2'000'000;
  RandomStream stream(counting_seed(), 4);
  const std::vector<std::int8_t> values = sample_gaussian(kCount, stream);
  double sum = 0, squares = 0;
  std::map<int, double> histogram;
  for (const std::int8_t value : values) {
    sum += value;
    squares += value * value;
    histogram[value] += 1;
  }
  EXPECT_LE(-19, histogram.begin()->first);
  EXPECT_LE(histogram.rbegin()->first, 19);
  const double mean = sum / kCount, variance = squares / kCount - mean * mean;
  const double sigma = kGaussianSigma;
  EXPECT_LT(std::abs(mean), 5 * sigma / std::sqrt(kCount));
  EXPECT_NEAR(variance, sigma * sigma, 5 * sigma * sigma * std::sqrt(2.0 / kCount));
  std::vector<double> seen, expected;
  for (int x = -14; x <= 14; ++x) {
    const int k = std::abs(x);
    const auto share = static_cast<double>(gaussian_cumulative(k) - (k ? gaussian_cumulative(k - 1) : 0.0L));
    seen.push_back(histogram[x]);
    expected.push_back(kCount * (k ? share / 2 : share));
  }
  EXPECT_LT(chi_square(seen, expected), chi_square_limit(seen.size()));
}

TEST(FromSmall, IsTheResidueOfTheInteger) {
  const Ring& ring = test_ring(8, 20, 3);
  std::vector<std::int8_t> values(256);
  std::vector<mpz_class> integers;
  for (int i = 0; i < 256; ++i) {
    values[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(i - 128);
    integers.emplace_back(i - 128);
  }
  EXPECT_TRUE(same(from_small(ring, {2, 0}, values), from_integers(ring, {2, 0}, integers)));
}

// Files hold seeds instead of residues, so what a seed expands to may never change. The values come from a few lines of
// Python over the words of `openssl enc -aes-256-ctr`.
TEST(Samplers, GoldenValues) {
  const auto hash = [](const auto& values) {
    std::uint64_t sum = 0;
    for (const auto value : values) sum = sum * 0x9e3779b97f4a7c15U + static_cast<std::uint64_t>(value);
    return sum;
  };
  const Ring& ring = uniform_ring();
  const Poly a = sample_uniform(ring, {0, 3}, Domain::kNtt, counting_seed(), 42);
  EXPECT_EQ(hash(std::span(a.limb(0), 2 * ring.n())), 15580513375959868213U);
  RandomStream ternary(counting_seed(), 43), fixed(counting_seed(), 44);
  EXPECT_EQ(hash(sample_ternary(1000, ternary)), 3917226361752148825U);
  EXPECT_EQ(hash(sample_ternary_fixed(1000, 100, fixed)), 9304507621378133704U);
}

}  // namespace
}  // namespace hearth::ring
