#include "ring/ntt.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/error.h"
#include "ring/kernels/kernels.h"

namespace hearth::ring {
namespace {

using Vector = std::vector<std::uint32_t>;

std::size_t bit_reverse(std::size_t x, int bits) {
  std::size_t out = 0;
  for (int i = 0; i < bits; ++i) out = 2 * out + ((x >> i) & 1);
  return out;
}

Vector random_vector(std::size_t n, std::uint32_t bound, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Vector x(n);
  for (auto& v : x) v = static_cast<std::uint32_t>(random() % bound);
  return x;
}

/// a(point) by Horner's rule.
std::uint32_t evaluate(const Vector& a, std::uint32_t point, const Modulus& m) {
  std::uint32_t value = 0;
  for (std::size_t i = a.size(); i-- > 0;) value = add_mod(mul_mod(value, point, m), a[i] % m.q, m);
  return value;
}

/// The product modulo X^n + 1, term by term.
Vector negacyclic_product(const Vector& a, const Vector& b, const Modulus& m) {
  const std::size_t n = a.size();
  Vector out(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      const std::uint32_t term = mul_mod(a[i], b[j], m);
      std::uint32_t& target = out[(i + j) % n];
      target = i + j < n ? add_mod(target, term, m) : sub_mod(target, term, m);
    }
  }
  return out;
}

NttTables make_tables(int log_n, std::uint32_t q) {
  const Modulus m(q);
  return NttTables(log_n, m, find_primitive_root(log_n, m));
}

/// Two primes of 30 bits and one of 20, so that bounds are met from both sides.
Vector primes_for(int log_n) {
  Vector primes = ntt_primes(log_n, 30, 2);
  primes.push_back(ntt_primes(log_n, 20, 1).front());
  return primes;
}

/// Runs every test on each instruction set of this CPU.
class Ntt : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    kernels_ = kernels_for(GetParam());
    if (!kernels_) GTEST_SKIP() << "skipped: this CPU lacks " << GetParam();
  }
  const Kernels* kernels_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(InstructionSets, Ntt, testing::Values("scalar", "avx2", "avx512"),
                         [](const auto& set) { return std::string(set.param); });

TEST_P(Ntt, ForwardEvaluatesAtOddPowersOfPsi) {
  for (int log_n = 1; log_n <= 17; ++log_n) {
    const std::size_t n = std::size_t{1} << log_n;
    for (const std::uint32_t q : primes_for(log_n)) {
      const NttTables t = make_tables(log_n, q);
      const Vector a = random_vector(n, q, q + n);
      Vector x = a;
      kernels_->ntt_forward(x.data(), t);
      // All positions of short transforms, a sample of long ones (every stage and lane is hit by the odd stride).
      const std::size_t step = n <= 256 ? 1 : n / 13;
      for (std::size_t i = 0; i < n; i += step) {
        const std::uint32_t point = pow_mod(t.psi, 2 * bit_reverse(i, log_n) + 1, t.modulus);
        ASSERT_EQ(x[i], evaluate(a, point, t.modulus)) << "log_n " << log_n << " q " << q << " i " << i;
      }
    }
  }
}

TEST_P(Ntt, PointwiseProductIsTheNegacyclicProduct) {
  for (int log_n = 1; log_n <= 10; ++log_n) {
    const std::size_t n = std::size_t{1} << log_n;
    for (const std::uint32_t q : primes_for(log_n)) {
      const NttTables t = make_tables(log_n, q);
      const Vector a = random_vector(n, q, 1), b = random_vector(n, q, 2);
      Vector x = a, y = b;
      kernels_->ntt_forward(x.data(), t);
      kernels_->ntt_forward(y.data(), t);
      for (std::size_t i = 0; i < n; ++i) x[i] = mul_mod(x[i], y[i], t.modulus);
      kernels_->ntt_inverse(x.data(), t);
      ASSERT_EQ(x, negacyclic_product(a, b, t.modulus)) << "log_n " << log_n << " q " << q;
    }
  }
}

TEST_P(Ntt, InverseUndoesForward) {
  for (int log_n = 1; log_n <= 17; ++log_n) {
    const std::size_t n = std::size_t{1} << log_n;
    for (const std::uint32_t q : primes_for(log_n)) {
      const NttTables t = make_tables(log_n, q);
      for (const Vector& a : {random_vector(n, q, 3), Vector(n, q - 1), Vector(n, 0)}) {
        Vector x = a;
        kernels_->ntt_forward(x.data(), t);
        kernels_->ntt_inverse(x.data(), t);
        ASSERT_EQ(x, a) << "log_n " << log_n << " q " << q;
      }
    }
  }
}

TEST_P(Ntt, LazyInputsGiveCanonicalResults) {
  for (int log_n = 1; log_n <= 17; ++log_n) {
    const std::size_t n = std::size_t{1} << log_n;
    for (const std::uint32_t q : primes_for(log_n)) {
      const NttTables t = make_tables(log_n, q);
      for (const Vector& lazy : {random_vector(n, 4 * q, 4), Vector(n, 4 * q - 1)}) {
        Vector canonical = lazy;
        for (auto& v : canonical) v %= q;
        Vector x = lazy;
        kernels_->ntt_forward(x.data(), t);
        kernels_for("scalar")->ntt_forward(canonical.data(), t);
        ASSERT_EQ(x, canonical) << "forward, log_n " << log_n << " q " << q;
      }
      for (const Vector& lazy : {random_vector(n, 2 * q, 5), Vector(n, 2 * q - 1)}) {
        Vector canonical = lazy;
        for (auto& v : canonical) v %= q;
        Vector x = lazy;
        kernels_->ntt_inverse(x.data(), t);
        kernels_for("scalar")->ntt_inverse(canonical.data(), t);
        ASSERT_EQ(x, canonical) << "inverse, log_n " << log_n << " q " << q;
      }
    }
  }
}

// The property that periodic plaintexts rest on (NttTables).
TEST_P(Ntt, SubringElementsAreConstantOnRuns) {
  constexpr int kLogN = 12, kLogRun = 5;
  const Modulus m(ntt_primes(kLogN, 30, 1).front());
  const NttTables large(kLogN, m, find_primitive_root(kLogN, m));
  const NttTables small(kLogN - kLogRun, m, pow_mod(large.psi, 1U << kLogRun, m));
  Vector values = random_vector(std::size_t{1} << (kLogN - kLogRun), m.q, 6);
  Vector sparse(std::size_t{1} << kLogN, 0);
  for (std::size_t i = 0; i < values.size(); ++i) sparse[i << kLogRun] = values[i];
  kernels_->ntt_forward(sparse.data(), large);
  kernels_->ntt_forward(values.data(), small);
  for (std::size_t i = 0; i < sparse.size(); ++i) ASSERT_EQ(sparse[i], values[i >> kLogRun]) << i;
}

TEST_P(Ntt, WorksOnUnalignedArrays) {
  for (const int log_n : {3, 8, 9, 12, 16}) {
    const std::size_t n = std::size_t{1} << log_n;
    const NttTables t = make_tables(log_n, ntt_primes(log_n, 30, 1).front());
    const Vector a = random_vector(n, t.modulus.q, 7);
    Vector expected = a, shifted(n + 2, 0xdeadbeef);
    std::copy(a.begin(), a.end(), shifted.begin() + 1);
    kernels_for("scalar")->ntt_forward(expected.data(), t);
    kernels_->ntt_forward(shifted.data() + 1, t);
    EXPECT_EQ(Vector(shifted.begin() + 1, shifted.end() - 1), expected);
    kernels_->ntt_inverse(shifted.data() + 1, t);
    EXPECT_EQ(Vector(shifted.begin() + 1, shifted.end() - 1), a);
    EXPECT_EQ(shifted.front(), 0xdeadbeef);
    EXPECT_EQ(shifted.back(), 0xdeadbeef);
  }
}

TEST(NttTables, HoldThePowersInBitReversedOrder) {
  for (const int log_n : {1, 6, 7, 8, 11}) {
    const NttTables t = make_tables(log_n, 786433);
    const std::size_t n = std::size_t{1} << log_n;
    for (std::size_t i = 1; i < n; ++i) {
      const auto [root, companion] = t.root(i);
      const auto [inverse, inverse_companion] = t.inverse_root(i);
      ASSERT_EQ(root, pow_mod(t.psi, bit_reverse(i, log_n), t.modulus)) << "node " << i << " of " << n;
      ASSERT_EQ(mul_mod(root, inverse, t.modulus), 1U);
      ASSERT_EQ(companion, shoup(root, t.modulus));
      ASSERT_EQ(inverse_companion, shoup(inverse, t.modulus));
    }
    EXPECT_EQ(mul_mod(t.n_inverse, static_cast<std::uint32_t>(n), t.modulus), 1U);
    EXPECT_EQ(t.roots.size(), n < NttTables::kTailBlock ? n : n / 8) << "the rest is in the tail";
  }
}

TEST(NttTables, RefuseWrongRoots) {
  const Modulus m(786433);
  const std::uint32_t psi = find_primitive_root(8, m);
  EXPECT_THROW(NttTables(9, m, psi), Error);
  EXPECT_THROW(NttTables(7, m, psi), Error);
  EXPECT_THROW(NttTables(8, m, 1), Error);
  EXPECT_THROW(NttTables(8, m, psi + m.q), Error);
  EXPECT_THROW(NttTables(0, m, m.q - 1), Error);
  EXPECT_THROW(NttTables(18, m, psi), Error);
}

TEST(FindPrimitiveRoot, IsTheSmallest) {
  const Modulus m(257);
  for (int log_n = 1; log_n <= 7; ++log_n) {
    std::uint32_t smallest = 1;
    while (pow_mod(smallest, 1U << log_n, m) != m.q - 1) ++smallest;
    EXPECT_EQ(find_primitive_root(log_n, m), smallest);
  }
  EXPECT_THROW(find_primitive_root(8, m), Error);
}

}  // namespace
}  // namespace hearth::ring
