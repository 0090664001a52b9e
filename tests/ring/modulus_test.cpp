#include "ring/modulus.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "base/error.h"

namespace hearth::ring {
namespace {

bool is_prime_by_division(std::uint32_t x) {
  if (x < 2) return false;
  for (std::uint64_t d = 2; d * d <= x; ++d) {
    if (x % d == 0) return false;
  }
  return true;
}

// The largest primes below 2^30, small ones, and 2^k + 1 shapes.
const std::vector<std::uint32_t> kPrimes = {3, 5, 17, 257, 65537, 786433, 1073479681, 1073741789};

TEST(Primes, AgreeWithTrialDivision) {
  for (std::uint32_t x = 0; x < 20000; ++x) EXPECT_EQ(is_prime(x), is_prime_by_division(x)) << x;
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    const std::uint32_t x = static_cast<std::uint32_t>(random()) | 1U;
    EXPECT_EQ(is_prime(x), is_prime_by_division(x)) << x;
  }
}

TEST(Primes, StrongPseudoprimesAreComposite) {
  // Composites that fool single Miller-Rabin bases: 2047 (base 2), 1373653 (2, 3), 25326001 (2, 3, 5), 3215031751
  // (2, 3, 5, 7); and Carmichael numbers.
  for (const std::uint32_t x : {2047U, 1373653U, 25326001U, 3215031751U, 561U, 41041U, 4294967295U}) {
    EXPECT_FALSE(is_prime(x)) << x;
  }
  EXPECT_TRUE(is_prime(4294967291U));
}

TEST(Primes, NttPrimesAreTheLargest) {
  for (const int log_n : {1, 5, 11, 16, 17}) {
    for (const int bits : {20, 27, 30}) {
      const std::uint32_t step = 2U << log_n;
      std::vector<std::uint32_t> expected;
      for (std::uint32_t x = (1U << bits) - step + 1; x > 1 && expected.size() < 2; x -= step) {
        if (is_prime_by_division(x)) expected.push_back(x);
      }
      EXPECT_EQ(ntt_primes(log_n, bits, static_cast<int>(expected.size())), expected) << log_n << " " << bits;
    }
  }
}

TEST(Primes, NttPrimesSkipTheExcluded) {
  const auto all = ntt_primes(16, 30, 10);
  EXPECT_TRUE(std::is_sorted(all.rbegin(), all.rend()));
  const auto rest = ntt_primes(16, 30, 8, {all[0], all[5]});
  EXPECT_EQ(rest, (std::vector<std::uint32_t>{all[1], all[2], all[3], all[4], all[6], all[7], all[8], all[9]}));
}

TEST(Primes, TooFewIsAnErrorWithTheNumberFound) {
  EXPECT_EQ(ntt_primes(16, 18, 0).size(), 0U);
  try {
    ntt_primes(16, 30, 100000);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalidArgument);
    EXPECT_NE(std::string(e.what()).find("100000"), std::string::npos) << e.what();
  }
  EXPECT_THROW(ntt_primes(16, 31, 1), Error);
  EXPECT_THROW(ntt_primes(16, 17, 1), Error);
}

TEST(Modulus, RefusesWhatIsNotAnOddPrimeBelowTwoToThe30) {
  for (const std::uint32_t q : {0U, 1U, 2U, 9U, 65536U, 1073741827U, 4294967291U}) EXPECT_THROW(Modulus{q}, Error) << q;
}

TEST(Modulus, ConstantsMatchTheirDefinitions) {
  for (const std::uint32_t q : kPrimes) {
    const Modulus m(q);
    EXPECT_EQ(static_cast<std::uint32_t>(m.neg_inv * q), 0xffffffffU);
    EXPECT_EQ(m.r1, (std::uint64_t{1} << 32) % q);
    EXPECT_EQ(m.r2, std::uint64_t{m.r1} * m.r1 % q);
  }
}

TEST(Modulus, MontgomeryMultipliesByTheInverseOfTwoToThe32) {
  std::mt19937_64 random(2);
  for (const std::uint32_t q : kPrimes) {
    const Modulus m(q);
    const std::uint64_t limit = std::uint64_t{q} << 32;
    std::vector<std::uint64_t> inputs = {0, 1, q - 1U, q, 0xffffffff, limit - 1, limit - q, limit / 2};
    for (int i = 0; i < 200; ++i) inputs.push_back(random() % limit);
    for (const std::uint64_t x : inputs) {
      const std::uint32_t reduced = montgomery_reduce(x, m);
      ASSERT_LT(reduced, q);
      EXPECT_EQ(std::uint64_t{reduced} * m.r1 % q, x % q) << x << " mod " << q;
      const auto residue = static_cast<std::uint32_t>(x % q);
      EXPECT_EQ(to_montgomery(residue, m), std::uint64_t{residue} * m.r1 % q);
    }
  }
}

TEST(Modulus, ArithmeticAgreesWithIntegers) {
  std::mt19937_64 random(3);
  for (const std::uint32_t q : kPrimes) {
    const Modulus m(q);
    for (int i = 0; i < 200; ++i) {
      const auto a = static_cast<std::uint32_t>(i < 3 ? (q - 1) / (i + 1) : random() % q);
      const auto b = static_cast<std::uint32_t>(i < 3 ? q - 1 : random() % q);
      EXPECT_EQ(add_mod(a, b, m), (std::uint64_t{a} + b) % q);
      EXPECT_EQ(sub_mod(a, b, m), (std::uint64_t{a} + q - b) % q);
      EXPECT_EQ(mul_mod(a, b, m), std::uint64_t{a} * b % q);
      EXPECT_EQ(shoup(a, m), (std::uint64_t{a} << 32) / q);
      if (a != 0) {
        EXPECT_EQ(mul_mod(a, inv_mod(a, m), m), 1U);
      }
      EXPECT_EQ(pow_mod(a, 3, m), mul_mod(a, mul_mod(a, a, m), m));
    }
    EXPECT_EQ(pow_mod(2 % q, q - 1, m), 1U);
    EXPECT_EQ(pow_mod(0, 0, m), 1U);
    EXPECT_THROW(inv_mod(0, m), Error);
  }
}

}  // namespace
}  // namespace hearth::ring
