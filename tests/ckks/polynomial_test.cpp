#include "ckks/polynomial.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <random>

#include "base/error.h"
#include "tests/ckks/party.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using testing::Noise;
using testing::Party;
using testing::Slots;

constexpr double kScale = 0x1p30;

double sum_of_sizes(const std::vector<double>& coefficients) {
  double sum = 0;
  for (const double c : coefficients) sum += std::abs(c);
  return sum;
}

double evaluate_clear(const std::vector<double>& c, PolynomialBasis basis, double x) {
  double sum = 0, previous = 1, current = x;
  for (std::size_t i = 0; i < c.size(); ++i) {
    sum += c[i] * previous;
    const double next = basis == PolynomialBasis::kChebyshev ? 2 * x * current - previous : x * current;
    previous = std::exchange(current, next);
  }
  return sum;
}

std::vector<double> random_coefficients(int degree, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<double> out(static_cast<std::size_t>(degree) + 1);
  for (double& value : out) value = uniform(generator) / (degree + 1);
  return out;
}

/// What each operation adds to the error of a slot.
struct StepErrors {
  double input;     ///< of x
  double step;      ///< of one key switch and rescaling
  double constant;  ///< of encoding one coefficient
};

/// Of B_i(x), |x| <= 1: the errors of x and of each product below it grow with the derivative, at most i for monomials
/// and i^2 for Chebyshev polynomials.
double power_error(int i, PolynomialBasis basis, const StepErrors& e) {
  return (basis == PolynomialBasis::kChebyshev ? i * i : i) * (e.input + e.step);
}

/// Of p(x), either as a plain sum or by division as the algorithm does it, whichever is worse.
double error_bound(std::vector<double> p, PolynomialBasis basis, const StepErrors& e) {
  double sum = static_cast<double>(p.size()) * e.constant;
  for (std::size_t i = 1; i < p.size(); ++i) sum += std::abs(p[i]) * power_error(static_cast<int>(i), basis, e);
  if (p.size() <= 2) return sum + e.step;
  const std::size_t split = std::bit_floor(p.size() - 1);
  std::vector<double> quotient(p.begin() + static_cast<std::ptrdiff_t>(split), p.end());
  p.resize(split);
  for (std::size_t k = 1; basis == PolynomialBasis::kChebyshev && k < quotient.size(); ++k) {
    p[split - k] -= quotient[k];
    quotient[k] *= 2;
  }
  const double divided = sum_of_sizes(quotient) * power_error(static_cast<int>(split), basis, e) +
                         error_bound(quotient, basis, e) + error_bound(p, basis, e) + e.step;
  return std::max(sum + e.step, divided);
}

StepErrors step_errors(const Noise& noise, int level, double scale) {
  return {.input = noise.fresh_slots(scale),
          .step = noise.rounding_slots(scale) + noise.key_switch_slots(level, scale),
          .constant = 1 / scale};
}

Slots real_slots(std::size_t count, unsigned seed) {
  Slots out = testing::random_slots(count, seed);
  for (auto& value : out) value = value.real();
  return out;
}

void check_polynomial(const Party& party, const std::vector<double>& c, PolynomialBasis basis, int level,
                      double output_scale) {
  const Noise noise(party);
  const Slots x = real_slots(party.parameters->slots(), static_cast<unsigned>(c.size()));
  const Ciphertext encrypted = party.encrypt(x, level, kScale);
  const Ciphertext out = evaluate_polynomial(party.evaluator, encrypted, c, basis, output_scale);
  EXPECT_EQ(out.scale, output_scale);
  EXPECT_EQ(out.level, level - polynomial_depth(static_cast<int>(c.size()) - 1));
  EXPECT_EQ(out.parts.size(), 2U);
  Slots expected(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) expected[i] = evaluate_clear(c, basis, x[i].real());
  const StepErrors errors = step_errors(noise, level, 0.9 * std::min(output_scale, kScale));
  const double bound = error_bound(c, basis, errors);
  EXPECT_LT(bound, 1.0) << "the bound says nothing";
  EXPECT_LT(testing::distance(party.decrypt(out), expected), bound) << "degree " << c.size() - 1;
}

ParameterSpec deep_spec() {
  ParameterSpec spec = testing::chain_spec(11, 7, 2);
  spec.levels[0] = {30, 30};
  return spec;
}

TEST(PolynomialDepth, IsTheLogarithmOfTheDegreePlusOneRoundedUp) {
  for (int degree = 0; degree < 300; ++degree) {
    EXPECT_EQ(polynomial_depth(degree), static_cast<int>(std::ceil(std::log2(degree + 1)))) << degree;
  }
}

class PolynomialTest : public ::testing::TestWithParam<PolynomialBasis> {};

TEST_P(PolynomialTest, EveryDegreeInTheFewestLevels) {
  const Party party(deep_spec());
  for (const int degree : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 21, 27, 31, 33, 47, 63}) {
    const std::vector<double> c = random_coefficients(degree, static_cast<unsigned>(degree) + 1);
    check_polynomial(party, c, GetParam(), polynomial_depth(degree), kScale);
    check_polynomial(party, c, GetParam(), 6, kScale);
  }
}

TEST_P(PolynomialTest, AnyOutputScaleIsMetExactly) {
  const Party party(deep_spec());
  for (const double scale : {0x1p27, 1.2345e9, 0x1p31, 3.0e10}) {
    check_polynomial(party, random_coefficients(7, 1), GetParam(), 5, scale);
    check_polynomial(party, random_coefficients(1, 2), GetParam(), 1, scale);
  }
}

TEST_P(PolynomialTest, SparseOddAndEvenPolynomials) {
  const Party party(deep_spec());
  for (const int parity : {0, 1}) {
    std::vector<double> c = random_coefficients(19, 3);
    for (std::size_t i = static_cast<std::size_t>(parity); i < c.size(); i += 2) c[i] = 0;
    check_polynomial(party, c, GetParam(), 6, kScale);
  }
  std::vector<double> single(17);
  single[16] = 0.5;
  check_polynomial(party, single, GetParam(), 5, kScale);
  check_polynomial(party, {0, 0, 1}, GetParam(), 2, kScale);
  check_polynomial(party, {0.25, 0, 0, 0, 0}, GetParam(), 4, kScale);  // leading zeros keep their levels
  check_polynomial(party, {0, 0, 0}, GetParam(), 4, kScale);
}

TEST_P(PolynomialTest, LevelsOfTwoPrimes) {
  ParameterSpec spec = testing::chain_spec(11, 5, 2);
  for (auto& level : spec.levels) level = {20, 20};
  spec.levels[0] = {30, 30};
  const Party party(spec);
  const Noise noise(party);
  const double scale = 0x1p40;
  const std::vector<double> c = random_coefficients(9, 5);
  const Slots x = real_slots(1024, 1);
  const Ciphertext out = evaluate_polynomial(party.evaluator, party.encrypt(x, 4, scale), c, GetParam(), scale);
  EXPECT_EQ(out.level, 0);
  Slots expected(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) expected[i] = evaluate_clear(c, GetParam(), x[i].real());
  const double bound = error_bound(c, GetParam(), step_errors(noise, 4, 0.9 * scale));
  EXPECT_LT(bound, 1e-5);  // this is what two primes a level are for
  EXPECT_LT(testing::distance(party.decrypt(out), expected), bound);
}

TEST_P(PolynomialTest, CoefficientsThatDifferBySlot) {
  const Party party(testing::chain_spec(11, 5));
  const std::size_t period = 8;
  for (const int degree : {1, 5, 8, 15}) {
    std::vector<std::vector<double>> by_slot;
    SlotVectors coefficients(static_cast<std::size_t>(degree) + 1);
    for (unsigned s = 0; s < period; ++s) by_slot.push_back(random_coefficients(degree, 100 + s));
    by_slot[3].back() = 0;  // shorter than the others
    for (std::size_t k = 0; k < coefficients.size(); ++k) {
      for (const auto& c : by_slot) coefficients[k].push_back(c[k]);
    }
    const Slots x = real_slots(1024, 7);
    const Ciphertext out =
        evaluate_polynomial(party.evaluator, party.encrypt(x, 4, kScale), coefficients, GetParam(), kScale);
    EXPECT_EQ(out.level, 4 - polynomial_depth(degree));
    Slots expected(x.size());
    double bound = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      expected[i] = evaluate_clear(by_slot[i % period], GetParam(), x[i].real());
    }
    for (const auto& c : by_slot) {
      bound = std::max(bound, error_bound(c, GetParam(), step_errors(Noise(party), 4, 0.9 * kScale)));
    }
    EXPECT_LT(testing::distance(party.decrypt(out), expected), bound) << "degree " << degree;
  }
}

INSTANTIATE_TEST_SUITE_P(Bases, PolynomialTest,
                         ::testing::Values(PolynomialBasis::kMonomial, PolynomialBasis::kChebyshev));

RC_GTEST_PROP(PolynomialProperty, RandomPolynomialsAreWithinTheBound, ()) {
  ParameterSpec spec = testing::chain_spec(*rc::gen::inRange(6, 10), 6, *rc::gen::inRange(1, 4));
  spec.levels[0] = {30, 30};
  const Party party(spec);
  const int degree = *rc::gen::inRange(0, 32);
  const auto basis = *rc::gen::element(PolynomialBasis::kMonomial, PolynomialBasis::kChebyshev);
  check_polynomial(party, random_coefficients(degree, *rc::gen::arbitrary<unsigned>()), basis,
                   *rc::gen::inRange(polynomial_depth(degree), 6), kScale);
}

TEST(PolynomialErrors, BadArgumentsAreRefused) {
  const Party party(testing::chain_spec(11, 3));
  const Ciphertext x = party.encrypt(real_slots(1024, 1), 1, 0x1p25);
  const auto refused = [&](const std::vector<double>& c, double scale) {
    try {
      evaluate_polynomial(party.evaluator, x, c, PolynomialBasis::kMonomial, scale);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kInvalidArgument;
    }
    return false;
  };
  EXPECT_TRUE(refused({}, 0x1p25));
  EXPECT_TRUE(refused({1, 1, 1}, 0x1p25));  // two levels
  EXPECT_TRUE(refused({1, std::nan("")}, 0x1p25));
  EXPECT_TRUE(refused({1, 1}, 0));
  EXPECT_FALSE(refused({1, 1}, 0x1p25));
}

}  // namespace
}  // namespace hearth::ckks
