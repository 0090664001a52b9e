#include "ckks/key_switching.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/error.h"
#include "base/parallel.h"
#include "tests/ckks/party.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using testing::Noise;
using testing::Party;
using testing::Slots;

/// Key switching as in a textbook: one digit at a time with whole polynomials.
ExtendedPair slow_multiply_by_key(const Parameters& parameters, const ring::Poly& c1, int level,
                                  const SwitchingKey& key) {
  const ring::Ring& ring = parameters.ring();
  const ring::Basis basis = parameters.qp_basis(level, key.set);
  ExtendedPair sum{ring::Poly::zero(ring.n(), basis, ring::Domain::kNtt),
                   ring::Poly::zero(ring.n(), basis, ring::Domain::kNtt)};
  std::vector<std::uint32_t> from_montgomery;
  for (const int prime : basis) from_montgomery.push_back(ring::montgomery_reduce(1, ring.modulus(prime)));
  const std::vector<ring::Basis> digits = parameters.digits(key.set, level);
  for (std::size_t d = 0; d < digits.size(); ++d) {
    ring::Poly own = ring::restrict_to(c1, digits[d]);
    ring::to_coefficient(ring, own);
    ring::Basis rest;
    for (const int prime : basis) {
      if (std::find(digits[d].begin(), digits[d].end(), prime) == digits[d].end()) rest.push_back(prime);
    }
    const ring::Poly raised = ring::BaseConverter(ring, digits[d], rest).convert(own);
    ring::Poly whole(ring.n(), basis, ring::Domain::kCoefficient);
    for (std::size_t j = 0; j < basis.size(); ++j) {
      const ring::Basis one{basis[j]};
      const bool is_own = std::find(rest.begin(), rest.end(), basis[j]) == rest.end();
      const ring::Poly limb = ring::restrict_to(is_own ? own : raised, one);
      std::copy(limb.limb(0), limb.limb(0) + ring.n(), whole.limb(j));
    }
    ring::to_ntt(ring, whole);
    for (auto [half, out] : {std::pair(&key.b[d], &sum.c0), std::pair(&key.a[d], &sum.c1)}) {
      ring::Poly factor = ring::restrict_to(*half, basis);
      ring::mul_scalars(ring, factor, from_montgomery);
      ring::mul_add(ring, *out, whole, factor);
    }
  }
  return sum;
}

Ciphertext slow_galois(const Party& party, const Ciphertext& c, std::uint32_t g) {
  const Parameters& parameters = *party.parameters;
  const int set = parameters.key_set_for(c.level);
  const ExtendedPair extended = slow_multiply_by_key(parameters, c.parts[1], c.level, party.keys.rotation(set, g));
  const ring::RoundedDivider divider(parameters.ring(), parameters.q_basis(c.level), parameters.p_basis(set));
  Ciphertext out{.parts = {}, .level = c.level, .scale = c.scale, .parameters_id = c.parameters_id};
  ring::Poly c0 = divider.divide(extended.c0);
  ring::add(parameters.ring(), c0, c.parts[0]);
  out.parts.push_back(ring::automorphism(parameters.ring(), c0, g));
  out.parts.push_back(ring::automorphism(parameters.ring(), divider.divide(extended.c1), g));
  return out;
}

/// What a rotation by g adds to the decryption, beyond permuting it.
std::vector<double> galois_noise(const Party& party, const Ciphertext& before, const Ciphertext& after,
                                 std::uint32_t g) {
  const ring::Ring& ring = party.parameters->ring();
  ring::Poly expected = ring::automorphism(ring, decrypt(party.secret, before).poly, g);
  ring::Poly difference = decrypt(party.secret, after).poly;
  ring::sub(ring, difference, expected);
  return testing::small_coefficients(ring, difference);
}

/// Division before and after a permutation rounds x and -x; they differ by 1 where x is within 2^-20 of a tie.
void expect_equal_up_to_ties(const Party& party, ring::Poly a, const ring::Poly& b) {
  ring::sub(party.parameters->ring(), a, b);
  int different = 0;
  for (const double x : testing::small_coefficients(party.parameters->ring(), a)) {
    ASSERT_LE(std::abs(x), 1);
    different += x != 0;
  }
  EXPECT_LE(different, 2);
}

class KeySwitching : public ::testing::TestWithParam<int> {
 protected:
  static ParameterSpec spec(int which) {
    switch (which) {
      case 0:
        return testing::chain_spec(11, 5, 1);
      case 1:
        return testing::chain_spec(11, 5, 2);  // the last digit has one prime
      case 2:
        return testing::chain_spec(11, 5, 5);  // one digit
      default:
        return testing::mixed_spec(11);
    }
  }
};

TEST_P(KeySwitching, RotationsEqualTheTextbookAtEveryLevel) {
  const Party party(spec(GetParam()), {3});
  for (int level = 0; level <= party.parameters->max_level(); ++level) {
    const Ciphertext c = party.encrypt(testing::random_slots(party.parameters->slots(), 1), level, 0x1p20);
    const std::uint32_t g = galois_element(3, party.parameters->log_n());
    EXPECT_TRUE(testing::equal_bits(party.evaluator.rotate(c, 3), slow_galois(party, c, g))) << "level " << level;
    const std::uint32_t conjugation = galois_conjugation(party.parameters->log_n());
    EXPECT_TRUE(testing::equal_bits(party.evaluator.conjugate(c), slow_galois(party, c, conjugation)));
  }
}

TEST_P(KeySwitching, NoiseIsWhatTheTheorySays) {
  const Party party(spec(GetParam()), {1});
  const Noise noise(party);
  const std::uint32_t g = galois_element(1, party.parameters->log_n());
  for (int level = 0; level <= party.parameters->max_level(); ++level) {
    const Ciphertext c = party.encrypt(testing::random_slots(party.parameters->slots(), 2), level, 0x1p20);
    const std::vector<double> added = galois_noise(party, c, party.evaluator.rotate(c, 1), g);
    // The standard deviation of n = 2^11 samples is known to 1 / sqrt(2n) = 1.6 %; six times that.
    const double expected = noise.key_switch(level), measured = testing::standard_deviation(added);
    EXPECT_LT(measured, 1.1 * expected) << "level " << level;
    EXPECT_GT(measured, 0.9 * expected) << "level " << level;
  }
}

TEST_P(KeySwitching, RelinearisationAddsNoMoreNoiseThanARotation) {
  const Party party(spec(GetParam()));
  const Noise noise(party);
  for (int level = 0; level <= party.parameters->max_level(); ++level) {
    const Ciphertext c = party.encrypt(testing::random_slots(party.parameters->slots(), 3), level, 0x1p10);
    Ciphertext product = party.evaluator.square(c);
    ring::Poly before = decrypt(party.secret, product).poly;
    party.evaluator.relinearize_inplace(product);
    ASSERT_EQ(product.parts.size(), 2U);
    ring::Poly added = decrypt(party.secret, product).poly;
    ring::sub(party.parameters->ring(), added, before);
    const double measured = testing::standard_deviation(testing::small_coefficients(party.parameters->ring(), added));
    EXPECT_LT(measured, 1.1 * noise.key_switch(level)) << "level " << level;
    EXPECT_GT(measured, 0.9 * noise.key_switch(level)) << "level " << level;
  }
}

TEST_P(KeySwitching, HoistedRotationsHaveTheSameBits) {
  const std::vector<int> steps{0, 1, -1, 5, 1023};
  const Party party(spec(GetParam()), steps);
  for (int level = 0; level <= party.parameters->max_level(); ++level) {
    const Ciphertext c = party.encrypt(testing::random_slots(party.parameters->slots(), 4), level, 0x1p20);
    const std::vector<Ciphertext> hoisted = party.evaluator.rotate_hoisted(c, steps);
    ASSERT_EQ(hoisted.size(), steps.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      EXPECT_TRUE(testing::equal_bits(hoisted[i], party.evaluator.rotate(c, steps[i]))) << "rotation " << steps[i];
    }
  }
}

/// Raised a few limbs at a time, in any order, digits are what they are raised to all limbs at once.
TEST_P(KeySwitching, DigitsRaisedInRoundsHaveTheSameBits) {
  const Party party(spec(GetParam()), {});
  const Parameters& p = *party.parameters;
  for (int level = 0; level <= p.max_level(); ++level) {
    const SwitchLayout layout(p, level, p.key_set_for(level));
    const Ciphertext c = party.encrypt(testing::random_slots(p.slots(), 14), level, 0x1p20);
    DigitRows whole(layout, c.parts[1]);
    for (const std::size_t most : {std::size_t{1}, std::size_t{2}, std::size_t{5}, layout.limbs()}) {
      DigitRows rounds(layout, c.parts[1], most);
      const std::size_t last_round = (layout.limbs() - 1) / most;
      for (std::size_t round = last_round + 1; round-- > 0;) {
        const std::size_t first = round * most, last = std::min(first + most, layout.limbs());
        rounds.raise(first, last);
        for (std::size_t j = first; j < last; ++j) {
          rounds.finish(j), whole.finish(j);
          for (std::size_t d = 0; d < whole.digits(); ++d) {
            ASSERT_TRUE(std::equal(rounds.row(j)[d], rounds.row(j)[d] + p.n(), whole.row(j)[d]))
                << "digit " << d << " on limb " << j << " of level " << level;
          }
        }
      }
      if (most == layout.limbs()) continue;
      EXPECT_THROW(rounds.raise(0, most + 1), Error);
    }
  }
}

TEST_P(KeySwitching, ExtendedRotationsAreTheRotationTimesP) {
  const Party party(spec(GetParam()), {7});
  const std::uint32_t g = galois_element(7, party.parameters->log_n());
  for (int level = 0; level <= party.parameters->max_level(); ++level) {
    const Ciphertext c = party.encrypt(testing::random_slots(party.parameters->slots(), 5), level, 0x1p20);
    const Hoisted hoisted = party.evaluator.hoist(c.parts[1], level);
    const ExtendedPair pair = party.evaluator.rotate_extended(c, hoisted, g);
    const Ciphertext rotated = party.evaluator.rotate(c, 7);
    expect_equal_up_to_ties(party, party.evaluator.mod_down(pair.c0, level, hoisted.set), rotated.parts[0]);
    expect_equal_up_to_ties(party, party.evaluator.mod_down(pair.c1, level, hoisted.set), rotated.parts[1]);
    const ExtendedPair plain = party.evaluator.multiply_by_key(hoisted, party.keys.rotation(hoisted.set, g));
    const ExtendedPair slow =
        slow_multiply_by_key(*party.parameters, c.parts[1], level, party.keys.rotation(hoisted.set, g));
    EXPECT_TRUE(testing::equal_bits(plain.c0, slow.c0));
    EXPECT_TRUE(testing::equal_bits(plain.c1, slow.c1));
  }
}

TEST_P(KeySwitching, ThreadsDoNotChangeTheBits) {
  const Party party(spec(GetParam()), {9});
  const Ciphertext c =
      party.encrypt(testing::random_slots(party.parameters->slots(), 6), party.parameters->max_level(), 0x1p20);
  const int before = threads();
  set_threads(1);
  const Ciphertext one = party.evaluator.rotate(c, 9);
  set_threads(4);
  const Ciphertext four = party.evaluator.rotate(c, 9);
  set_threads(before);
  EXPECT_TRUE(testing::equal_bits(one, four));
}

INSTANTIATE_TEST_SUITE_P(Specs, KeySwitching, ::testing::Range(0, 4));

/// Random levels of one or two primes and key sets whose special modulus covers their digits.
ParameterSpec random_spec() {
  ParameterSpec spec;
  spec.log_n = *rc::gen::inRange(5, 9);
  spec.security = Security::kNone;
  const int levels = *rc::gen::inRange(1, 6);
  for (int i = 0; i < levels; ++i) {
    spec.levels.push_back(
        *rc::gen::container<std::vector<int>>(*rc::gen::inRange<std::size_t>(1, 3), rc::gen::inRange(26, 31)));
  }
  const int digit = *rc::gen::inRange(1, 5);
  spec.special_bits.assign(static_cast<std::size_t>(digit), 30);
  const int lower = *rc::gen::inRange(0, levels);
  const int small = *rc::gen::inRange(1, digit + 1);
  if (lower < levels - 1) spec.key_sets.push_back({lower, small, small});
  spec.key_sets.push_back({levels - 1, digit, digit});
  return spec;
}

RC_GTEST_PROP(KeySwitchingProperty, RotatesSlotsWithinTheNoiseBound, ()) {
  const ParameterSpec spec = random_spec();
  const ParametersPtr parameters = Parameters::create(spec);
  const int slots = static_cast<int>(parameters->slots());
  const int steps = *rc::gen::inRange(-slots, slots);
  const Party party(parameters, {steps});
  const Noise noise(party);
  const int level = *rc::gen::inRange(0, parameters->max_level() + 1);
  const Slots values = testing::random_slots(parameters->slots(), *rc::gen::arbitrary<unsigned>());
  const double scale = 0x1p20;
  const Ciphertext c = party.encrypt(values, level, scale);

  Slots rotated(values.size()), conjugated(values.size());
  for (int i = 0; i < slots; ++i) {
    rotated[static_cast<std::size_t>(i)] = values[static_cast<std::size_t>((i + steps + slots) % slots)];
    conjugated[static_cast<std::size_t>(i)] = std::conj(values[static_cast<std::size_t>(i)]);
  }
  const double bound = noise.fresh_slots(scale) + noise.key_switch_slots(level, scale);
  RC_ASSERT(testing::distance(party.decrypt(party.evaluator.rotate(c, steps)), rotated) < bound);
  RC_ASSERT(testing::distance(party.decrypt(party.evaluator.conjugate(c)), conjugated) < bound);
}

ErrorKind kind_of(const std::function<void()>& body, std::string* message = nullptr) {
  try {
    body();
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::kInternal;
}

TEST(KeySwitchingErrors, AMissingKeyIsNamed) {
  const Party party(testing::mixed_spec(11), {1});
  const Ciphertext c = party.encrypt(testing::random_slots(party.parameters->slots(), 1), 4, 0x1p20);
  std::string message;
  EXPECT_EQ(kind_of([&] { party.evaluator.rotate(c, 2); }, &message), ErrorKind::kMismatch);
  EXPECT_NE(message.find("2"), std::string::npos) << message;
  const Evaluator without(party.parameters, nullptr);
  EXPECT_EQ(kind_of([&] { without.rotate(c, 1); }), ErrorKind::kMismatch);
  Ciphertext product = without.multiply(c, c);
  EXPECT_EQ(kind_of([&] { without.relinearize_inplace(product); }), ErrorKind::kMismatch);
  EXPECT_EQ(kind_of([&] { party.evaluator.rotate(product, 1); }), ErrorKind::kInvalidArgument);
}

TEST_P(KeySwitching, RandomHalvesMadeOnTheFlyGiveTheSameBits) {
  Party party(spec(GetParam()), {3});
  for (int level = 0; level <= party.parameters->max_level(); ++level) {
    const Ciphertext c = party.encrypt(testing::random_slots(party.parameters->slots(), 8), level, 0x1p20);
    const Ciphertext expected = party.evaluator.rotate(c, 3);
    EvaluationKeys bare;
    bare.parameters_id = party.keys.parameters_id;
    for (const auto& [id, key] : party.keys.galois) {
      SwitchingKey copy{.set = key.set, .b = {}, .a = {}, .seed = key.seed, .rows = nullptr};
      for (const ring::Poly& digit : key.b) copy.b.push_back(digit.clone());
      bare.galois.emplace(id, std::move(copy));
    }
    EXPECT_TRUE(testing::equal_bits(Evaluator(party.parameters, &bare).rotate(c, 3), expected)) << "level " << level;
  }
}

TEST(KeySwitchingErrors, KeysOfOtherParametersOrHalfExpandedAreRefused) {
  Party party(testing::mixed_spec(11), {1});
  const Party other(testing::chain_spec(11, 3), {1});
  EXPECT_EQ(kind_of([&] { Evaluator(other.parameters, &party.keys); }), ErrorKind::kMismatch);
  const Ciphertext c = party.encrypt(testing::random_slots(party.parameters->slots(), 1), 4, 0x1p20);
  EXPECT_EQ(kind_of([&] { other.evaluator.rotate(c, 1); }), ErrorKind::kMismatch);
  for (auto& [id, key] : party.keys.galois) key.a.pop_back();
  EXPECT_EQ(kind_of([&] { party.evaluator.rotate(c, 1); }), ErrorKind::kMismatch);
}

TEST(KeySwitchingErrors, HoistedDigitsOfAnotherLevelAreRefused) {
  const Party party(testing::mixed_spec(11), {1});
  const Ciphertext c = party.encrypt(testing::random_slots(party.parameters->slots(), 1), 4, 0x1p20);
  Ciphertext lower = c.clone();
  party.evaluator.drop_to_level_inplace(lower, 3);
  const Hoisted hoisted = party.evaluator.hoist(c.parts[1], 4);
  EXPECT_EQ(kind_of([&] { party.evaluator.rotate(lower, hoisted, 1); }), ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace hearth::ckks
