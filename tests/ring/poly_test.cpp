#include "ring/poly.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <thread>

#include "../base/expect_error.h"
#include "oracle.h"
#include "ring_fixtures.h"

namespace hearth::ring {
namespace {

constexpr int kPrimes = 6;

std::uint64_t any_seed() { return *rc::gen::arbitrary<std::uint64_t>(); }

std::size_t any_limbs() { return *rc::gen::inRange<std::size_t>(1, kPrimes + 1); }

/// Product in Z_q[X]/(X^n + 1) from the definition.
Poly schoolbook(const Ring& ring, const Poly& a, const Poly& b) {
  const std::size_t n = a.size();
  Poly out = Poly::zero(n, a.basis(), Domain::kCoefficient);
  for (std::size_t i = 0; i < a.limbs(); ++i) {
    const Modulus& m = ring.modulus(a.basis()[i]);
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t k = 0; k < n; ++k) {
        const std::uint32_t product = mul_mod(a.limb(i)[j], b.limb(i)[k], m);
        std::uint32_t& to = out.limb(i)[(j + k) % n];
        to = j + k < n ? add_mod(to, product, m) : sub_mod(to, product, m);
      }
    }
  }
  return out;
}

/// a(X^g) from the definition, in the coefficient domain.
Poly substitute(const Ring& ring, const Poly& a, std::uint32_t g) {
  const std::size_t n = a.size();
  Poly out = Poly::zero(n, a.basis(), Domain::kCoefficient);
  for (std::size_t i = 0; i < a.limbs(); ++i) {
    const Modulus& m = ring.modulus(a.basis()[i]);
    for (std::size_t j = 0; j < n; ++j) {
      const std::size_t power = std::size_t{g} * j % (2 * n);
      const std::uint32_t x = a.limb(i)[j];
      out.limb(i)[power % n] = power < n ? x : sub_mod(0, x, m);
    }
  }
  return out;
}

RC_GTEST_PROP(Poly, TransformsAreInverse, ()) {
  const Ring& ring = any_ring(3, 13, kPrimes);
  const Basis basis = any_basis(ring, any_limbs());
  const Poly a = random_poly(ring, ring.n(), basis, Domain::kCoefficient, any_seed());
  Poly b = a.clone();
  to_ntt(ring, b);
  RC_ASSERT(b.domain() == Domain::kNtt);
  Poly again = b.clone();
  to_ntt(ring, again);
  RC_ASSERT(same(again, b));
  to_coefficient(ring, b);
  RC_ASSERT(same(a, b));
}

RC_GTEST_PROP(Poly, ProductIsTheSchoolbookProduct, ()) {
  const Ring& ring = any_ring(3, 7, kPrimes);
  const Basis basis = any_basis(ring, any_limbs());
  Poly a = random_poly(ring, ring.n(), basis, Domain::kCoefficient, any_seed());
  Poly b = random_poly(ring, ring.n(), basis, Domain::kCoefficient, any_seed());
  const Poly expected = schoolbook(ring, a, b);
  to_ntt(ring, a);
  to_ntt(ring, b);
  Poly product;
  mul(ring, product, a, b);
  mul(ring, a, a, b);
  RC_ASSERT(same(product, a));
  to_coefficient(ring, product);
  RC_ASSERT(same(product, expected));
}

RC_GTEST_PROP(Poly, ElementWiseOperationsWorkModuloEachPrime, ()) {
  const Ring& ring = any_ring(3, 12, kPrimes);
  const Basis basis = any_basis(ring, any_limbs());
  const Poly a = random_poly(ring, ring.n(), basis, Domain::kNtt, any_seed());
  const Poly b = random_poly(ring, ring.n(), basis, Domain::kNtt, any_seed());
  const Poly c = random_poly(ring, ring.n(), basis, Domain::kNtt, any_seed());
  std::vector<std::uint32_t> w;
  for (const int prime : basis) w.push_back(static_cast<std::uint32_t>(any_seed() % ring.modulus(prime).q));

  Poly sum = a.clone(), difference = a.clone(), negated = a.clone(), product, accumulated = c.clone(),
       scaled = a.clone();
  add(ring, sum, b);
  sub(ring, difference, b);
  negate(ring, negated);
  mul(ring, product, a, b);
  mul_add(ring, accumulated, a, b);
  mul_scalars(ring, scaled, w);
  for (std::size_t i = 0; i < basis.size(); ++i) {
    const std::uint64_t q = ring.modulus(basis[i]).q;
    for (std::size_t j = 0; j < ring.n(); ++j) {
      const std::uint64_t x = a.limb(i)[j], y = b.limb(i)[j], z = c.limb(i)[j];
      RC_ASSERT(sum.limb(i)[j] == (x + y) % q);
      RC_ASSERT(difference.limb(i)[j] == (x + q - y) % q);
      RC_ASSERT(negated.limb(i)[j] == (q - x) % q);
      RC_ASSERT(product.limb(i)[j] == x * y % q);
      RC_ASSERT(accumulated.limb(i)[j] == (z + x * y) % q);
      RC_ASSERT(scaled.limb(i)[j] == x * w[i] % q);
    }
  }
}

RC_GTEST_PROP(Poly, AutomorphismSubstitutesAPower, ()) {
  const Ring& ring = any_ring(3, 12, kPrimes);
  const int log_size = *rc::gen::inRange(0, ring.log_n() + 1);
  const Basis basis = any_basis(ring, any_limbs());
  const auto g = static_cast<std::uint32_t>(any_seed() % (2 * ring.n())) | 1U;
  Poly a = random_poly(ring, std::size_t{1} << log_size, basis, Domain::kCoefficient, any_seed());
  const Poly expected = substitute(ring, a, g);
  to_ntt(ring, a);
  Poly image = automorphism(ring, a, g);
  to_coefficient(ring, image);
  RC_ASSERT(same(image, expected));
}

// What the plaintexts with a period rest on: a polynomial in X^k is constant on runs of k in NTT order, and the run
// values are the transform of length n/k of its n/k coefficients.
RC_GTEST_PROP(Poly, SubringElementsHaveConstantRuns, ()) {
  const Ring& ring = any_ring(3, 12, kPrimes);
  const Basis basis = any_basis(ring, any_limbs());
  const int log_size = *rc::gen::inRange(0, ring.log_n() + 1);
  const std::size_t size = std::size_t{1} << log_size, run = ring.n() / size;
  Poly small = random_poly(ring, size, basis, Domain::kCoefficient, any_seed());
  Poly full = Poly::zero(ring.n(), basis, Domain::kCoefficient);
  for (std::size_t i = 0; i < basis.size(); ++i) {
    for (std::size_t j = 0; j < size; ++j) full.limb(i)[j * run] = small.limb(i)[j];
  }
  const Poly before = small.clone();
  to_ntt(ring, small);
  to_ntt(ring, full);
  for (std::size_t i = 0; i < basis.size(); ++i) {
    for (std::size_t j = 0; j < ring.n(); ++j) RC_ASSERT(full.limb(i)[j] == small.limb(i)[j / run]);
  }
  to_coefficient(ring, small);
  RC_ASSERT(same(small, before));
}

TEST(Poly, TransformFollowsItsDefinition) {
  const Ring& ring = test_ring(4, 30, 1);
  const Modulus& m = ring.modulus(0);
  Poly a = random_poly(ring, 16, {0}, Domain::kCoefficient, 5);
  const Poly before = a.clone();
  to_ntt(ring, a);
  for (std::uint32_t i = 0; i < 16; ++i) {
    const std::uint32_t reversed = (i & 1) << 3 | (i & 2) << 1 | (i & 4) >> 1 | (i & 8) >> 3;
    const std::uint32_t point = pow_mod(ring.ntt(0).psi, 2 * reversed + 1, m);
    std::uint32_t value = 0;
    for (std::size_t j = 16; j-- > 0;) value = add_mod(mul_mod(value, point, m), before.limb(0)[j], m);
    EXPECT_EQ(a.limb(0)[i], value) << i;
  }
}

TEST(Poly, RestrictsToSomeLimbsInAnyOrder) {
  const Ring& ring = test_ring(5, 30, kPrimes);
  const Poly a = random_poly(ring, ring.n(), {4, 1, 3}, Domain::kNtt, 1);
  const Poly b = restrict_to(a, {3, 4});
  EXPECT_EQ(b.basis(), (Basis{3, 4}));
  EXPECT_EQ(b.domain(), Domain::kNtt);
  for (std::size_t j = 0; j < ring.n(); ++j) {
    EXPECT_EQ(b.limb(0)[j], a.limb(2)[j]);
    EXPECT_EQ(b.limb(1)[j], a.limb(0)[j]);
  }
  expect_error(ErrorKind::kInternal, "no limb for prime 2", [&] { restrict_to(a, {4, 2}); });
}

TEST(Poly, TruncatesAndClones) {
  const Ring& ring = test_ring(5, 30, kPrimes);
  Poly a = random_poly(ring, ring.n(), {0, 1, 2}, Domain::kNtt, 1);
  const Poly whole = a.clone();
  a.truncate(2);
  EXPECT_TRUE(same(a, restrict_to(whole, {0, 1})));
  EXPECT_TRUE(same(a.clone(), a));
  EXPECT_EQ(a.clone().bytes(), 2 * ring.n() * sizeof(std::uint32_t));
  expect_error(ErrorKind::kInternal, "cannot keep 3 limbs", [&] { a.truncate(3); });
  EXPECT_TRUE(Poly().clone().empty());
}

TEST(Poly, MisuseIsAnError) {
  const Ring& ring = test_ring(5, 30, kPrimes);
  Poly a = Poly::zero(ring.n(), {0, 1}, Domain::kNtt);
  const Poly shorter = Poly::zero(ring.n() / 2, {0, 1}, Domain::kNtt);
  const Poly other_basis = Poly::zero(ring.n(), {0, 2}, Domain::kNtt);
  const Poly coefficients = Poly::zero(ring.n(), {0, 1}, Domain::kCoefficient);
  for (const Poly* b : {&shorter, &other_basis, &coefficients}) {
    expect_error(ErrorKind::kInternal, "add: the operands differ", [&] { add(ring, a, *b); });
    expect_error(ErrorKind::kInternal, "sub: the operands differ", [&] { sub(ring, a, *b); });
    expect_error(ErrorKind::kInternal, "mul: the operands differ", [&] {
      Poly out;
      mul(ring, out, a, *b);
    });
    expect_error(ErrorKind::kInternal, "mul_add: the operands differ", [&] { mul_add(ring, a, a, *b); });
  }
  expect_error(ErrorKind::kInternal, "not in the NTT domain", [&] {
    Poly out;
    mul(ring, out, coefficients, coefficients);
  });
  expect_error(ErrorKind::kInternal, "not in the NTT domain", [&] { automorphism(ring, coefficients, 3); });
  expect_error(ErrorKind::kInternal, "is even", [&] { automorphism(ring, a, 4); });
  const std::uint32_t too_large[] = {1, ring.modulus(1).q};
  expect_error(ErrorKind::kInternal, "not below the modulus", [&] { mul_scalars(ring, a, too_large); });
  expect_error(ErrorKind::kInternal, "1 scalars for 2 limbs", [&] { mul_scalars(ring, a, std::span(too_large, 1)); });
  expect_error(ErrorKind::kInternal, "not a power of two", [] { Poly b(12, {0}, Domain::kNtt); });
}

TEST(Ring, RefusesPrimesItCannotUse) {
  const auto refused = [](const std::string& part, int log_n, std::vector<std::uint32_t> primes) {
    expect_error(ErrorKind::kInvalidArgument, part, [&] { Ring ring(log_n, primes); });
  };
  const std::vector<std::uint32_t> primes = ntt_primes(11, 30, 2);
  refused("occurs twice", 11, {primes[0], primes[1], primes[0]});
  refused("cannot be a modulus", 11, {4097});   // 17 * 241
  refused("cannot be a modulus", 12, {12289});  // a prime, but not 1 modulo 8192
  refused("cannot be a modulus", 11, {0});
  refused("cannot be a modulus", 11, {(1U << 30) + 4096U * 3U + 1U});
  refused("2^18", 18, {});
  refused("2^2", 2, {});
}

TEST(Ring, SubringRootsArePowersOfTheRingsRoot) {
  const Ring& ring = test_ring(8, 30, 2);
  for (int log_size = 1; log_size <= 8; ++log_size) {
    EXPECT_EQ(ring.ntt(1, log_size).psi, pow_mod(ring.ntt(1).psi, 1ULL << (8 - log_size), ring.modulus(1)));
    EXPECT_EQ(ring.ntt(1, log_size).log_n, log_size);
  }
  expect_error(ErrorKind::kInternal, "NTT tables", [&] { ring.ntt(2); });
  expect_error(ErrorKind::kInternal, "NTT tables", [&] { ring.ntt(0, 9); });
  expect_error(ErrorKind::kInternal, "NTT tables", [&] { ring.ntt(-1); });
}

TEST(Ring, TablesAreMadeOnceHoweverManyThreadsAsk) {
  const Ring ring(12, ntt_primes(12, 30, 2));
  std::vector<const NttTables*> seen(8);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < seen.size(); ++t) threads.emplace_back([&, t] { seen[t] = &ring.ntt(1, 10); });
  for (std::thread& thread : threads) thread.join();
  for (const NttTables* tables : seen) EXPECT_EQ(tables, seen[0]);
}

}  // namespace
}  // namespace hearth::ring
