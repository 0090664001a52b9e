#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "../base/expect_error.h"
#include "base/parallel.h"
#include "oracle.h"
#include "ring/poly.h"
#include "ring_fixtures.h"

namespace hearth::ring {
namespace {

struct Split {
  Basis all, keep, drop;
};

Split any_split(const Ring& ring) {
  const auto keep = *rc::gen::inRange<std::size_t>(1, 8);
  const auto drop = *rc::gen::inRange<std::size_t>(1, 6);
  Split split;
  split.all = any_basis(ring, keep + drop);
  split.keep.assign(split.all.begin(), split.all.begin() + static_cast<std::ptrdiff_t>(keep));
  split.drop.assign(split.all.begin() + static_cast<std::ptrdiff_t>(keep), split.all.end());
  // The limbs of the dividend may come in any order.
  std::rotate(split.all.begin(), split.all.begin() + *rc::gen::inRange(0, static_cast<int>(keep + drop)),
              split.all.end());
  return split;
}

/// Whether out_j is round(a_j / D) modulo every kept prime; either neighbour where a_j / D is within 2^-19 of a half.
bool divided(const Ring& ring, const mpz_class& a, const mpz_class& divisor, const Poly& out, std::size_t j) {
  mpz_class quotient, remainder;
  mpz_fdiv_qr(quotient.get_mpz_t(), remainder.get_mpz_t(), a.get_mpz_t(), divisor.get_mpz_t());
  const mpz_class distance = abs(mpz_class(2 * remainder - divisor));
  const bool tie = distance * (1 << 18) <= divisor;
  const auto matches = [&](const mpz_class& value) {
    for (std::size_t i = 0; i < out.limbs(); ++i) {
      if (out.limb(i)[j] != residue(value, ring.modulus(out.basis()[i]).q)) return false;
    }
    return true;
  };
  const bool up = 2 * remainder > divisor;
  return matches(up ? quotient + 1 : quotient) || (tie && matches(up ? quotient : quotient + 1));
}

RC_GTEST_PROP(RoundedDivider, RoundsToTheNearestInteger, ()) {
  const Ring& ring = any_ring(3, 9, 12);
  const Split split = any_split(ring);
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  Poly a = random_poly(ring, ring.n(), split.all, Domain::kCoefficient, seed);
  const std::vector<mpz_class> values = reconstruct(ring, a);
  to_ntt(ring, a);
  const RoundedDivider divider(ring, split.keep, split.drop);
  Poly out = divider.divide(a);
  RC_ASSERT(out.domain() == Domain::kNtt);
  RC_ASSERT(out.basis() == split.keep);
  to_coefficient(ring, out);
  const mpz_class divisor = product_of(ring, split.drop);
  for (std::size_t j = 0; j < ring.n(); ++j) RC_ASSERT(divided(ring, values[j], divisor, out, j));
}

// Multiples of D plus something small come back exactly: what ModDown relies on.
TEST(RoundedDivider, RemovesSmallErrors) {
  const Ring& ring = test_ring(12, 30, 8);
  const Basis keep = {0, 1, 2, 3, 4}, drop = {5, 6, 7}, all = first_primes(8);
  const mpz_class divisor = product_of(ring, drop);
  std::vector<mpz_class> wanted(ring.n()), values(ring.n());
  for (std::size_t j = 0; j < wanted.size(); ++j) {
    wanted[j] = static_cast<long>(j) * 12345 - 20'000'000;
    const mpz_class error = static_cast<long>(j % 2001) - 1000;
    values[j] = wanted[j] * divisor + error * (divisor / 2002);
  }
  Poly a = from_integers(ring, all, values);
  to_ntt(ring, a);
  Poly out = RoundedDivider(ring, keep, drop).divide(a);
  to_coefficient(ring, out);
  EXPECT_TRUE(same(out, from_integers(ring, keep, wanted)));
}

TEST(RoundedDivider, WorksOnSubringElements) {
  const Ring& ring = test_ring(9, 30, 5);
  const RoundedDivider divider(ring, {0, 1, 2}, {3, 4});
  for (const std::size_t size : {1U, 2U, 64U}) {
    Poly a = random_poly(ring, size, first_primes(5), Domain::kCoefficient, size);
    const std::vector<mpz_class> values = reconstruct(ring, a);
    to_ntt(ring, a);
    Poly out = divider.divide(a);
    to_coefficient(ring, out);
    const mpz_class divisor = product_of(ring, {3, 4});
    for (std::size_t j = 0; j < size; ++j) EXPECT_TRUE(divided(ring, values[j], divisor, out, j)) << j;
  }
}

// Scratch memory of one thread must not be shared by tasks that it runs while waiting for others.
TEST(RoundedDivider, RunsInsideParallelLoops) {
  const Ring& ring = test_ring(13, 30, 6);
  const RoundedDivider divider(ring, {0, 1, 2, 3}, {4, 5});
  constexpr std::size_t kCount = 8;
  std::vector<Poly> inputs, serial(kCount), parallel(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    inputs.push_back(random_poly(ring, ring.n(), first_primes(6), Domain::kNtt, i));
    serial[i] = divider.divide(inputs[i]);
  }
  for (int repeat = 0; repeat < 5; ++repeat) {
    parallel_for(0, kCount, [&](std::size_t i) { parallel[i] = divider.divide(inputs[i]); });
    for (std::size_t i = 0; i < kCount; ++i) ASSERT_TRUE(same(parallel[i], serial[i])) << i;
  }
}

TEST(RoundedDivider, MisuseIsAnError) {
  const Ring& ring = test_ring(6, 30, 8);
  const RoundedDivider divider(ring, {0, 1}, {2});
  expect_error(ErrorKind::kInternal, "expected 3 limbs in the NTT domain, got 2", [&] {
    divider.divide(Poly::zero(ring.n(), {0, 1}, Domain::kNtt));
  });
  expect_error(ErrorKind::kInternal, "NTT domain", [&] {
    divider.divide(Poly::zero(ring.n(), {0, 1, 2}, Domain::kCoefficient));
  });
  expect_error(ErrorKind::kInternal, "no limb for prime 2", [&] {
    divider.divide(Poly::zero(ring.n(), {0, 1, 3}, Domain::kNtt));
  });
}

}  // namespace
}  // namespace hearth::ring
