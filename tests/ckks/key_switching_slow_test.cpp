// The sizes that networks use: n = 2^16.
#include <gtest/gtest.h>

#include "ckks/key_switching.h"
#include "tests/ckks/party.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using testing::Noise;
using testing::Party;

/// 24 primes at 128-bit security, a few large digits at the top and small keys for the four lowest levels.
ParameterSpec large_spec() {
  ParameterSpec spec;
  spec.log_n = 16;
  spec.levels.assign(24, {30});
  spec.special_bits.assign(12, 30);
  spec.key_sets = {{3, 2, 2}, {23, 12, 12}};
  spec.secret = SecretKind::kSparseTernary;
  spec.hamming_weight = 512;
  return spec;
}

TEST(KeySwitchingSlow, RotationsAndTheirNoiseAtFullSize) {
  const Party party(large_spec(), {1, -3});
  EXPECT_TRUE(party.parameters->security().at_least_128);
  const Noise noise(party);
  const ring::Ring& ring = party.parameters->ring();
  const double scale = 0x1p25;
  const testing::Slots values = testing::random_slots(party.parameters->slots(), 1);
  for (const int level : {0, 2, 3, 4, 11, 12, 17, 23}) {
    const Ciphertext c = party.encrypt(values, level, scale);
    const Ciphertext rotated = party.evaluator.rotate(c, 1);
    ring::Poly added = decrypt(party.secret, rotated).poly;
    ring::sub(ring, added, ring::automorphism(ring, decrypt(party.secret, c).poly, galois_element(1, 16)));
    const double measured = testing::standard_deviation(testing::small_coefficients(ring, added));
    EXPECT_LT(measured, 1.1 * noise.key_switch(level)) << "level " << level;
    EXPECT_GT(measured, 0.9 * noise.key_switch(level)) << "level " << level;

    testing::Slots expected(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) expected[i] = values[(i + values.size() - 3) % values.size()];
    EXPECT_LT(testing::distance(party.decrypt(party.evaluator.rotate(c, -3)), expected),
              noise.fresh_slots(scale) + noise.key_switch_slots(level, scale));
    const std::vector<int> steps{1, -3};
    const std::vector<Ciphertext> hoisted = party.evaluator.rotate_hoisted(c, steps);
    EXPECT_TRUE(testing::equal_bits(hoisted[0], rotated)) << "level " << level;
  }
}

TEST(EvaluatorSlow, AChainOfSquaringsAtFullSize) {
  const Party party(large_spec());
  const Noise noise(party);
  const double scale = 0x1p30;
  testing::Slots values = testing::random_slots(party.parameters->slots(), 2, 0.7);
  Ciphertext c = party.encrypt(values, 23, scale);
  // Errors of a square: twice the value (below 1) times the error, and what relinearising and rescaling add.
  double bound = noise.fresh_slots(scale);
  for (int i = 0; i < 5; ++i) {
    const double step = noise.key_switch_slots(c.level, c.scale * c.scale);
    c = party.evaluator.square(c);
    party.evaluator.relinearize_inplace(c);
    party.evaluator.rescale_inplace(c);
    for (auto& value : values) value *= value;
    bound = 2 * bound + bound * bound + step + noise.rounding_slots(c.scale);
    ASSERT_LT(testing::distance(party.decrypt(c), values), bound) << "square " << i;
  }
  EXPECT_LT(bound, 0x1p-6);
}

}  // namespace
}  // namespace hearth::ckks
