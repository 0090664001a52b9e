// Run under valgrind's memcheck, which reports every branch and every address that depends on memory marked undefined.
// Here secrets are marked so; see CMakeLists.txt for how it is run, and for the control that it would notice.
#include <gtest/gtest.h>

#include "ring/poly.h"
#include "ring/random.h"
#include "ring_fixtures.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_MAKE_MEM_UNDEFINED(address, size) static_cast<void>(0)
#endif

namespace hearth::ring {
namespace {

constexpr std::size_t kN = 5000;  // more than one block of the samplers, and not a multiple of it

class ConstantTime : public testing::Test {
 protected:
  void SetUp() override {
    if (!RUNNING_ON_VALGRIND) GTEST_SKIP() << "skipped: says something under valgrind only";
  }

  static Seed secret_seed() {
    Seed seed = random_seed();
    VALGRIND_MAKE_MEM_UNDEFINED(seed.data(), seed.size());
    return seed;
  }
};

TEST_F(ConstantTime, SecretSamplers) {
  RandomStream stream(secret_seed(), 1);
  EXPECT_EQ(sample_ternary(kN, stream).size(), kN);
  EXPECT_EQ(sample_ternary_fixed(kN, 512, stream).size(), kN);
  EXPECT_EQ(sample_gaussian(kN, stream).size(), kN);
}

// What key generation, encryption and decryption do with secret polynomials.
TEST_F(ConstantTime, ArithmeticOnSecretPolynomials) {
  const Ring& ring = test_ring(11, 30, 3);
  const Basis basis = {0, 1, 2};
  RandomStream stream(secret_seed(), 1);
  Poly secret = from_small(ring, basis, sample_ternary_fixed(ring.n(), 512, stream));
  Poly error = from_small(ring, basis, sample_gaussian(ring.n(), stream));
  to_ntt(ring, secret);
  to_ntt(ring, error);
  const Poly uniform = sample_uniform(ring, basis, Domain::kNtt, random_seed(), 0);
  mul_add(ring, error, secret, uniform);
  negate(ring, secret);
  add(ring, secret, error);
  sub(ring, secret, uniform);
  const std::uint32_t scalars[] = {3, 4, 5};
  mul_scalars(ring, secret, scalars);
  secret = automorphism(ring, secret, 5);
  secret = RoundedDivider(ring, {0, 1}, {2}).divide(secret);
  to_coefficient(ring, secret);
  EXPECT_EQ(secret.limbs(), 2U);
}

// The control: memcheck must report this one.
TEST_F(ConstantTime, DISABLED_ControlBranchesOnASecret) {
  RandomStream stream(secret_seed(), 1);
  volatile int sum = 0;  // cannot be counted without a branch
  for (const std::int8_t value : sample_ternary(100, stream)) {
    if (value > 0) sum = sum + 1;
  }
}

}  // namespace
}  // namespace hearth::ring
