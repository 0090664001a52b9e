#include "ckks/encoder.h"

#include <gmp.h>
#include <gtest/gtest.h>

#include <numbers>

#include "base/error.h"
#include "ckks/crt.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;
using testing::chain_spec;
using testing::distance;
using testing::random_slots;
using testing::repeat;

__extension__ using Int128 = __int128;

Plaintext encode(const Encoder& encoder, const std::vector<Complex>& values, double scale, const ring::Basis& basis,
                 bool montgomery = false) {
  return encoder.encode(std::span<const Complex>(values), scale, basis, montgomery);
}

/// The definition: slot j is sum_k c_k zeta^(k 5^j), zeta = exp(2 pi i / 4p), c the 2p coefficients.
std::vector<Complex> evaluate_directly(const std::vector<double>& coefficients) {
  const std::size_t period = coefficients.size() / 2, order = 4 * period;
  std::vector<Complex> out;
  std::size_t exponent = 1;
  for (std::size_t j = 0; j < period; ++j, exponent = exponent * 5 % order) {
    std::complex<long double> sum = 0;
    for (std::size_t k = 0; k < coefficients.size(); ++k) {
      const auto turn = static_cast<long double>(k * exponent % order) / static_cast<long double>(order);
      sum += std::polar<long double>(1, 2 * std::numbers::pi_v<long double> * turn) *
             static_cast<long double>(coefficients[k]);
    }
    out.emplace_back(sum);
  }
  return out;
}

std::vector<double> coefficients_of(const std::vector<Complex>& packed) {
  std::vector<double> out;
  for (const Complex& c : packed) out.push_back(c.real());
  for (const Complex& c : packed) out.push_back(c.imag());
  return out;
}

/// Residues of the polynomial, limb by limb, in the coefficient domain.
ring::Poly coefficients(const Parameters& p, const Plaintext& plain) {
  ring::Poly out = plain.poly.clone();
  ring::to_coefficient(p.ring(), out);
  return out;
}

std::uint32_t residue(Int128 value, std::uint32_t q) {
  const auto r = static_cast<std::int64_t>(value % q);
  return static_cast<std::uint32_t>(r < 0 ? r + q : r);
}

/// Bound on the error of a slot when each of `count` coefficients is rounded to an integer: 7 standard deviations of
/// the sum of that many errors uniform on [-1/2, 1/2].
double rounding_bound(std::size_t count, double scale) {
  return 7 * std::sqrt(static_cast<double>(count) / 12) / scale;
}

TEST(Embedding, MatchesDirectEvaluation) {
  const Encoder encoder(Parameters::create(chain_spec(10, 1, 1)));
  for (std::size_t period = 1; period <= 512; period *= 2) {
    std::vector<Complex> values = random_slots(period, 1);
    const std::vector<Complex> expected = evaluate_directly(coefficients_of(values));
    const std::vector<Complex> packed = values;
    encoder.coefficients_to_slots(values);
    EXPECT_LT(distance(values, expected), 1e-13 * static_cast<double>(period)) << "period " << period;
    encoder.slots_to_coefficients(values);
    EXPECT_LT(distance(values, packed), 1e-14) << "period " << period;
  }
}

TEST(Embedding, LargeSizesKeepDoublePrecision) {
  const Encoder encoder(Parameters::create(chain_spec(17, 1, 1)));
  std::vector<Complex> values = random_slots(65536, 2);
  const std::vector<Complex> before = values;
  encoder.slots_to_coefficients(values);
  encoder.coefficients_to_slots(values);
  EXPECT_LT(distance(values, before), 1e-14);
}

TEST(Encoder, RoundTripWithinTheRoundingOfCoefficients) {
  for (const int log_n : {4, 8, 12, 13}) {
    const auto p = Parameters::create(chain_spec(log_n, 3));
    const Encoder encoder(p);
    for (const double scale : {0x1p20, 0x1p30, 0x1p45, 0x1p70}) {
      const std::vector<Complex> values = random_slots(p->slots(), 3);
      const Plaintext plain = encode(encoder, values, scale, p->q_basis(2));
      EXPECT_EQ(plain.period(), p->slots());
      const double double_precision = 1e-14;
      EXPECT_LT(distance(encoder.decode(plain.poly, scale), values), rounding_bound(p->n(), scale) + double_precision)
          << "n = 2^" << log_n << ", scale " << scale;
    }
  }
}

// Scales at which coefficients take one, two and four words: the residues must be those of the rounded coefficients.
TEST(Encoder, ResiduesAreThoseOfTheRoundedCoefficients) {
  const auto p = Parameters::create(testing::mixed_spec(8));
  const Encoder encoder(p);
  const ring::Basis basis = p->qp_basis(4, 1);
  for (const double scale : {0x1p10, 0x1p31, 0x1p33, 0x1p50, 0x1.1p62, 0x1.3p63, 0x1p80, 0x1p110}) {
    std::vector<Complex> packed = random_slots(128, 4);
    std::vector<Complex> values = packed;
    encoder.coefficients_to_slots(values);
    std::vector<Complex> again = values;
    encoder.slots_to_coefficients(again);  // what the encoder will see, up to nothing: same code, same bits
    const std::vector<double> wanted = coefficients_of(again);
    const ring::Poly got = coefficients(*p, encode(encoder, values, scale, basis));
    for (std::size_t limb = 0; limb < basis.size(); ++limb) {
      const std::uint32_t q = p->ring().modulus(basis[limb]).q;
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        const auto integer = static_cast<Int128>(std::nearbyint(wanted[i] * scale));
        ASSERT_EQ(got.limb(limb)[i], residue(integer, q)) << "scale " << scale << " coefficient " << i;
      }
    }
  }
}

TEST(Encoder, WordBoundariesAreExact) {
  const auto p = Parameters::create(chain_spec(4, 6));
  const Encoder encoder(p);
  const ring::Basis basis = p->q_basis(5);
  for (const double magnitude : {0.0, 1.0, 0x1p31 - 2, 0x1p31 - 1, 0x1p31, 0x1p31 + 1, 0x1p62 - 1024, 0x1p62, 0x1p63,
                                 0x1p64, 0x1p119, 0x1p120}) {
    for (const double value : {magnitude, -magnitude}) {
      const ring::Poly got = coefficients(*p, encoder.encode(value, 1, basis, false));
      for (std::size_t limb = 0; limb < basis.size(); ++limb) {
        const std::uint32_t q = p->ring().modulus(basis[limb]).q;
        EXPECT_EQ(got.limb(limb)[0], residue(static_cast<Int128>(value), q)) << value;
        EXPECT_EQ(got.limb(limb)[1], 0u);
      }
    }
  }
}

TEST(Encoder, PeriodicEqualsDense) {
  const auto p = Parameters::create(chain_spec(9, 3));
  const Encoder encoder(p);
  const ring::Basis basis = p->qp_basis(2, 0);
  for (std::size_t period = 1; period < p->slots(); period *= 2) {
    const std::vector<Complex> values = random_slots(period, 5);
    const Plaintext shorter = encode(encoder, values, 0x1p30, basis);
    const Plaintext dense = encode(encoder, repeat(values, p->slots()), 0x1p30, basis);
    ASSERT_EQ(shorter.poly.size(), 2 * period);
    const std::size_t run = p->n() / (2 * period);
    for (std::size_t limb = 0; limb < basis.size(); ++limb) {
      for (std::size_t i = 0; i < p->n(); ++i) {
        ASSERT_EQ(dense.poly.limb(limb)[i], shorter.poly.limb(limb)[i / run]) << "period " << period;
      }
    }
    EXPECT_EQ(encoder.decode(shorter.poly, 0x1p30), repeat(encoder.decode(shorter.poly, 0x1p30), p->slots()));
    EXPECT_LT(distance(encoder.decode(shorter.poly, 0x1p30), encoder.decode(dense.poly, 0x1p30)), 1e-15);
  }
}

TEST(Encoder, RealsAndConstantsAgreeWithComplexSlots) {
  const auto p = Parameters::create(chain_spec(7, 2));
  const Encoder encoder(p);
  const ring::Basis basis = p->q_basis(1);
  const std::vector<double> reals = {0.5, -1.25, 3, 1e-3};
  const std::vector<Complex> values(reals.begin(), reals.end());
  const Plaintext a = encoder.encode(std::span<const double>(reals), 0x1p30, basis, false);
  const Plaintext b = encode(encoder, values, 0x1p30, basis);
  const Plaintext c = encoder.encode(-0.75, 0x1p30, basis, false);
  const Plaintext d = encode(encoder, {Complex(-0.75)}, 0x1p30, basis);
  for (std::size_t limb = 0; limb < 2; ++limb) {
    EXPECT_TRUE(std::equal(a.poly.limb(limb), a.poly.limb(limb) + 8, b.poly.limb(limb)));
    EXPECT_TRUE(std::equal(c.poly.limb(limb), c.poly.limb(limb) + 2, d.poly.limb(limb)));
  }
  EXPECT_EQ(c.poly.size(), 2u);
}

TEST(Encoder, MontgomeryFormIsThePlainFormTimesItsFactor) {
  const auto p = Parameters::create(testing::mixed_spec(7));
  const Encoder encoder(p);
  const ring::Basis basis = p->qp_basis(4, 1);
  for (const double scale : {0x1p20, 0x1p40, 0x1p90}) {
    const std::vector<Complex> values = random_slots(64, 6);
    const Plaintext plain = encode(encoder, values, scale, basis, false),
                    other = encode(encoder, values, scale, basis, true);
    EXPECT_FALSE(plain.montgomery);
    EXPECT_TRUE(other.montgomery);
    for (std::size_t limb = 0; limb < basis.size(); ++limb) {
      const ring::Modulus& m = p->ring().modulus(basis[limb]);
      for (std::size_t i = 0; i < plain.poly.size(); ++i) {
        ASSERT_EQ(other.poly.limb(limb)[i], to_montgomery(plain.poly.limb(limb)[i], m));
      }
    }
  }
}

TEST(Encoder, ProductsOfPlaintextsMultiplySlots) {
  const auto p = Parameters::create(chain_spec(8, 3));
  const Encoder encoder(p);
  const std::vector<Complex> a = random_slots(p->slots(), 7), b = random_slots(p->slots(), 8);
  Plaintext x = encode(encoder, a, 0x1p40, p->q_basis(2));
  const Plaintext y = encode(encoder, b, 0x1p40, p->q_basis(2));
  ring::mul(p->ring(), x.poly, x.poly, y.poly);
  std::vector<Complex> expected;
  for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(a[i] * b[i]);
  EXPECT_LT(distance(encoder.decode(x.poly, 0x1p80), expected), 4 * rounding_bound(p->n(), 0x1p40));
}

TEST(Encoder, AutomorphismRotatesSlotsToTheLeft) {
  const auto p = Parameters::create(chain_spec(7, 2));
  const Encoder encoder(p);
  const std::vector<Complex> values = random_slots(64, 9);
  const Plaintext plain = encode(encoder, values, 0x1p40, p->q_basis(1));
  for (const int steps : {1, 5, -3}) {
    const ring::Poly turned = ring::automorphism(p->ring(), plain.poly, galois_element(steps, 7));
    std::vector<Complex> expected;
    for (int i = 0; i < 64; ++i) expected.push_back(values[static_cast<std::size_t>((i + steps + 64) % 64)]);
    EXPECT_LT(distance(encoder.decode(turned, 0x1p40), expected), rounding_bound(p->n(), 0x1p40));
  }
  const ring::Poly conjugated = ring::automorphism(p->ring(), plain.poly, galois_conjugation(7));
  std::vector<Complex> expected;
  for (const Complex& value : values) expected.push_back(std::conj(value));
  EXPECT_LT(distance(encoder.decode(conjugated, 0x1p40), expected), rounding_bound(p->n(), 0x1p40));
}

TEST(Encoder, RefusesWhatItCannotEncode) {
  const auto p = Parameters::create(chain_spec(6, 2));
  const Encoder encoder(p);
  const ring::Basis basis = p->q_basis(1);
  EXPECT_THROW(encode(encoder, random_slots(3, 1), 0x1p30, basis), Error);
  EXPECT_THROW(encode(encoder, random_slots(64, 1), 0x1p30, basis), Error);
  EXPECT_THROW(encode(encoder, {}, 0x1p30, basis), Error);
  EXPECT_THROW(encode(encoder, {Complex(NAN)}, 0x1p30, basis), Error);
  EXPECT_THROW(encode(encoder, {Complex(1), Complex(0, INFINITY)}, 0x1p30, basis), Error);
  EXPECT_THROW(encoder.encode(NAN, 0x1p30, basis), Error);
  EXPECT_THROW(encoder.encode(1.0, 0x1.1p120, basis), Error);
  EXPECT_THROW(encoder.encode(1.0, 0, basis), Error);
  EXPECT_THROW(encoder.encode(1.0, -1, basis), Error);
  EXPECT_THROW(encoder.encode(1.0, NAN, basis), Error);
  EXPECT_THROW(encoder.decode(encoder.encode(1.0, 1, basis, false).poly, 0), Error);
}

/// Integers modulo the product of some primes, by GMP.
struct GmpOracle {
  GmpOracle(const Parameters& p, const ring::Basis& basis) : parameters(p), primes(basis) {
    mpz_init_set_ui(modulus, 1);
    for (const int prime : basis) mpz_mul_ui(modulus, modulus, p.ring().modulus(prime).q);
  }
  ~GmpOracle() { mpz_clear(modulus); }
  GmpOracle(const GmpOracle&) = delete;
  GmpOracle& operator=(const GmpOracle&) = delete;

  /// Writes x as coefficient `index` of `poly`; returns the centred x, truncated to a double.
  double put(const mpz_t x, ring::Poly& poly, std::size_t index) const {
    for (std::size_t limb = 0; limb < primes.size(); ++limb) {
      const std::uint32_t q = parameters.ring().modulus(primes[limb]).q;
      poly.limb(limb)[index] = static_cast<std::uint32_t>(mpz_fdiv_ui(x, q));
    }
    mpz_t twice;
    mpz_init(twice);
    mpz_mul_2exp(twice, x, 1);
    const bool negative = mpz_cmp(twice, modulus) > 0;
    if (negative) {
      mpz_sub(twice, x, modulus);
    } else {
      mpz_set(twice, x);
    }
    const double centred = mpz_get_d(twice);
    mpz_clear(twice);
    return centred;
  }

  const Parameters& parameters;
  ring::Basis primes;
  mpz_t modulus;
};

TEST(Reconstruction, MatchesLongArithmetic) {
  ParameterSpec spec = chain_spec(10, 60, 4);
  for (std::size_t level = 0; level < 60; level += 7) spec.levels[level] = {24};
  const auto p = Parameters::create(spec);
  gmp_randstate_t random;
  gmp_randinit_default(random);
  for (const int level : {0, 1, 2, 3, 15, 16, 31, 59}) {
    const GmpOracle oracle(*p, p->q_basis(level));
    ring::Poly poly = ring::Poly::zero(p->n(), p->q_basis(level), ring::Domain::kCoefficient);
    std::vector<double> expected(p->n()), got(p->n());
    mpz_t x;
    mpz_init(x);
    for (std::size_t i = 0; i < p->n(); ++i) {
      if (i % 4 == 0) mpz_urandomm(x, random, oracle.modulus);                             // anything
      if (i % 4 == 1) mpz_urandomb(x, random, 20);                                         // small
      if (i % 4 == 2) mpz_sub(x, oracle.modulus, x);                                       // small and negative
      if (i % 4 == 3) mpz_fdiv_q_2exp(x, oracle.modulus, 1), mpz_add_ui(x, x, i / 4 % 2);  // beside the middle
      mpz_mod(x, x, oracle.modulus);
      expected[i] = oracle.put(x, poly, i);
    }
    mpz_clear(x);
    reconstruct_centred(p->ring(), poly, got);
    for (std::size_t i = 0; i < p->n(); ++i) {
      if (std::abs(expected[i]) > 0x1p1000) continue;  // a double cannot hold it; only real messages matter there
      ASSERT_LE(std::abs(got[i] - expected[i]), std::abs(expected[i]) * 0x1p-52) << "level " << level << ", " << i;
    }
  }
  gmp_randclear(random);
}

}  // namespace
}  // namespace hearth::ckks
