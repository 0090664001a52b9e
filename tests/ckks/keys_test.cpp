#include "ckks/keys.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "ckks/crt.h"
#include "ckks/secret/key_generator.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using testing::chain_spec;
using testing::mixed_spec;

constexpr ring::Seed kSeed = {1, 2, 3};

ring::Poly out_of_montgomery(const Parameters& p, const ring::Poly& a) {
  ring::Poly out = a.clone();
  for (std::size_t limb = 0; limb < out.limbs(); ++limb) {
    const ring::Modulus& m = p.ring().modulus(out.basis()[limb]);
    for (std::size_t i = 0; i < out.size(); ++i) out.limb(limb)[i] = montgomery_reduce(out.limb(limb)[i], m);
  }
  return out;
}

/// P g_d by long division-free definition: P times 1 or 0, prime by prime.
std::vector<std::uint32_t> gadget(const Parameters& p, int set, std::size_t digit, const ring::Basis& basis) {
  const int width = p.spec().key_sets[static_cast<std::size_t>(set)].digit_primes;
  std::vector<std::uint32_t> out;
  for (const int prime : basis) {
    const ring::Modulus& m = p.ring().modulus(prime);
    const bool special = prime >= p.q_count(p.max_level());
    std::uint32_t factor = !special && static_cast<std::size_t>(prime / width) == digit ? 1 : 0;
    for (const int q : p.p_basis(set)) factor = mul_mod(factor, p.ring().modulus(q).q % m.q, m);
    out.push_back(factor);
  }
  return out;
}

/// b_d + a_d to - P g_d from, which should be the error alone.
std::vector<double> key_error(const Parameters& p, const SwitchingKey& key, std::size_t digit, const ring::Poly& from,
                              const ring::Poly& to) {
  const ring::Ring& ring = p.ring();
  ring::Poly e = out_of_montgomery(p, key.b[digit]);
  ring::mul_add(ring, e, out_of_montgomery(p, key.a[digit]), to);
  ring::Poly message = from.clone();
  ring::mul_scalars(ring, message, gadget(p, key.set, digit, from.basis()));
  ring::sub(ring, e, message);
  ring::to_coefficient(ring, e);
  std::vector<double> out(e.size());
  reconstruct_centred(ring, e, out);
  return out;
}

void expect_small(const std::vector<double>& e) {
  double sum = 0;
  for (const double x : e) {
    ASSERT_LE(std::abs(x), 19);
    sum += x * x;
  }
  const auto count = static_cast<double>(e.size());
  EXPECT_NEAR(std::sqrt(sum / count), ring::kGaussianSigma, 7 * ring::kGaussianSigma / std::sqrt(2 * count));
}

/// Basis of the keys of a set.
ring::Basis key_basis(const Parameters& p, int set) {
  return p.qp_basis(p.spec().key_sets[static_cast<std::size_t>(set)].max_level, set);
}

class KeysOf : public ::testing::TestWithParam<ParameterSpec> {};

TEST_P(KeysOf, RelinearisationDigitsHideTheSquare) {
  const auto p = Parameters::create(GetParam());
  const SecretKey secret = generate_secret_key(p);
  const KeyGenerator generator(secret, kSeed);
  for (int set = 0; set < p->key_set_count(); ++set) {
    const SwitchingKey key = generator.relinearisation_key(set);
    const ring::Poly s = secret.on(key_basis(*p, set));
    ring::Poly square;
    ring::mul(p->ring(), square, s, s);
    const int level = p->spec().key_sets[static_cast<std::size_t>(set)].max_level;
    ASSERT_EQ(key.b.size(), p->digits(set, level).size());
    for (std::size_t d = 0; d < key.b.size(); ++d) expect_small(key_error(*p, key, d, square, s));
  }
}

TEST_P(KeysOf, GaloisDigitsHideTheSecretUnderItsInverseImage) {
  const auto p = Parameters::create(GetParam());
  const SecretKey secret = generate_secret_key(p);
  const KeyGenerator generator(secret, kSeed);
  const int log_n = p->log_n();
  for (int set = 0; set < p->key_set_count(); ++set) {
    for (const std::uint32_t g : {galois_element(1, log_n), galois_element(-5, log_n), galois_conjugation(log_n)}) {
      const SwitchingKey key = generator.galois_key(set, g);
      const ring::Poly s = secret.on(key_basis(*p, set));
      std::uint32_t inverse = 1;  // found by trying, unlike in the code
      while (std::uint64_t{inverse} * g % (2 * p->n()) != 1) inverse += 2;
      const ring::Poly image = ring::automorphism(p->ring(), s, inverse);
      for (std::size_t d = 0; d < key.b.size(); ++d) expect_small(key_error(*p, key, d, s, image));
    }
  }
}

ParameterSpec sparse_spec() {
  ParameterSpec spec = chain_spec(9, 3, 1);
  spec.secret = SecretKind::kSparseTernary;
  spec.hamming_weight = 32;
  return spec;
}

INSTANTIATE_TEST_SUITE_P(Specs, KeysOf,
                         ::testing::Values(chain_spec(10, 5, 2), chain_spec(8, 1, 1), mixed_spec(9), sparse_spec()));

TEST(Keys, UniformHalfIsTheExpansionOfTheSeed) {
  const auto p = Parameters::create(mixed_spec(8));
  const SecretKey secret = generate_secret_key(p);
  SwitchingKey key = KeyGenerator(secret, kSeed).galois_key(1, 5);
  for (std::size_t d = 0; d < key.a.size(); ++d) {
    const ring::Poly expected =
        ring::sample_uniform(p->ring(), p->qp_basis(4, 1), ring::Domain::kNtt, key.seed, 1000 * d);
    for (std::size_t limb = 0; limb < expected.limbs(); ++limb) {
      EXPECT_TRUE(std::equal(expected.limb(limb), expected.limb(limb) + expected.size(), key.a[d].limb(limb)));
    }
  }
  const std::size_t full = key.bytes();
  key.a.clear();
  EXPECT_EQ(2 * key.bytes(), full);
  EXPECT_EQ(key.bytes(), 3 * 11 * 256 * 4u);  // digits, primes, coefficients, bytes
}

std::vector<std::uint32_t> words(const ring::Poly& a) { return {a.limb(0), a.limb(0) + a.size() * a.limbs()}; }

TEST(Keys, AreReproducibleFromSecretAndSeed) {
  const auto p = Parameters::create(chain_spec(8, 3));
  const SecretKey secret = generate_secret_key(p), other = generate_secret_key(p);
  const KeyGenerator a(secret, kSeed), b(secret, kSeed), c(secret, ring::Seed{9}), d(other, kSeed);
  EXPECT_EQ(words(a.galois_key(0, 5).b[1]), words(b.galois_key(0, 5).b[1]));
  EXPECT_EQ(words(a.public_key().b), words(b.public_key().b));
  EXPECT_NE(a.galois_key(0, 5).seed, c.galois_key(0, 5).seed);
  EXPECT_NE(a.galois_key(0, 5).seed, d.galois_key(0, 5).seed) << "one seed, two secrets: the keys would leak both";
}

// Two keys with the same error, or digits of one key with the same uniform half, would reveal the secret.
TEST(Keys, ShareNoStream) {
  const auto p = Parameters::create(mixed_spec(8));
  const SecretKey secret = generate_secret_key(p);
  const KeyGenerator generator(secret, kSeed);
  std::set<ring::Seed> seeds = {generator.public_key().seed};
  std::set<std::vector<double>> errors;
  std::size_t keys = 1, digits = 0;
  for (int set = 0; set < 2; ++set) {
    const ring::Poly s = secret.on(key_basis(*p, set));
    ring::Poly square;
    ring::mul(p->ring(), square, s, s);
    for (const std::uint32_t g : {0u, 3u, 5u, 511u}) {
      const SwitchingKey key = g == 0 ? generator.relinearisation_key(set) : generator.galois_key(set, g);
      seeds.insert(key.seed);
      ++keys;
      std::uint32_t inverse = 1;
      while (g != 0 && inverse * g % 512 != 1) inverse += 2;
      const ring::Poly to = ring::automorphism(p->ring(), s, inverse);
      for (std::size_t d = 0; d < key.b.size(); ++d, ++digits) {
        errors.insert(key_error(*p, key, d, g == 0 ? square : s, to));
        for (std::size_t other = 0; other < d; ++other) EXPECT_NE(words(key.a[d]), words(key.a[other]));
      }
    }
  }
  EXPECT_EQ(seeds.size(), keys);
  EXPECT_EQ(errors.size(), digits);
}

TEST(Keys, RequestsYieldExactlyWhatTheyName) {
  const auto p = Parameters::create(mixed_spec(8));
  const SecretKey secret = generate_secret_key(p);
  const KeyGenerator generator(secret, kSeed);
  const std::uint32_t five = galois_element(1, 8), back = galois_element(-3, 8);
  EvaluationKeys keys = generator.evaluation_keys({{1}, {{0, five}, {1, five}, {1, back}}}, false);
  EXPECT_EQ(keys.parameters_id, p->id());
  EXPECT_EQ(keys.relinearisation.size(), 1u);
  EXPECT_EQ(keys.galois.size(), 3u);
  EXPECT_EQ(keys.bytes(), (3 * 11 + 3 * 4 + 2 * 3 * 11) * 256 * 4u);
  SwitchingKey& key = keys.galois.at({1, back});
  EXPECT_TRUE(key.a.empty());
  key.expand(*p);
  EXPECT_EQ(words(key.a[2]), words(generator.galois_key(1, back).a[2]));
  EXPECT_EQ(words(key.b[2]), words(generator.galois_key(1, back).b[2]));
  EXPECT_EQ(&keys.rotation(1, back), &key);
  EXPECT_EQ(keys.relin(1).set, 1);
  EXPECT_FALSE(generator.evaluation_keys({{1}, {}}).relin(1).a.empty());
}

TEST(Keys, MissingKeysAreNamed) {
  const auto p = Parameters::create(mixed_spec(8));
  const SecretKey secret = generate_secret_key(p);
  const EvaluationKeys keys = KeyGenerator(secret, kSeed).evaluation_keys({{}, {{0, galois_element(1, 8)}}});
  const auto message = [](auto&& action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message([&] { keys.rotation(1, galois_element(77, 8)); }).find("rotations by 77"), std::string::npos);
  EXPECT_NE(message([&] { keys.rotation(1, galois_element(77, 8)); }).find("key set 1"), std::string::npos);
  EXPECT_NE(message([&] { keys.rotation(0, galois_conjugation(8)); }).find("conjugation"), std::string::npos);
  EXPECT_NE(message([&] { keys.relin(1); }).find("key set 1"), std::string::npos);
  EXPECT_NE(message([&] { EvaluationKeys().rotation(0, 25); }).find("25"), std::string::npos);
}

TEST(Keys, RefuseNonsense) {
  const auto p = Parameters::create(mixed_spec(8));
  const SecretKey secret = generate_secret_key(p);
  const KeyGenerator generator(secret, kSeed);
  EXPECT_THROW(generator.relinearisation_key(2), Error);
  EXPECT_THROW(generator.galois_key(-1, 5), Error);
  EXPECT_THROW(generator.galois_key(0, 4), Error);
  EXPECT_THROW(generator.galois_key(0, 1), Error);
  EXPECT_THROW(generator.galois_key(0, 513), Error);
}

}  // namespace
}  // namespace hearth::ckks
