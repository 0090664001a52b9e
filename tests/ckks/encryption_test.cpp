#include "ckks/secret/encryption.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "base/error.h"
#include "ckks/crt.h"
#include "ckks/secret/key_generator.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;
using testing::chain_spec;
using testing::distance;
using testing::mixed_spec;
using testing::random_slots;
using testing::repeat;

constexpr double kScale = 0x1p30;

struct Client {
  explicit Client(const ParameterSpec& spec)
      : parameters(Parameters::create(spec)),
        encoder(parameters),
        secret(generate_secret_key(parameters)),
        public_key(KeyGenerator(secret, ring::random_seed()).public_key()) {}

  Plaintext encode(const std::vector<Complex>& values, int level) const {
    return encoder.encode(std::span<const Complex>(values), kScale, parameters->q_basis(level), false);
  }
  Ciphertext encrypt_public(const Plaintext& plain, int level) const {
    return ckks::encrypt(*parameters, public_key, plain, level);
  }
  Ciphertext encrypt_secret(const Plaintext& plain, int level) const {
    return expand(*parameters, encrypt_seeded(secret, plain, level));
  }
  double weight() const {
    double sum = 0;
    for (const int c : secret.coefficients()) sum += c * c;
    return sum;
  }

  ParametersPtr parameters;
  Encoder encoder;
  SecretKey secret;
  PublicKey public_key;
};

/// Coefficients of a polynomial in NTT domain, centred.
std::vector<double> centred(const Parameters& p, ring::Poly poly) {
  ring::to_coefficient(p.ring(), poly);
  std::vector<double> out(poly.size());
  reconstruct_centred(p.ring(), poly, out);
  return out;
}

/// Decryption minus the dense plaintext that was encrypted: the noise.
std::vector<double> noise(const Client& client, const Ciphertext& c, const Plaintext& plain) {
  ring::Poly difference = std::move(decrypt(client.secret, c).poly);
  ring::sub(client.parameters->ring(), difference, plain.poly);
  return centred(*client.parameters, std::move(difference));
}

double rms(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

double largest(const std::vector<double>& values) {
  double out = 0;
  for (const double v : values) out = std::max(out, std::abs(v));
  return out;
}

/// Standard deviation of e v + e0 + e1 s, with v uniform ternary and `weight` secret coefficients not zero.
double public_noise(std::size_t n, double weight) {
  return ring::kGaussianSigma * std::sqrt(2.0 / 3 * static_cast<double>(n) + 1 + weight);
}

std::vector<ParameterSpec> specs() {
  ParameterSpec sparse = chain_spec(12, 2, 1);
  sparse.secret = SecretKind::kSparseTernary;
  sparse.hamming_weight = 64;
  return {chain_spec(12, 3), chain_spec(13, 1, 1), mixed_spec(11), sparse};
}

// e v has the embedding e_j v_j at slot j, products of two complex Gaussians: |e_j v_j|^2 has mean 1 and variance 3 in
// its unit, so the rms over n/2 slots strays by sqrt(6/n)/2 of itself. Eight times that does not happen; nor do
// coefficients, sums of n terms, beyond 7 deviations.
TEST(Encryption, NoiseOfPublicKeysIsWhatTheorySays) {
  for (const ParameterSpec& spec : specs()) {
    const Client client(spec);
    for (int level = 0; level <= client.parameters->max_level(); ++level) {
      const Plaintext plain = client.encode(random_slots(client.parameters->slots(), 1), level);
      const std::vector<double> e = noise(client, client.encrypt_public(plain, level), plain);
      const double expected = public_noise(client.parameters->n(), client.weight());
      EXPECT_NEAR(rms(e), expected, 4 * std::sqrt(6.0 / static_cast<double>(e.size())) * expected) << "level " << level;
      EXPECT_LT(largest(e), 7 * expected);
    }
  }
}

TEST(Encryption, NoiseOfSeededCiphertextsIsTheErrorAlone) {
  for (const ParameterSpec& spec : specs()) {
    const Client client(spec);
    for (int level = 0; level <= client.parameters->max_level(); ++level) {
      const Plaintext plain = client.encode(random_slots(client.parameters->slots(), 2), level);
      const std::vector<double> e = noise(client, client.encrypt_secret(plain, level), plain);
      const double tolerance = 7 / std::sqrt(2 * static_cast<double>(e.size()));
      EXPECT_NEAR(rms(e), ring::kGaussianSigma, tolerance * ring::kGaussianSigma) << "level " << level;
      EXPECT_LE(largest(e), 19);
    }
  }
}

TEST(Encryption, PublicKeyIsAnEncryptionOfZero) {
  const Client client(mixed_spec(11));
  const Parameters& p = *client.parameters;
  Ciphertext key;
  key.parts.push_back(client.public_key.b.clone());
  key.parts.push_back(client.public_key.a.clone());
  key.level = p.max_level();
  key.parameters_id = p.id();
  const std::vector<double> e = centred(p, std::move(decrypt(client.secret, key).poly));
  EXPECT_LE(largest(e), 19);
  EXPECT_NEAR(rms(e), ring::kGaussianSigma, 0.3);
}

/// Standard deviation of a slot when each coefficient has the given one and a rounding error.
double slot_deviation(const Parameters& p, double coefficient) {
  return std::sqrt((coefficient * coefficient + 1.0 / 12) * static_cast<double>(p.n())) / kScale;
}
/// A complex Gaussian passes 7 deviations with probability e^-49.
double seeded_bound(const Parameters& p) { return 7 * slot_deviation(p, ring::kGaussianSigma); }
/// A product of two complex Gaussians passes t deviations with probability 2 t K_1(2 t): 10^-13 at 16.
double public_bound(const Client& client) {
  return 16 * slot_deviation(*client.parameters, public_noise(client.parameters->n(), client.weight()));
}

TEST(Encryption, SlotsComeBack) {
  for (const ParameterSpec& spec : specs()) {
    const Client client(spec);
    const Parameters& p = *client.parameters;
    const std::vector<Complex> values = random_slots(p.slots(), 3);
    for (int level = 0; level <= p.max_level(); ++level) {
      const Plaintext plain = client.encode(values, level);
      const Ciphertext a = client.encrypt_public(plain, level), b = client.encrypt_secret(plain, level);
      EXPECT_EQ(a.level, level);
      EXPECT_EQ(a.scale, kScale);
      EXPECT_EQ(a.parts.size(), 2u);
      EXPECT_EQ(b.parts[1].basis(), p.q_basis(level));
      EXPECT_LT(distance(decrypt_slots(client.secret, client.encoder, a), values), public_bound(client));
      EXPECT_LT(distance(decrypt_slots(client.secret, client.encoder, b), values), seeded_bound(p));
    }
  }
}

TEST(Encryption, PeriodicPlaintextsFillAllSlots) {
  const Client client(chain_spec(10, 2));
  const Parameters& p = *client.parameters;
  for (std::size_t period = 1; period <= p.slots(); period *= 8) {
    const std::vector<Complex> values = random_slots(period, 4);
    const Plaintext plain = client.encode(values, 1);
    const std::vector<Complex> expected = repeat(values, p.slots());
    EXPECT_LT(distance(decrypt_slots(client.secret, client.encoder, client.encrypt_public(plain, 1)), expected),
              public_bound(client));
    EXPECT_LT(distance(decrypt_slots(client.secret, client.encoder, client.encrypt_secret(plain, 1)), expected),
              seeded_bound(p));
  }
}

TEST(Encryption, DecryptsThreeParts) {
  const Client client(mixed_spec(8));
  const Parameters& p = *client.parameters;
  const ring::Ring& ring = p.ring();
  const ring::Basis basis = p.q_basis(3);
  const Plaintext plain = client.encode(random_slots(p.slots(), 5), 3);
  const ring::Poly s = client.secret.on(basis);
  Ciphertext c;
  for (std::uint8_t i = 0; i < 3; ++i) {
    c.parts.push_back(ring::sample_uniform(ring, basis, ring::Domain::kNtt, ring::Seed{i}, 0));
  }
  c.parts[0] = plain.poly.clone();  // c0 = m - c1 s - c2 s^2
  ring::Poly product;
  ring::mul(ring, product, c.parts[1], s);
  ring::sub(ring, c.parts[0], product);
  ring::mul(ring, product, c.parts[2], s);
  ring::mul(ring, product, product, s);
  ring::sub(ring, c.parts[0], product);
  c.level = 3;
  c.parameters_id = p.id();
  EXPECT_EQ(largest(noise(client, c, plain)), 0);
}

TEST(Encryption, IsRandomised) {
  const Client client(chain_spec(10, 1, 1));
  const Plaintext plain = client.encode(random_slots(512, 6), 0);
  const auto differ = [](const ring::Poly& a, const ring::Poly& b) {
    return !std::equal(a.limb(0), a.limb(0) + a.size(), b.limb(0));
  };
  const Ciphertext a = client.encrypt_public(plain, 0), b = client.encrypt_public(plain, 0);
  EXPECT_TRUE(differ(a.parts[0], b.parts[0]));
  EXPECT_TRUE(differ(a.parts[1], b.parts[1]));
  const SeededCiphertext c = encrypt_seeded(client.secret, plain, 0), d = encrypt_seeded(client.secret, plain, 0);
  EXPECT_NE(c.seed, d.seed);
  EXPECT_TRUE(differ(c.c0, d.c0));
}

TEST(Encryption, RefusesWhatDoesNotBelong) {
  const Client client(mixed_spec(8)), other(chain_spec(8, 3));
  const Plaintext plain = client.encode(random_slots(128, 7), 2);
  EXPECT_THROW(encrypt(*client.parameters, other.public_key, plain, 2), Error);
  EXPECT_THROW(client.encrypt_public(plain, 1), Error);
  EXPECT_THROW(client.encrypt_public(plain, 5), Error);
  EXPECT_THROW(encrypt_seeded(client.secret, plain, 3), Error);
  EXPECT_THROW(decrypt(other.secret, client.encrypt_public(plain, 2)), Error);
  const Plaintext montgomery = client.encoder.encode(1.0, kScale, client.parameters->q_basis(2));
  EXPECT_THROW(client.encrypt_public(montgomery, 2), Error);
  Ciphertext one_part = client.encrypt_public(plain, 2);
  one_part.parts.pop_back();
  EXPECT_THROW(decrypt(client.secret, one_part), Error);
  SeededCiphertext foreign = encrypt_seeded(client.secret, plain, 2);
  EXPECT_THROW(expand(*other.parameters, foreign), Error);
}

TEST(SecretKeys, HaveTheDistributionAskedFor) {
  ParameterSpec spec = chain_spec(12, 1, 1);
  const SecretKey uniform = generate_secret_key(Parameters::create(spec));
  int counts[3] = {};
  for (const int c : uniform.coefficients()) ++counts[c + 1];
  for (const int count : counts) EXPECT_NEAR(count, 4096 / 3.0, 7 * std::sqrt(4096 * 2.0 / 9));

  spec.secret = SecretKind::kSparseTernary;
  spec.hamming_weight = 192;
  const SecretKey sparse = generate_secret_key(Parameters::create(spec));
  int weight = 0;
  for (const int c : sparse.coefficients()) weight += c != 0;
  EXPECT_EQ(weight, 192);
}

TEST(SecretKeys, CheckTheirCoefficients) {
  ParameterSpec spec = chain_spec(6, 1, 1);
  const auto p = Parameters::create(spec);
  EXPECT_THROW(SecretKey(p, std::vector<std::int8_t>(63)), Error);
  for (const int bad : {-128, -2, 2, 127}) {
    std::vector<std::int8_t> coefficients(64);
    coefficients[5] = static_cast<std::int8_t>(bad);
    EXPECT_THROW(SecretKey(p, coefficients), Error) << bad;
  }
  spec.secret = SecretKind::kSparseTernary;
  spec.hamming_weight = 2;
  std::vector<std::int8_t> coefficients(64);
  coefficients[1] = 1;
  EXPECT_THROW(SecretKey(Parameters::create(spec), coefficients), Error);
  coefficients[2] = -1;
  EXPECT_NO_THROW(SecretKey(Parameters::create(spec), coefficients));
}

TEST(SecretKeys, MoveByAssignment) {
  const auto p = Parameters::create(chain_spec(6, 2));
  SecretKey a = generate_secret_key(p), b = generate_secret_key(p);
  const std::vector<std::int8_t> kept = b.coefficients();
  a = std::move(b);
  EXPECT_EQ(a.coefficients(), kept);
  const SecretKey c = std::move(a);
  EXPECT_EQ(c.coefficients(), kept);
  EXPECT_EQ(c.on(p->q_basis(1)).limbs(), 2u);
}

/// A small random spec: one to four levels of one to three primes, one or two key sets.
ParameterSpec arbitrary_spec() {
  ParameterSpec spec;
  spec.security = Security::kNone;
  spec.log_n = *rc::gen::inRange(4, 11);
  spec.levels.resize(*rc::gen::inRange<std::size_t>(1, 5));
  for (auto& level : spec.levels)
    level = *rc::gen::container<std::vector<int>>(*rc::gen::inRange<std::size_t>(1, 4), rc::gen::inRange(24, 31));
  spec.levels[0] = {30, 30};  // room for the message
  const int digit = *rc::gen::inRange(1, 4), top = static_cast<int>(spec.levels.size()) - 1;
  spec.special_bits.assign(static_cast<std::size_t>(digit), 30);
  if (top > 0 && *rc::gen::arbitrary<bool>()) spec.key_sets.push_back({*rc::gen::inRange(0, top), digit, digit});
  spec.key_sets.push_back({top, digit, digit});
  if (*rc::gen::arbitrary<bool>()) {
    spec.secret = SecretKind::kSparseTernary;
    spec.hamming_weight = *rc::gen::inRange(1, (1 << spec.log_n) + 1);
  }
  return spec;
}

RC_GTEST_PROP(EncryptionProperty, RoundTripAtAnyLevelOfAnyParameters, ()) {
  const Client client(arbitrary_spec());
  const Parameters& p = *client.parameters;
  const int level = *rc::gen::inRange(0, p.max_level() + 1);
  const std::size_t period = std::size_t{1} << *rc::gen::inRange(0, p.log_n());
  const std::vector<Complex> values = random_slots(period, *rc::gen::arbitrary<unsigned>());
  const Plaintext plain = client.encode(values, level);
  const std::vector<Complex> expected = repeat(values, p.slots());
  RC_ASSERT(distance(decrypt_slots(client.secret, client.encoder, client.encrypt_public(plain, level)), expected) <
            public_bound(client));
  RC_ASSERT(distance(decrypt_slots(client.secret, client.encoder, client.encrypt_secret(plain, level)), expected) <
            seeded_bound(p));
}

}  // namespace
}  // namespace hearth::ckks
