#include "ring/kernels/kernels.h"

#include <gmpxx.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "ring/ntt.h"
#include "ring/packed.h"

namespace hearth::ring {
namespace {

using Vector = std::vector<std::uint32_t>;
using Rows = std::vector<Vector>;

constexpr std::uint32_t kGuard = 0xdeadbeef;

std::mt19937_64& generator() {
  static std::mt19937_64 random(20240901);
  return random;
}

/// Uniform below `bound`, with the two ends of the range over-represented.
Vector random_vector(std::size_t n, std::uint64_t bound) {
  auto& random = generator();
  Vector x(n);
  for (auto& v : x) {
    const std::uint64_t draw = random();
    const std::uint64_t kind = draw >> 60;
    v = static_cast<std::uint32_t>(kind == 0 ? 0 : kind == 1 ? bound - 1 : (draw & 0xfffffffffff) % bound);
  }
  return x;
}

std::vector<const std::uint32_t*> pointers(const Rows& rows) {
  std::vector<const std::uint32_t*> out;
  for (const Vector& row : rows) out.push_back(row.data());
  return out;
}

const Kernels& scalar() { return *kernels_for("scalar"); }

/// The largest primes below 2^30, one just above 2^29, and small ones.
Vector primes() { return {1073741789, 1073479681, 536903681, 786433, 65537, 257}; }

class KernelsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    kernels_ = kernels_for(GetParam());
    if (!kernels_) GTEST_SKIP() << "skipped: this CPU lacks " << GetParam();
  }

  /// Calls body(modulus, n, alignment offset in words) over primes and sizes: all of the short sizes on every prime,
  /// the long ones on one.
  template <typename Body>
  void for_sizes(int max_log, Body&& body) {
    for (const std::uint32_t q : primes()) {
      const Modulus m(q);
      for (int log_n = 0; log_n <= (q == primes().front() ? max_log : std::min(max_log, 9)); ++log_n) {
        body(m, std::size_t{1} << log_n, static_cast<std::size_t>(log_n % 3));
      }
    }
  }

  const Kernels* kernels_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(InstructionSets, KernelsTest, testing::Values("scalar", "avx2", "avx512"),
                         [](const auto& set) { return std::string(set.param); });

/// Runs call(out, first argument) once into a fresh array between guards and once in place of the first argument.
template <typename Call>
void expect_result(const Vector& expected, const Vector& argument, std::size_t offset, Call&& call) {
  const std::size_t n = expected.size();
  Vector input(n + offset);
  std::copy(argument.begin(), argument.end(), input.begin() + static_cast<std::ptrdiff_t>(offset));
  Vector out(n + offset + 1, kGuard);
  call(out.data() + offset, input.data() + offset);
  EXPECT_EQ(out.back(), kGuard);
  EXPECT_EQ(Vector(out.begin() + static_cast<std::ptrdiff_t>(offset), out.end() - 1), expected);
  call(input.data() + offset, input.data() + offset);
  EXPECT_EQ(Vector(input.begin() + static_cast<std::ptrdiff_t>(offset), input.end()), expected) << "in place";
}

TEST_P(KernelsTest, AddSubNegateMul) {
  for_sizes(17, [&](const Modulus& m, std::size_t n, std::size_t offset) {
    SCOPED_TRACE(testing::Message() << "q " << m.q << " n " << n);
    const Vector a = random_vector(n, m.q), b = random_vector(n, m.q);
    Vector sum(n), difference(n), negative(n), product(n);
    for (std::size_t i = 0; i < n; ++i) {
      sum[i] = add_mod(a[i], b[i], m);
      difference[i] = sub_mod(a[i], b[i], m);
      negative[i] = sub_mod(0, a[i], m);
      product[i] = mul_mod(a[i], b[i], m);
    }
    expect_result(sum, a, offset, [&](auto* out, const auto* x) { kernels_->add(out, x, b.data(), n, m); });
    expect_result(difference, a, offset, [&](auto* out, const auto* x) { kernels_->sub(out, x, b.data(), n, m); });
    expect_result(negative, a, offset, [&](auto* out, const auto* x) { kernels_->negate(out, x, n, m); });
    expect_result(product, a, offset, [&](auto* out, const auto* x) { kernels_->mul(out, x, b.data(), n, m); });
    // In place of the second argument.
    Vector second = b;
    kernels_->sub(second.data(), a.data(), second.data(), n, m);
    EXPECT_EQ(second, difference);
  });
}

TEST_P(KernelsTest, MulScalarAcceptsAnyWord) {
  for_sizes(17, [&](const Modulus& m, std::size_t n, std::size_t offset) {
    SCOPED_TRACE(testing::Message() << "q " << m.q << " n " << n);
    const Vector a = random_vector(n, std::uint64_t{1} << 32);
    for (const std::uint32_t w : {0U, 1U, m.q - 1, random_vector(1, m.q)[0]}) {
      Vector expected(n);
      for (std::size_t i = 0; i < n; ++i) expected[i] = mul_mod(a[i], w, m);
      expect_result(expected, a, offset,
                    [&](auto* out, const auto* x) { kernels_->mul_scalar(out, x, w, shoup(w, m), n, m); });
    }
  });
}

/// Bit by bit: word 240 + lane of a group is spread over the top bits of the 15 words above it in its column.
TEST_P(KernelsTest, UnpackWhatWasPacked) {
  for (const std::size_t n : {std::size_t{256}, std::size_t{512}, std::size_t{1} << 13}) {
    const std::size_t offset = n / 256 % 3;
    const Vector words = random_vector(n, std::uint64_t{1} << 30);
    Vector packed(packed_words(n) + offset + 1, kGuard);
    pack_words(packed.data() + offset, words.data(), n);
    EXPECT_EQ(packed.back(), kGuard);
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t group = i / 256, row = i % 256 / 16, lane = i % 16;
      const std::uint32_t* const column = packed.data() + offset + 240 * group + lane;
      for (std::size_t bit = 0; bit < 30; ++bit) {
        const std::uint32_t stored = row < 15 ? column[16 * row] >> bit : column[bit / 2 * 16] >> (30 + bit % 2);
        ASSERT_EQ(stored & 1, words[i] >> bit & 1) << "bit " << bit << " of word " << i;
      }
    }
    Vector out(n + offset + 1, kGuard);
    kernels_->unpack(out.data() + offset, packed.data() + offset, n);
    EXPECT_EQ(out.back(), kGuard);
    EXPECT_EQ(Vector(out.begin() + static_cast<std::ptrdiff_t>(offset), out.end() - 1), words);
    // Bits that no residue has are not kept, and reach no other word.
    Vector dirty = words;
    for (std::size_t i = 0; i < n; i += 3) dirty[i] |= 3U << 30;
    pack_words(packed.data() + offset, dirty.data(), n);
    kernels_->unpack(out.data() + offset, packed.data() + offset, n);
    EXPECT_EQ(Vector(out.begin() + static_cast<std::ptrdiff_t>(offset), out.end() - 1), words);
  }
}

TEST_P(KernelsTest, SubMulScalar) {
  for_sizes(17, [&](const Modulus& m, std::size_t n, std::size_t offset) {
    SCOPED_TRACE(testing::Message() << "q " << m.q << " n " << n);
    const Vector a = random_vector(n, m.q), b = random_vector(n, m.q);
    for (const std::uint32_t w : {0U, m.q - 1, random_vector(1, m.q)[0]}) {
      Vector expected(n);
      for (std::size_t i = 0; i < n; ++i) expected[i] = mul_mod(sub_mod(a[i], b[i], m), w, m);
      expect_result(expected, a, offset, [&](auto* out, const auto* x) {
        kernels_->sub_mul_scalar(out, x, b.data(), w, shoup(w, m), n, m);
      });
      // The way rounded division calls it: the result replaces the subtrahend.
      Vector second = b;
      kernels_->sub_mul_scalar(second.data(), a.data(), second.data(), w, shoup(w, m), n, m);
      EXPECT_EQ(second, expected);
    }
  });
}

/// sum_k a[k][i] b[k][i >> log_run] / 2^32 mod q in exact integers.
Vector exact_dot(const Rows& a, const Rows& b, int log_run, std::size_t n, const Modulus& m) {
  const std::uint32_t scale = inv_mod(m.r1, m);
  Vector out(n);
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t sum = 0;
    for (std::size_t k = 0; k < a.size(); ++k) sum = add_mod(sum, mul_mod(a[k][i], b[k][i >> log_run], m), m);
    out[i] = mul_mod(sum, scale, m);
  }
  return out;
}

void check_dot(const Kernels& kernels, const Modulus& m, std::size_t n, int log_run, const Rows& a, const Rows& b) {
  SCOPED_TRACE(testing::Message() << "q " << m.q << " n " << n << " run 2^" << log_run << " count " << a.size());
  const Vector expected = exact_dot(a, b, log_run, n, m);
  Vector out(n + 1, kGuard);
  kernels.dot(out.data(), pointers(a).data(), pointers(b).data(), a.size(), log_run, false, n, m);
  EXPECT_EQ(out.back(), kGuard);
  out.pop_back();
  EXPECT_EQ(out, expected);
  const Vector before = random_vector(n, m.q);
  Vector sum = before, total(n);
  kernels.dot(sum.data(), pointers(a).data(), pointers(b).data(), a.size(), log_run, true, n, m);
  for (std::size_t i = 0; i < n; ++i) total[i] = add_mod(before[i], expected[i], m);
  EXPECT_EQ(sum, total);
}

TEST_P(KernelsTest, DotOfRandomRows) {
  for_sizes(10, [&](const Modulus& m, std::size_t n, std::size_t) {
    for (int log_run = 0; (std::size_t{1} << log_run) <= n; ++log_run) {
      for (const std::size_t count : {0, 1, 2, 3, 7, 8, 9, 16, 17, 31, 50}) {
        Rows a, b;
        for (std::size_t k = 0; k < count; ++k) {
          a.push_back(random_vector(n, m.q));
          b.push_back(random_vector(n >> log_run, m.q));
        }
        check_dot(*kernels_, m, n, log_run, a, b);
      }
    }
  });
}

TEST_P(KernelsTest, DotOfTheLargestValuesDoesNotOverflow) {
  for (const std::uint32_t q : primes()) {
    const Modulus m(q);
    for (std::size_t count = 1; count < 70; ++count) {
      const Rows a(count, Vector(128, q - 1));
      check_dot(*kernels_, m, 128, 0, a, a);
      check_dot(*kernels_, m, 128, 5, a, Rows(count, Vector(4, q - 1)));
    }
  }
}

TEST_P(KernelsTest, DotOfLongRows) {
  const Modulus m(primes().front());
  const std::size_t n = std::size_t{1} << 17;
  for (const int log_run : {0, 6, 17}) {
    Rows a, b;
    for (int k = 0; k < 3; ++k) {
      a.push_back(random_vector(n, m.q));
      b.push_back(random_vector(n >> log_run, m.q));
    }
    check_dot(*kernels_, m, n, log_run, a, b);
  }
}

TEST_P(KernelsTest, DotOfPackedRows) {
  for (const std::uint32_t q : primes()) {
    const Modulus m(q);
    for (const std::size_t n : {std::size_t{256}, std::size_t{768}, std::size_t{1} << 13}) {
      for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{3}, std::size_t{4}, kMostPacked}) {
        SCOPED_TRACE(testing::Message() << "q " << q << " n " << n << " count " << count);
        Rows a, b, packed;
        for (std::size_t k = 0; k < count; ++k) {
          const bool largest = k % 4 == 3;
          a.push_back(largest ? Vector(n, q - 1) : random_vector(n, q));
          b.push_back(largest ? Vector(n, q - 1) : random_vector(n, q));
          packed.emplace_back(packed_words(n));
          pack_words(packed.back().data(), b.back().data(), n);
        }
        const Vector expected = exact_dot(a, b, 0, n, m), before = random_vector(n, q);
        for (const bool accumulate : {false, true}) {
          Vector out = before;
          out.push_back(kGuard);
          kernels_->dot_packed(out.data(), pointers(a).data(), pointers(packed).data(), count, accumulate, n, m);
          EXPECT_EQ(out.back(), kGuard);
          for (std::size_t i = 0; i < n; ++i) {
            ASSERT_EQ(out[i], accumulate ? add_mod(before[i], expected[i], m) : expected[i]) << i;
          }
        }
      }
    }
  }
}

/// The constants of a conversion in exact integers, independent of BaseConverter.
struct Conversion {
  Conversion(const Vector& from, const Vector& to) {
    for (const std::uint32_t q : from) source.emplace_back(q), product *= q;
    for (const std::uint32_t p : to) target.emplace_back(p);
    bool narrow = true;
    for (const Modulus& q : source) {
      hat_inv.push_back(inv_mod(static_cast<std::uint32_t>(mpz_class(product / q.q % q.q).get_ui()), q));
      hat_inv_shoup.push_back(shoup(hat_inv.back(), q));
      reciprocal64.push_back((std::uint64_t{1} << 58) / q.q);
      reciprocal.push_back(static_cast<std::uint32_t>(reciprocal64.back()));
      narrow = narrow && q.q > (1U << 26);
    }
    for (const Modulus& p : target) {
      for (const Modulus& q : source) hat.push_back(montgomery(product / q.q, p));
      neg_q.push_back(montgomery(-product, p));
    }
    view = {.k = source.size(),
            .m = target.size(),
            .source = source.data(),
            .target = target.data(),
            .hat_inv = hat_inv.data(),
            .hat_inv_shoup = hat_inv_shoup.data(),
            .reciprocal = narrow ? reciprocal.data() : nullptr,
            .reciprocal64 = reciprocal64.data(),
            .hat = hat.data(),
            .neg_q = neg_q.data()};
  }
  static std::uint32_t residue(const mpz_class& x, std::uint32_t p) {
    return static_cast<std::uint32_t>(mpz_fdiv_ui(x.get_mpz_t(), p));
  }
  static std::uint32_t montgomery(const mpz_class& x, const Modulus& p) { return mul_mod(residue(x, p.q), p.r1, p); }

  mpz_class product = 1;
  std::vector<Modulus> source, target;
  Vector hat_inv, hat_inv_shoup, reciprocal, hat, neg_q;
  std::vector<std::uint64_t> reciprocal64;
  BaseConvertView view;
};

/// Values that span [-Q/2, Q/2): random, tiny ones of both signs, and the ends (one part in 2^19 inside, where the
/// quotient's rounding is exact).
std::vector<mpz_class> conversion_inputs(const mpz_class& product, std::size_t n) {
  gmp_randclass random(gmp_randinit_default);
  random.seed(n);
  const mpz_class half = product / 2, margin = product >> 20;
  std::vector<mpz_class> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    switch (i % 8) {
      case 0:
        x[i] = half - margin - 1;
        break;
      case 1:
        x[i] = margin + 1 - half;
        break;
      case 2:
        x[i] = random.get_z_range(64) - 32;
        break;
      default:
        x[i] = random.get_z_range(product - 2 * margin - 1) - (half - margin);
        break;
    }
  }
  return x;
}

void check_conversion(const Kernels& kernels, const Vector& from, const Vector& to, std::size_t n) {
  SCOPED_TRACE(testing::Message() << from.size() << " -> " << to.size() << " n " << n);
  const Conversion c(from, to);
  const auto x = conversion_inputs(c.product, n);
  Rows in(from.size(), Vector(n)), out(to.size(), Vector(n + 1, kGuard));
  for (std::size_t s = 0; s < from.size(); ++s) {
    for (std::size_t i = 0; i < n; ++i) in[s][i] = Conversion::residue(x[i], from[s]);
  }
  std::vector<std::uint32_t*> out_rows;
  for (Vector& row : out) out_rows.push_back(row.data());
  kernels.base_convert(out_rows.data(), pointers(in).data(), c.view, n);
  for (std::size_t t = 0; t < to.size(); ++t) {
    EXPECT_EQ(out[t][n], kGuard);
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(out[t][i], Conversion::residue(x[i], to[t])) << "target " << to[t] << " value " << x[i];
    }
  }
}

TEST_P(KernelsTest, BaseConvertIsExact) {
  const Vector wide = ntt_primes(11, 30, 60);
  const Vector mixed = {1073741789, 786433, 65537, 7340033, 257, 536903681};
  for (const std::size_t n : {1, 2, 8, 16, 32, 64, 128, 1024}) {
    for (const std::size_t k : {1, 2, 3, 4, 5, 8, 12, 17, 48}) {
      const Vector from(wide.begin(), wide.begin() + static_cast<std::ptrdiff_t>(k));
      for (const std::size_t m : {1, 2, 3, 7, 12}) {
        check_conversion(*kernels_, from, Vector(wide.end() - static_cast<std::ptrdiff_t>(m), wide.end()), n);
      }
      check_conversion(*kernels_, from, {786433, 257, 12289}, n);
    }
    check_conversion(*kernels_, mixed, Vector(wide.begin(), wide.begin() + 5), n);
    check_conversion(*kernels_, {257}, {1073479681}, n);
  }
}

// At the very middle of the range the rounded quotient may go either way; every table must take the same way.
TEST_P(KernelsTest, BaseConvertAgreesWithScalarOnAnyResidues) {
  const Vector wide = ntt_primes(11, 30, 20);
  for (const std::size_t k : {1, 2, 6, 12}) {
    const Conversion c(Vector(wide.begin(), wide.begin() + static_cast<std::ptrdiff_t>(k)),
                       Vector(wide.begin() + 12, wide.end()));
    const std::size_t n = 4096;
    Rows in, expected(8, Vector(n)), out(8, Vector(n));
    for (std::size_t s = 0; s < k; ++s) in.push_back(random_vector(n, wide[s]));
    const mpz_class half = c.product / 2;
    for (std::size_t i = 0; i < 64; ++i) {
      const mpz_class near_half = half + static_cast<int>(i) - 32;
      for (std::size_t s = 0; s < k; ++s) in[s][i] = Conversion::residue(near_half, wide[s]);
    }
    std::vector<std::uint32_t*> rows, expected_rows;
    for (std::size_t t = 0; t < 8; ++t) rows.push_back(out[t].data()), expected_rows.push_back(expected[t].data());
    kernels_->base_convert(rows.data(), pointers(in).data(), c.view, n);
    scalar().base_convert(expected_rows.data(), pointers(in).data(), c.view, n);
    EXPECT_EQ(out, expected);
  }
}

std::size_t bit_reverse(std::size_t x, int bits) {
  std::size_t out = 0;
  for (int i = 0; i < bits; ++i) out = 2 * out + ((x >> i) & 1);
  return out;
}

TEST_P(KernelsTest, AutomorphismFollowsItsDefinition) {
  for (int log_n = 0; log_n <= 17; ++log_n) {
    const std::size_t n = std::size_t{1} << log_n;
    const Vector in = random_vector(n, std::uint64_t{1} << 32);
    Vector exponents = {1, 5, 3, static_cast<std::uint32_t>(2 * n - 1), 25};
    for (int i = 0; i < 5; ++i) exponents.push_back(random_vector(1, n)[0] * 2 + 1);
    for (const std::uint32_t g : exponents) {
      Vector out(n + 1, kGuard);
      kernels_->automorphism(out.data(), in.data(), g, log_n);
      ASSERT_EQ(out.back(), kGuard);
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t exponent = std::size_t{g} * (2 * bit_reverse(i, log_n) + 1) % (2 * n);
        ASSERT_EQ(out[i], in[bit_reverse(exponent / 2, log_n)]) << "log_n " << log_n << " g " << g << " i " << i;
      }
    }
  }
}

// The definition above, tied to polynomials: transforming a(X^g) is permuting the transform of a.
TEST_P(KernelsTest, AutomorphismSubstitutesPowersOfX) {
  for (const int log_n : {3, 6, 11}) {
    const std::size_t n = std::size_t{1} << log_n;
    const Modulus m(ntt_primes(log_n, 30, 1).front());
    const NttTables t(log_n, m, find_primitive_root(log_n, m));
    Vector a = random_vector(n, m.q);
    for (const std::size_t g : {std::size_t{5}, 2 * n - 1, std::size_t{11}}) {
      Vector substituted(n), x = a, out(n);
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t e = i * g % (2 * n);
        substituted[e % n] = e < n ? a[i] : sub_mod(0, a[i], m);
      }
      kernels_->ntt_forward(x.data(), t);
      kernels_->automorphism(out.data(), x.data(), static_cast<std::uint32_t>(g), log_n);
      kernels_->ntt_forward(substituted.data(), t);
      EXPECT_EQ(out, substituted) << "log_n " << log_n << " g " << g;
    }
  }
}

TEST(Dispatch, KnowsItsTables) {
  EXPECT_STREQ(kernels_for("scalar")->name, "scalar");
  EXPECT_EQ(kernels_for("neon"), nullptr);
  EXPECT_EQ(&kernels(), kernels_for(kernels().name));
}

/// Exits with 0 if the environment variable leads to the table of this name, with 1 if to another, with 2 on an error.
[[noreturn]] void exit_with_choice(const char* value, const std::string& expected) {
  setenv("HEARTH_ISA", value, 1);
  try {
    std::exit(kernels().name == expected ? 0 : 1);
  } catch (const Error& e) {
    std::exit(e.kind() == ErrorKind::kInvalidArgument ? 2 : 3);
  }
}

// A process chooses once, so each choice needs a process.
TEST(DispatchDeathTest, EnvironmentCapsTheInstructionSet) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(exit_with_choice("scalar", "scalar"), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(exit_with_choice("avx2", kernels_for("avx2") ? "avx2" : "scalar"), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(exit_with_choice("sse9", ""), testing::ExitedWithCode(2), "");
}

}  // namespace
}  // namespace hearth::ring
