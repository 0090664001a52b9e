#include "ckks/parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <set>

#include "base/error.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using testing::chain_spec;
using testing::mixed_spec;

std::vector<std::uint32_t> primes_of(const Parameters& p) {
  std::vector<std::uint32_t> out;
  for (int i = 0; i < p.ring().prime_count(); ++i) out.push_back(p.ring().modulus(i).q);
  return out;
}

TEST(Parameters, PrimesAreDistinctFriendlyAndOfTheirSize) {
  const ParameterSpec spec = mixed_spec(10);
  const auto p = Parameters::create(spec);
  std::vector<int> bits;
  for (const auto& level : spec.levels) bits.insert(bits.end(), level.begin(), level.end());
  bits.insert(bits.end(), spec.special_bits.begin(), spec.special_bits.end());
  const std::vector<std::uint32_t> primes = primes_of(*p);
  ASSERT_EQ(primes.size(), bits.size());
  for (std::size_t i = 0; i < primes.size(); ++i) {
    EXPECT_TRUE(ring::is_prime(primes[i]));
    EXPECT_EQ(primes[i] % 2048, 1u);
    EXPECT_EQ(std::bit_width(primes[i]), static_cast<unsigned>(bits[i]));
  }
  EXPECT_EQ(std::set<std::uint32_t>(primes.begin(), primes.end()).size(), primes.size());
}

TEST(Parameters, SpecialPrimesTakeTheLargestThenTheLevelsInOrder) {
  const auto p = Parameters::create(chain_spec(10, 4, 2));
  const std::vector<std::uint32_t> largest = ring::ntt_primes(10, 30, 6);
  EXPECT_EQ(primes_of(*p),
            (std::vector<std::uint32_t>{largest[2], largest[3], largest[4], largest[5], largest[0], largest[1]}));
}

TEST(Parameters, PrimesFollowFromTheSpecAlone) {
  const auto a = Parameters::create(mixed_spec(9)), b = Parameters::create(mixed_spec(9));
  EXPECT_EQ(primes_of(*a), primes_of(*b));
  EXPECT_EQ(a->id(), b->id());
}

TEST(Parameters, EveryChoiceChangesTheFingerprint) {
  const ParameterSpec base = mixed_spec(9);
  std::vector<ParameterSpec> variants(9, base);
  variants[1].log_n = 10;
  variants[2].levels[1] = {29};
  variants[3].levels.push_back({30});
  variants[3].key_sets[1].max_level = 5;
  variants[4].special_bits.push_back(30);
  variants[5].key_sets[0].max_level = 2;
  variants[6].key_sets[1].digit_primes = 2;
  variants[7].secret = SecretKind::kSparseTernary;
  variants[7].hamming_weight = 64;
  variants[8] = variants[7];
  variants[8].hamming_weight = 65;
  std::set<std::uint64_t> ids;
  for (const ParameterSpec& spec : variants) ids.insert(Parameters::create(spec)->id());
  EXPECT_EQ(ids.size(), variants.size());
}

TEST(Parameters, BasesListLevelsThenSpecialPrimes) {
  const auto p = Parameters::create(mixed_spec(9));  // 2, 1, 2, 2, 1 primes and 3 special
  EXPECT_EQ(p->max_level(), 4);
  EXPECT_EQ(p->q_count(0), 2);
  EXPECT_EQ(p->q_count(3), 7);
  EXPECT_EQ(p->q_basis(1), (ring::Basis{0, 1, 2}));
  EXPECT_EQ(p->p_basis(0), (ring::Basis{8}));
  EXPECT_EQ(p->p_basis(1), (ring::Basis{8, 9, 10}));
  EXPECT_EQ(p->qp_basis(1, 0), (ring::Basis{0, 1, 2, 8}));
}

TEST(Parameters, LevelModulusIsTheProductOfItsPrimes) {
  const auto p = Parameters::create(mixed_spec(9));
  const double q5 = p->ring().modulus(5).q, q6 = p->ring().modulus(6).q;
  EXPECT_EQ(p->level_modulus(3), q5 * q6);
  EXPECT_EQ(p->level_modulus(4), p->ring().modulus(7).q);
  double log_q = 0;
  for (int i = 0; i < 7; ++i) log_q += std::log2(p->ring().modulus(i).q);
  EXPECT_NEAR(p->log_q(3), log_q, 1e-9);
}

TEST(Parameters, ShallowLevelsUseTheSmallestKeySetThatCoversThem) {
  const auto p = Parameters::create(mixed_spec(9));  // sets up to level 1 and 4
  const std::vector<int> expected = {0, 0, 1, 1, 1};
  for (int level = 0; level <= 4; ++level) EXPECT_EQ(p->key_set_for(level), expected[static_cast<std::size_t>(level)]);
}

TEST(Parameters, DigitsAreCutAtTheLevel) {
  const auto p = Parameters::create(mixed_spec(9));
  EXPECT_EQ(p->digits(0, 1), (std::vector<ring::Basis>{{0}, {1}, {2}}));
  EXPECT_EQ(p->digits(1, 4), (std::vector<ring::Basis>{{0, 1, 2}, {3, 4, 5}, {6, 7}}));
  EXPECT_EQ(p->digits(1, 2), (std::vector<ring::Basis>{{0, 1, 2}, {3, 4}}));
  EXPECT_EQ(p->digits(1, 1), (std::vector<ring::Basis>{{0, 1, 2}}));
}

TEST(Parameters, ConvertersCoverTheRestOfTheBasis) {
  const auto p = Parameters::create(mixed_spec(9));
  const ring::BaseConverter& converter = p->mod_up(2, 1, 1);
  EXPECT_EQ(converter.from(), (ring::Basis{3, 4}));
  EXPECT_EQ(converter.to(), (ring::Basis{0, 1, 2, 8, 9, 10}));
  EXPECT_EQ(&converter, &p->mod_up(2, 1, 1)) << "made once";
  EXPECT_EQ(&p->rescaler(3), &p->rescaler(3));
  EXPECT_EQ(&p->mod_down(3, 1), &p->mod_down(3, 1));
  EXPECT_THROW(p->rescaler(0), Error);
  EXPECT_THROW(p->mod_up(2, 1, 2), Error);
}

TEST(Parameters, RescalerDividesByBothPrimesOfALevel) {
  const auto p = Parameters::create(mixed_spec(6));
  const std::uint64_t divisor = std::uint64_t{p->ring().modulus(5).q} * p->ring().modulus(6).q;
  const std::uint64_t value = 37 * divisor + divisor / 3;  // rounds to 37
  ring::Poly a = ring::Poly::zero(p->n(), p->q_basis(3), ring::Domain::kNtt);
  for (std::size_t i = 0; i < a.limbs(); ++i) {
    const auto residue = static_cast<std::uint32_t>(value % p->ring().modulus(a.basis()[i]).q);
    std::fill_n(a.limb(i), a.size(), residue);  // the constant polynomial, in NTT domain
  }
  const ring::Poly out = p->rescaler(3).divide(a);
  EXPECT_EQ(out.basis(), p->q_basis(2));
  for (std::size_t i = 0; i < out.limbs(); ++i) EXPECT_EQ(out.limb(i)[0], 37u);
}

TEST(Parameters, RefusesShapesThatMakeNoSense) {
  const std::vector<std::pair<const char*, std::function<void(ParameterSpec&)>>> damages = {
      {"degree", [](ParameterSpec& s) { s.log_n = 3; }},
      {"degree", [](ParameterSpec& s) { s.log_n = 18; }},
      {"degree", [](ParameterSpec& s) { s.security = Security::kBits128; }},
      {"level 0", [](ParameterSpec& s) { s.levels.clear(); }},
      {"level 1 has 0", [](ParameterSpec& s) { s.levels[1].clear(); }},
      {"19 bits", [](ParameterSpec& s) { s.levels[1] = {19}; }},
      {"31 bits", [](ParameterSpec& s) { s.special_bits[0] = 31; }},
      {"more than 64", [](ParameterSpec& s) { s.levels.assign(62, {30}); }},
      {"key sets, got 0", [](ParameterSpec& s) { s.key_sets.clear(); }},
      {"the set before", [](ParameterSpec& s) { std::swap(s.key_sets[0], s.key_sets[1]); }},
      {"top level", [](ParameterSpec& s) { s.key_sets.pop_back(); }},
      {"at most 4", [](ParameterSpec& s) { s.key_sets[1].max_level = 5; }},
      {"primes a digit", [](ParameterSpec& s) { s.key_sets[0].digit_primes = 0; }},
      {"special primes", [](ParameterSpec& s) { s.key_sets[1].special_primes = 4; }},
      {"drown", [](ParameterSpec& s) { s.key_sets[1].special_primes = 2; }},
      {"Hamming", [](ParameterSpec& s) { s.hamming_weight = 7; }},
      {"Hamming", [](ParameterSpec& s) { s.secret = SecretKind::kSparseTernary; }},
      {"Hamming",
       [](ParameterSpec& s) {
         s.secret = SecretKind::kSparseTernary;
         s.hamming_weight = 513;
       }},
  };
  for (const auto& [word, damage] : damages) {
    ParameterSpec spec = mixed_spec(9);
    damage(spec);
    try {
      Parameters::create(spec);
      ADD_FAILURE() << "accepted a spec that should fail with: " << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument) << error.what();
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  }
}

TEST(Parameters, SmallPrimesMustLeaveRoomForTheRootsOfUnity) {
  ParameterSpec spec = chain_spec(17, 2, 1);
  spec.levels[1] = {20};
  EXPECT_NO_THROW(Parameters::create(chain_spec(17, 2, 1)));
  spec.levels[1] = {18};
  EXPECT_THROW(Parameters::create(spec), Error);
}

TEST(Parameters, LevelsAndSetsOutOfRangeAreRefused) {
  const auto p = Parameters::create(mixed_spec(9));
  EXPECT_THROW(p->q_basis(-1), Error);
  EXPECT_THROW(p->q_basis(5), Error);
  EXPECT_THROW(p->p_basis(2), Error);
  EXPECT_THROW(p->digits(0, 9), Error);
  EXPECT_THROW(p->key_set_for(5), Error);
}

TEST(Galois, ElementsArePowersOfFive) {
  for (const int log_n : {4, 11, 17}) {
    const std::uint64_t order = std::uint64_t{2} << log_n;
    const int slots = 1 << (log_n - 1);
    std::uint64_t power = 1;
    for (int steps = 0; steps < std::min(slots, 100); ++steps, power = power * 5 % order) {
      EXPECT_EQ(galois_element(steps, log_n), power);
      EXPECT_EQ(galois_element(steps - slots, log_n), power) << "a full turn changes nothing";
    }
    EXPECT_EQ(galois_element(1, log_n) * std::uint64_t{galois_element(-1, log_n)} % order, 1u);
    EXPECT_EQ(galois_conjugation(log_n), order - 1);
  }
}

}  // namespace
}  // namespace hearth::ckks
