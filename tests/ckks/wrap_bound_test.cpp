#include "ckks/bootstrap/wrap_bound.h"

#include <gmpxx.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.h"

namespace hearth::ckks {
namespace {

/// log2 P(|sum of `terms` uniforms| > limit) by the formula of Irwin and Hall in exact rational arithmetic.
double exact_log2_tail(int terms, const mpq_class& limit) {
  const mpq_class top = mpq_class(terms, 2) - limit;
  mpq_class sum = 0;
  mpz_class binomial = 1, factorial = 1;
  for (int i = 2; i <= terms; ++i) factorial *= i;
  for (int j = 0; j <= terms && top > j; ++j) {
    mpq_class power = 1;
    for (int i = 0; i < terms; ++i) power *= top - j;
    sum += (j % 2 == 0 ? 1 : -1) * mpq_class(binomial) * power;
    binomial = binomial * (terms - j) / (j + 1);
  }
  sum *= 2;
  sum /= factorial;
  long exponent_top = 0, exponent_bottom = 0;
  const double upper = mpz_get_d_2exp(&exponent_top, sum.get_num_mpz_t());
  const double lower = mpz_get_d_2exp(&exponent_bottom, sum.get_den_mpz_t());
  return std::log2(upper / lower) + static_cast<double>(exponent_top - exponent_bottom);
}

TEST(WrapBound, AgreesWithExactArithmetic) {
  for (const int terms : {8, 9, 17, 33, 65, 193}) {
    for (int twice = 1; twice<terms; twice += terms> 33 ? 5 : 1) {
      const double got = log2_sum_tail(terms, twice / 2.0);
      EXPECT_NEAR(got, exact_log2_tail(terms, mpq_class(twice, 2)), 1e-8) << terms << " " << twice / 2.0;
    }
  }
}

TEST(WrapBound, ReachesFarBelowTheSmallestDouble) {
  const mpq_class limit(1099, 1000);  // 95 + 1.099: close to the largest possible sum of 193 terms, 96.5
  const double got = log2_sum_tail(193, 95 + 1.099);
  EXPECT_NEAR(got, exact_log2_tail(193, limit + 95), 1e-7);
  EXPECT_LT(got, -1100);
}

TEST(WrapBound, NothingBeyondTheLargestSum) {
  EXPECT_EQ(log2_sum_tail(33, 16.5), -INFINITY);
  EXPECT_EQ(log2_sum_tail(33, 20), -INFINITY);
  EXPECT_GT(log2_sum_tail(33, 16.49), -INFINITY);
}

TEST(WrapBound, NumbersOfTheDesign) {
  // One bootstrap of 32768 slots, that is 65536 coefficients, h = 32.
  EXPECT_NEAR(log2_wrap_probability(32, 16, 1, 12), -34.1, 0.1);
  EXPECT_NEAR(log2_wrap_probability(32, 16, 1, 13), -46.1, 0.1);
  EXPECT_NEAR(log2_wrap_probability(32, 16, 1, 14), -62.1, 0.1);
  EXPECT_NEAR(log2_wrap_probability(32, 16, 1, 16), -138.7, 0.1);
}

TEST(WrapBound, CountsCoefficientsAndBootstraps) {
  const double one = log2_wrap_probability(32, 15, 1, 13);
  EXPECT_NEAR(log2_wrap_probability(32, 16, 1, 13), one + 1, 1e-12);
  EXPECT_NEAR(log2_wrap_probability(32, 15, 1024, 13), one + 10, 1e-12);
  EXPECT_EQ(log2_wrap_probability(32, 16, 1e9, 1), 0);
}

TEST(WrapBound, SmallestBoundMeetsTheTargetAndOneLessDoesNot) {
  for (const int weight : {32, 64, 192}) {
    for (const double target : {-10.0, -30.0, -40.0, -128.0}) {
      const int bound = smallest_wrap_bound(weight, 16, 1000, target);
      EXPECT_LE(log2_wrap_probability(weight, 16, 1000, bound), target);
      EXPECT_GT(log2_wrap_probability(weight, 16, 1000, bound - 1), target);
    }
  }
  EXPECT_EQ(smallest_wrap_bound(32, 16, 1, -40), 13);
  EXPECT_EQ(smallest_wrap_bound(32, 16, 1, -1e6), 17);  // |t| <= 16.5 always
}

/// Sums as ModRaise makes them: integer c1 s + c0 for 30-bit residues, over q0.
TEST(WrapBound, AgreesWithSampling) {
  constexpr int kWeight = 32, kSamples = 400'000;
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> uniform(-0.5, 0.5);
  int above_3 = 0, above_5 = 0, worst_above_4 = 0;
  for (int i = 0; i < kSamples; ++i) {
    double product = 0;
    for (int j = 0; j < kWeight; ++j) product += uniform(random);
    const double c0 = uniform(random);
    above_3 += std::abs(product + c0) > 3;
    above_5 += std::abs(product + c0) > 5;
    // A message just above 0: t is the number of that class nearest to the product.
    constexpr double kMessage = 1e-9;
    worst_above_4 += kMessage + std::round(product - kMessage) > 4;
  }
  const auto expect_share = [](int count, double log2_probability) {
    const double expected = kSamples * std::exp2(log2_probability);
    EXPECT_NEAR(count, expected, 5 * std::sqrt(expected));
  };
  expect_share(above_3, log2_sum_tail(kWeight + 1, 3));
  expect_share(above_5, log2_sum_tail(kWeight + 1, 5));
  expect_share(worst_above_4, log2_wrap_probability_worst_message(kWeight, 1, 1, 4) - 1);
}

TEST(WrapBound, TheWorstMessageIsWorse) {
  for (const int bound : {8, 12, 13, 14, 16}) {
    const double worst = log2_wrap_probability_worst_message(32, 16, 1, bound);
    EXPECT_GT(worst, log2_wrap_probability(32, 16, 1, bound));
    EXPECT_LT(worst, log2_wrap_probability(32, 16, 1, bound - 0.75));
  }
}

TEST(WrapBound, RefusesBadArguments) {
  EXPECT_THROW(log2_sum_tail(7, 2), Error);
  EXPECT_THROW(log2_sum_tail(70'000, 2), Error);
  EXPECT_THROW(log2_sum_tail(33, 0.4), Error);
  EXPECT_THROW(log2_sum_tail(33, NAN), Error);
  EXPECT_THROW(log2_wrap_probability(32, 0, 1, 12), Error);
  EXPECT_THROW(log2_wrap_probability(32, 16, 0, 12), Error);
  EXPECT_THROW(smallest_wrap_bound(32, 16, 1, 0), Error);
}

}  // namespace
}  // namespace hearth::ckks
