#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "../base/expect_error.h"
#include "oracle.h"
#include "ring/poly.h"
#include "ring_fixtures.h"

namespace hearth::ring {
namespace {

/// Whether `out` holds the residues of the centred representative of x modulo Q; where |x| is within 2^-20 Q of Q/2
/// either sign will do, but the same one for all primes.
bool converted(const Ring& ring, const mpz_class& x, const mpz_class& product, const Poly& out, std::size_t j) {
  const mpz_class centred = 2 * x > product ? mpz_class(x - product) : x;
  const mpz_class distance = abs(mpz_class(2 * abs(centred) - product));
  std::vector<mpz_class> accepted = {centred};
  if (distance * (1 << 19) <= product) accepted.push_back(centred - sgn(centred) * product);
  for (const mpz_class& value : accepted) {
    bool all = true;
    for (std::size_t i = 0; i < out.limbs(); ++i) {
      all = all && out.limb(i)[j] == residue(value, ring.modulus(out.basis()[i]).q);
    }
    if (all) return true;
  }
  return false;
}

/// The coefficients of `in` with the edges of the range put in front.
Poly with_edges(const Ring& ring, const Poly& in) {
  const mpz_class product = product_of(ring, in.basis());
  std::vector<mpz_class> values = reconstruct(ring, in);
  const mpz_class half = product / 2;
  const std::vector<mpz_class> edges = {0, 1, product - 1, half, half + 1, half - 1, half - 2};
  std::copy(edges.begin(), edges.end(), values.begin());
  return from_integers(ring, in.basis(), values);
}

RC_GTEST_PROP(BaseConverter, IsExactOnTheCentredRepresentative, ()) {
  const Ring& ring = any_ring(3, 9, 16);
  const auto k = *rc::gen::inRange<std::size_t>(1, 13);
  const auto m = *rc::gen::inRange<std::size_t>(0, 17 - k);
  const Basis all = any_basis(ring, k + m);
  const Basis from(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k));
  const Basis to(all.begin() + static_cast<std::ptrdiff_t>(k), all.end());
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const Poly in = with_edges(ring, random_poly(ring, ring.n(), from, Domain::kCoefficient, seed));
  const BaseConverter converter(ring, from, to);
  const Poly out = converter.convert(in);
  RC_ASSERT(out.basis() == to);
  const mpz_class product = product_of(ring, from);
  const std::vector<mpz_class> values = reconstruct(ring, in);
  for (std::size_t j = 0; j < ring.n(); ++j) RC_ASSERT(converted(ring, values[j], product, out, j));
}

TEST(BaseConverter, SmallIntegersKeepTheirSign) {
  const Ring& ring = test_ring(12, 30, 8);
  std::vector<mpz_class> values(ring.n());
  for (std::size_t j = 0; j < values.size(); ++j) values[j] = static_cast<long>(j) - 2000;
  const BaseConverter converter(ring, {0, 1, 2}, {3, 4, 5, 6, 7});
  const Poly out = converter.convert(from_integers(ring, {0, 1, 2}, values));
  EXPECT_TRUE(same(out, from_integers(ring, {3, 4, 5, 6, 7}, values)));
}

TEST(BaseConverter, ManySourcesAndParallelBlocks) {
  const Ring& ring = test_ring(14, 30, 50);
  const Basis from = first_primes(48), to = {48, 49};
  const Poly in = random_poly(ring, ring.n(), from, Domain::kCoefficient, 3);
  const BaseConverter converter(ring, from, to);
  const Poly out = converter.convert(in);
  // The oracle is slow: look at one coefficient in 97, which visits every block.
  const mpz_class product = product_of(ring, from);
  for (std::size_t j = 0; j < ring.n(); j += 97) {
    Poly one(1, from, Domain::kCoefficient);
    for (std::size_t i = 0; i < from.size(); ++i) one.limb(i)[0] = in.limb(i)[j];
    EXPECT_TRUE(converted(ring, reconstruct(ring, one)[0], product, out, j)) << j;
  }
}

TEST(BaseConverter, SurvivesBeingMoved) {
  const Ring& ring = test_ring(6, 30, 8);
  const Poly in = random_poly(ring, ring.n(), {0, 1}, Domain::kCoefficient, 3);
  BaseConverter first(ring, {0, 1}, {2, 3});
  const Poly expected = first.convert(in);
  const BaseConverter moved = std::move(first);
  EXPECT_TRUE(same(moved.convert(in), expected));
}

TEST(BaseConverter, MisuseIsAnError) {
  const Ring& ring = test_ring(6, 30, 8);
  expect_error(ErrorKind::kInternal, "both source and target", [&] { BaseConverter c(ring, {0, 1}, {1, 2}); });
  expect_error(ErrorKind::kInternal, "from 0 primes", [&] { BaseConverter c(ring, {}, {1, 2}); });
  expect_error(ErrorKind::kInternal, "no prime 8", [&] { BaseConverter c(ring, {0}, {8}); });
  const BaseConverter converter(ring, {0, 1}, {2});
  expect_error(ErrorKind::kInternal, "not in the coefficient domain", [&] {
    converter.convert(Poly::zero(ring.n(), {0, 1}, Domain::kNtt));
  });
  expect_error(ErrorKind::kInternal, "source primes", [&] {
    converter.convert(Poly::zero(ring.n(), {1, 0}, Domain::kCoefficient));
  });
}

}  // namespace
}  // namespace hearth::ring
