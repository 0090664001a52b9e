// Linear maps at the sizes that networks use: n = 2^16, four primes.
#include <gtest/gtest.h>

#include "ckks/linear_map.h"
#include "tests/ckks/maps.h"

namespace hearth::ckks {
namespace {

using testing::Noise;
using testing::Party;
using testing::Slots;

constexpr double kScale = 0x1p28, kPlainScale = 0x1p28;

ParameterSpec spec_of(int levels, int digit) {
  ParameterSpec spec = testing::chain_spec(16, levels, digit);
  spec.secret = SecretKind::kSparseTernary;
  spec.hamming_weight = 512;
  spec.security = Security::kBits128;
  return spec;
}

void check(const LinearMap& map, const ParameterSpec& spec) {
  const int level = static_cast<int>(spec.levels.size()) - 1;
  const BsgsPlan plan = plan_bsgs(map, 1 << 15);
  const Party party(spec, rotations(plan));
  const PreparedLinearMap prepared(party.encoder(), *party.parameters, map, plan, level, kPlainScale);
  std::vector<Slots> in;
  std::vector<Ciphertext> encrypted;
  for (int i = 0; i < map.inputs; ++i) {
    in.push_back(testing::random_slots(party.parameters->slots(), static_cast<unsigned>(i)));
    encrypted.push_back(party.encrypt(in.back(), level, kScale));
  }
  const std::vector<Slots> expected = testing::apply_clear(map, in);
  const std::vector<Ciphertext> out = prepared.apply(party.evaluator, encrypted);
  const double bound = testing::map_error_bound(Noise(party), map, plan, level, kScale, kPlainScale);
  for (std::size_t o = 0; o < out.size(); ++o) EXPECT_LT(testing::distance(party.decrypt(out[o]), expected[o]), bound);
}

TEST(LinearMapSlow, AConvolutionOnALayoutOfEightChannels) {
  std::vector<int> rotations;
  for (const int dy : {-512, 0, 512}) {
    for (const int dx : {-8, 0, 8}) rotations.push_back((dy + dx + (1 << 15)) % (1 << 15));
  }
  for (const int channel : {3, 5, (1 << 15) - 2}) rotations.push_back(channel);
  check(testing::random_map(2, 3, rotations, 8, 1), spec_of(4, 2));
}

/// So many inputs that their rotations are made in several groups.
TEST(LinearMapSlow, MoreInputsThanFitWorkingMemoryAtOnce) {
  check(testing::random_map(45, 2, {0, 1, 2, 3, 1024}, 16, 2), spec_of(2, 1));
}

TEST(LinearMapSlow, DenseDiagonals) {
  std::vector<int> rotations;
  for (int r = 0; r < 64; ++r) rotations.push_back(r * 512);
  check(testing::random_map(1, 1, rotations, 1 << 15, 3), spec_of(4, 2));
}

}  // namespace
}  // namespace hearth::ckks
