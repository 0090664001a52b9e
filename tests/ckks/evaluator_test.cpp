#include "ckks/evaluator.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>

#include "base/error.h"
#include "tests/ckks/party.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using testing::distance;
using testing::Noise;
using testing::Party;
using testing::random_slots;
using testing::Slots;

constexpr double kScale = 0x1p24;

Slots map(const Slots& a, const std::function<std::complex<double>(std::complex<double>)>& f) {
  Slots out(a.size());
  std::transform(a.begin(), a.end(), out.begin(), f);
  return out;
}
Slots zip(const Slots& a, const Slots& b,
          const std::function<std::complex<double>(std::complex<double>, std::complex<double>)>& f) {
  Slots out(a.size());
  std::transform(a.begin(), a.end(), b.begin(), out.begin(), f);
  return out;
}
double largest(const Slots& a) { return distance(a, Slots(a.size())); }

ErrorKind kind_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::kInternal;
}

class EvaluatorTest : public ::testing::Test {
 protected:
  EvaluatorTest() : party(testing::mixed_spec(11)), noise(party), slots(party.parameters->slots()) {}
  double fresh(double scale = kScale) const { return noise.fresh_slots(scale); }

  const Party party;
  const Noise noise;
  const std::size_t slots;
};

TEST_F(EvaluatorTest, AddsSubtractsAndNegatesAtEveryLevel) {
  for (int level = 0; level <= party.parameters->max_level(); ++level) {
    const Slots a = random_slots(slots, 1), b = random_slots(slots, 2);
    const Ciphertext ca = party.encrypt(a, level, kScale), cb = party.encrypt(b, level, kScale);
    Ciphertext sum = ca.clone(), difference = ca.clone(), negated = ca.clone();
    party.evaluator.add_inplace(sum, cb);
    party.evaluator.sub_inplace(difference, cb);
    party.evaluator.negate_inplace(negated);
    EXPECT_LT(distance(party.decrypt(sum), zip(a, b, std::plus<>())), 2 * fresh());
    EXPECT_LT(distance(party.decrypt(difference), zip(a, b, std::minus<>())), 2 * fresh());
    EXPECT_LT(distance(party.decrypt(negated), map(a, std::negate<>())), fresh());
  }
}

TEST_F(EvaluatorTest, AddsCiphertextsOfTwoAndThreeParts) {
  const Slots a = random_slots(slots, 1), b = random_slots(slots, 2);
  const Ciphertext ca = party.encrypt(a, 4, kScale);
  const Ciphertext square = party.evaluator.square(ca);
  const Ciphertext cb = party.encrypt(b, 4, kScale * kScale);
  const double bound = 2 * fresh() + fresh() * fresh() + fresh(kScale * kScale);
  const auto expect = [&](const Ciphertext& left, const Ciphertext& right, double sign) {
    Ciphertext sum = left.clone(), difference = left.clone();
    party.evaluator.add_inplace(sum, right);
    party.evaluator.sub_inplace(difference, right);
    EXPECT_EQ(sum.parts.size(), 3U);
    const auto added = zip(a, b, [](auto x, auto y) { return x * x + y; });
    const auto subtracted = zip(a, b, [&](auto x, auto y) { return sign * (x * x - y); });
    EXPECT_LT(distance(party.decrypt(sum), added), 2 * bound);
    EXPECT_LT(distance(party.decrypt(difference), subtracted), 2 * bound);
  };
  expect(square, cb, 1);
  expect(cb, square, -1);
}

TEST_F(EvaluatorTest, PlaintextsOfEveryPeriodInBothForms) {
  const int level = 3;
  const Slots a = random_slots(slots, 1);
  const Ciphertext c = party.encrypt(a, level, kScale);
  for (std::size_t period = 1; period <= slots; period *= 4) {
    const Slots p = random_slots(period, 3), all = testing::repeat(p, slots);
    for (const bool montgomery : {false, true}) {
      const Plaintext plain = party.encoder().encode(p, kScale, party.parameters->q_basis(level), montgomery);
      Ciphertext sum = c.clone(), product = c.clone();
      party.evaluator.add_plain_inplace(sum, plain);
      party.evaluator.mul_plain_inplace(product, plain);
      EXPECT_EQ(product.scale, kScale * kScale);
      // A plaintext of period p rounds 2p coefficients; n is an upper bound.
      const double rounding = noise.encoding_slots(kScale);
      EXPECT_LT(distance(party.decrypt(sum), zip(a, all, std::plus<>())), fresh() + rounding) << period;
      const double bound = largest(p) * fresh() + largest(a) * rounding + fresh() * rounding;
      EXPECT_LT(distance(party.decrypt(product), zip(a, all, std::multiplies<>())), bound) << period;
    }
  }
}

TEST_F(EvaluatorTest, PlaintextsOnALargerBasisServeLowerLevels) {
  const Slots a = random_slots(slots, 1), p = random_slots(8, 2);
  const Ciphertext c = party.encrypt(a, 1, kScale);
  const Plaintext low = party.encoder().encode(p, kScale, party.parameters->q_basis(1));
  const Plaintext high = party.encoder().encode(p, kScale, party.parameters->qp_basis(4, 1));
  Ciphertext x = c.clone(), y = c.clone();
  party.evaluator.mul_plain_inplace(x, low);
  party.evaluator.mul_plain_inplace(y, high);
  EXPECT_TRUE(testing::equal_bits(x, y));
}

TEST_F(EvaluatorTest, Constants) {
  const Slots a = random_slots(slots, 1);
  Ciphertext c = party.encrypt(a, 2, kScale);
  party.evaluator.add_constant_inplace(c, -0.75);
  party.evaluator.mul_constant_inplace(c, 1.25, 0x1p20);
  EXPECT_EQ(c.scale, kScale * 0x1p20);
  // Both constants are exact at their scales.
  EXPECT_LT(distance(party.decrypt(c), map(a, [](auto x) { return 1.25 * (x - 0.75); })), 1.25 * fresh());
}

TEST_F(EvaluatorTest, MultiplyingByIIsExact) {
  const Slots a = random_slots(slots, 1);
  const Ciphertext c = party.encrypt(a, 4, kScale);
  Ciphertext once = c.clone();
  party.evaluator.mul_by_i_inplace(once);
  EXPECT_LT(distance(party.decrypt(once), map(a, [](auto x) { return x * std::complex<double>(0, 1); })), fresh());
  EXPECT_EQ(once.scale, c.scale);
  party.evaluator.mul_by_i_inplace(once);
  Ciphertext negated = c.clone();
  party.evaluator.negate_inplace(negated);
  EXPECT_TRUE(testing::equal_bits(once, negated));
}

TEST_F(EvaluatorTest, MultipliesRelinearizesAndRescalesDownTheWholeChain) {
  const Parameters& parameters = *party.parameters;
  Slots a = random_slots(slots, 1);
  // Levels of several widths: the scale that a level's modulus takes back to itself is that modulus.
  for (int level = parameters.max_level(); level > 0; --level) {
    const double scale = std::sqrt(parameters.level_modulus(level)) * 0x1p10;
    if (2 * std::log2(scale) > parameters.log_q(level) - 6) continue;
    const Slots b = random_slots(slots, static_cast<unsigned>(level));
    Ciphertext product = party.evaluator.multiply(party.encrypt(a, level, scale), party.encrypt(b, level, scale));
    const double error = fresh(scale) * (largest(a) + largest(b)) + fresh(scale) * fresh(scale);
    const Slots expected = zip(a, b, std::multiplies<>());
    ASSERT_EQ(product.parts.size(), 3U);
    EXPECT_LT(distance(party.decrypt(product), expected), error);

    party.evaluator.relinearize_inplace(product);
    const double switched = error + noise.key_switch_slots(level, scale * scale);
    EXPECT_LT(distance(party.decrypt(product), expected), switched);

    party.evaluator.rescale_inplace(product);
    EXPECT_EQ(product.level, level - 1);
    EXPECT_EQ(product.scale, scale * scale / parameters.level_modulus(level));
    EXPECT_EQ(product.parts[0].basis(), parameters.q_basis(level - 1));
    EXPECT_LT(distance(party.decrypt(product), expected), switched + noise.rounding_slots(product.scale));
  }
}

TEST_F(EvaluatorTest, RescalingRoundsToNearest) {
  for (int level = 1; level <= party.parameters->max_level(); ++level) {
    // A large scale makes the fresh noise vanish in the division; rounding is what remains.
    const double q = party.parameters->level_modulus(level), scale = 0x1p12 * q;
    if (std::log2(scale) > party.parameters->log_q(level) - 4) continue;
    Ciphertext c = party.encrypt(Slots(slots), level, scale);
    party.evaluator.rescale_inplace(c);
    const double measured = testing::standard_deviation(
        testing::small_coefficients(party.parameters->ring(), decrypt(party.secret, c).poly));
    EXPECT_LT(measured, 1.1 * noise.rounding()) << "level " << level;
    EXPECT_GT(measured, 0.9 * noise.rounding()) << "level " << level;
  }
}

TEST_F(EvaluatorTest, DroppingLevelsKeepsTheValue) {
  const Slots a = random_slots(slots, 1);
  const Ciphertext c = party.encrypt(a, 4, kScale);
  for (int level = 4; level >= 0; --level) {
    Ciphertext lower = c.clone();
    party.evaluator.drop_to_level_inplace(lower, level);
    EXPECT_EQ(lower.scale, kScale);
    EXPECT_LT(distance(party.decrypt(lower), a), fresh());
    // and the result can be worked with
    party.evaluator.add_inplace(lower, party.encrypt(a, level, kScale));
    EXPECT_LT(distance(party.decrypt(lower), map(a, [](auto x) { return 2.0 * x; })), 2 * fresh());
  }
}

TEST_F(EvaluatorTest, RefusesOperandsThatDoNotFit) {
  const Slots a = random_slots(slots, 1);
  const Ciphertext c = party.encrypt(a, 2, kScale);
  const auto refused = [&](const std::function<void(Ciphertext&)>& operation, ErrorKind kind) {
    Ciphertext copy = c.clone();
    EXPECT_EQ(kind_of([&] { operation(copy); }), kind);
  };
  const Evaluator& e = party.evaluator;
  const Ciphertext low = party.encrypt(a, 1, kScale), off = party.encrypt(a, 2, kScale * 1.00001);
  refused([&](Ciphertext& x) { e.add_inplace(x, low); }, ErrorKind::kInvalidArgument);
  refused([&](Ciphertext& x) { e.sub_inplace(x, off); }, ErrorKind::kInvalidArgument);
  refused([&](Ciphertext& x) { e.multiply(x, low); }, ErrorKind::kInvalidArgument);
  refused([&](Ciphertext& x) { e.multiply(x, e.multiply(x, x)); }, ErrorKind::kInvalidArgument);
  refused([&](Ciphertext& x) { e.drop_to_level_inplace(x, 3); }, ErrorKind::kInvalidArgument);
  refused([&](Ciphertext& x) { e.drop_to_level_inplace(x, -1); }, ErrorKind::kInvalidArgument);
  refused(
      [&](Ciphertext& x) {
        e.drop_to_level_inplace(x, 0);
        e.rescale_inplace(x);
      },
      ErrorKind::kInvalidArgument);
  const Plaintext short_basis = party.encoder().encode(a, kScale, party.parameters->q_basis(1));
  const Plaintext other_scale = party.encoder().encode(a, kScale / 2, party.parameters->q_basis(2));
  refused([&](Ciphertext& x) { e.add_plain_inplace(x, short_basis); }, ErrorKind::kInvalidArgument);
  refused([&](Ciphertext& x) { e.mul_plain_inplace(x, short_basis); }, ErrorKind::kInvalidArgument);
  refused([&](Ciphertext& x) { e.add_plain_inplace(x, other_scale); }, ErrorKind::kInvalidArgument);
  refused([&](Ciphertext& x) { x.parameters_id ^= 1, e.negate_inplace(x); }, ErrorKind::kMismatch);
}

TEST_F(EvaluatorTest, ScalesMayDifferByARoundingError) {
  const Slots a = random_slots(slots, 1);
  Ciphertext c = party.encrypt(a, 2, kScale);
  EXPECT_NO_THROW(party.evaluator.add_inplace(c, party.encrypt(a, 2, kScale * (1 + 0x1p-21))));
}

/// a * b + p * a - b over random chains: everything a small circuit does, within the sum of its bounds.
RC_GTEST_PROP(EvaluatorProperty, SmallCircuitsStayWithinTheirBounds, ()) {
  ParameterSpec spec;
  spec.log_n = *rc::gen::inRange(5, 10);
  spec.security = Security::kNone;
  const int levels = *rc::gen::inRange(2, 6);
  spec.levels.push_back({30, 30});
  for (int i = 1; i < levels; ++i) spec.levels.push_back(std::vector<int>(*rc::gen::inRange<std::size_t>(1, 3), 28));
  const int digit = *rc::gen::inRange(1, 4);
  spec.special_bits.assign(static_cast<std::size_t>(digit), 30);
  spec.key_sets = {{levels - 1, digit, digit}};
  const Party party(spec);
  const Noise noise(party);
  const Evaluator& e = party.evaluator;
  const std::size_t slots = party.parameters->slots();
  const auto seed = *rc::gen::arbitrary<unsigned>();
  const int level = *rc::gen::inRange(1, levels);
  const std::size_t period = std::size_t{1} << *rc::gen::inRange(0, spec.log_n);
  const Slots a = random_slots(slots, seed), b = random_slots(slots, seed + 1), p = random_slots(period, seed + 2);

  const Ciphertext ca = party.encrypt(a, level, kScale);
  Ciphertext cb = party.encrypt(b, level, kScale);
  Ciphertext result = e.multiply(ca, cb);
  e.relinearize_inplace(result);
  Ciphertext scaled = ca.clone();
  e.mul_plain_inplace(scaled, party.encoder().encode(p, kScale, party.parameters->q_basis(level)));
  e.add_inplace(result, scaled);
  e.mul_constant_inplace(cb, 1, kScale);
  e.sub_inplace(result, cb);
  e.rescale_inplace(result);

  const Slots all = testing::repeat(p, slots);
  Slots expected(slots);
  for (std::size_t i = 0; i < slots; ++i) expected[i] = a[i] * b[i] + all[i] * a[i] - b[i];
  const double fresh = noise.fresh_slots(kScale), rounded = noise.encoding_slots(kScale);
  const double size = std::sqrt(2.0);  // of a complex slot with parts in [-1, 1]
  const double bound = 2 * size * fresh + fresh * fresh + size * (fresh + rounded) + fresh * rounded + fresh +
                       noise.key_switch_slots(level, kScale * kScale) + noise.rounding_slots(result.scale);
  RC_ASSERT(distance(party.decrypt(result), expected) < bound);
}

TEST(Evaluator, RelinearisingAndRescalingInOneDivisionGivesTheSameProduct) {
  for (const ParameterSpec& spec : {testing::chain_spec(9, 4), testing::mixed_spec(9)}) {
    const Party party(spec);
    const int level = party.parameters->max_level();
    const double scale = 0x1p26;
    const Slots x = testing::random_slots(party.parameters->slots(), 3), y = testing::random_slots(x.size(), 4);
    Ciphertext separate = party.evaluator.multiply(party.encrypt(x, level, scale), party.encrypt(y, level, scale));
    Ciphertext merged = separate.clone();
    party.evaluator.relinearize_inplace(separate);
    party.evaluator.rescale_inplace(separate);
    party.evaluator.relinearize_rescale_inplace(merged);
    EXPECT_EQ(merged.level, separate.level);
    EXPECT_EQ(merged.scale, separate.scale);
    EXPECT_EQ(merged.parts.size(), 2U);
    // The two round differently, twice and once.
    const testing::Noise noise(party);
    EXPECT_LT(testing::distance(party.decrypt(merged), party.decrypt(separate)),
              3 * noise.rounding_slots(merged.scale));
    Ciphertext two = party.encrypt(x, level, scale), expected = two.clone();
    party.evaluator.relinearize_rescale_inplace(two);
    party.evaluator.rescale_inplace(expected);
    EXPECT_TRUE(testing::equal_bits(two, expected)) << "of two parts it only rescales";
  }
}

}  // namespace
}  // namespace hearth::ckks
