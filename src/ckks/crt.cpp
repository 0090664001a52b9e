#include "ckks/crt.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "ring/random.h"

namespace hearth::ckks {
namespace {

using ring::Modulus;

constexpr std::size_t kBlock = 256;        ///< coefficients handled together
constexpr std::size_t kLazyProducts = 15;  ///< products of two 30-bit numbers that fit 64 bits beside a remainder

/// Garner's mixed radix representation (Knuth, TAOCP vol. 2, 4.3.2): x = d_0 + d_1 q_0 + d_2 q_0 q_1 + .., d_i in [0,
/// q_i).
class MixedRadix {
 public:
  MixedRadix(const ring::Ring& ring, const ring::Basis& basis) {
    for (const int prime : basis) moduli_.push_back(ring.modulus(prime));
    const std::size_t k = moduli_.size();
    weights_.resize(k * k);
    for (std::size_t i = 0; i < k; ++i) {
      std::uint32_t weight = 1;
      for (std::size_t j = 0; j < i; ++j) {
        weights_[i * k + j] = weight;
        weight = mul_mod(weight, moduli_[j].q % moduli_[i].q, moduli_[i]);
      }
      inverses_.push_back(inv_mod(weight, moduli_[i]));
    }
  }

  /// Digits of the coefficients [begin, begin + count) of `poly`, digit i at digits[i * kBlock].
  void digits(const ring::Poly& poly, std::size_t begin, std::size_t count, std::uint32_t* digits) const {
    for (std::size_t i = 0; i < moduli_.size(); ++i) {
      const Modulus& m = moduli_[i];
      std::uint64_t known[kBlock] = {};
      sum_of_known_digits(digits, i, count, known);
      const std::uint32_t* x = poly.limb(i) + begin;
      std::uint32_t* digit = digits + i * kBlock;
      for (std::size_t c = 0; c < count; ++c) {
        const std::uint64_t rest = std::uint64_t{x[c]} + m.q - known[c] % m.q;
        digit[c] = static_cast<std::uint32_t>(rest * inverses_[i] % m.q);
      }
      ring::secure_wipe(known, sizeof known);
    }
  }

  /// The number with these digits, minus M when above M/2. (M - 1)/2 has the digits (q_i - 1)/2, and M - 1 - x has the
  /// digits q_i - 1 - d_i, so sign and magnitude need no long arithmetic and nothing cancels.
  double centred(const std::uint32_t* digits) const {
    const std::size_t k = moduli_.size();
    std::uint32_t negative = 0;
    for (std::size_t i = 0; i < k; ++i) {
      const std::uint32_t digit = digits[i * kBlock], half = moduli_[i].q / 2;
      negative = std::uint32_t{digit > half} | (std::uint32_t{digit == half} & negative);
    }
    const std::uint32_t mask = 0U - negative;
    long double magnitude = 0;
    for (std::size_t i = k; i-- > 0;) {
      const std::uint32_t digit = digits[i * kBlock];
      const std::uint32_t chosen = digit ^ ((digit ^ (moduli_[i].q - 1 - digit)) & mask);
      magnitude = magnitude * moduli_[i].q + chosen;
    }
    const long double sign = 1 - 2 * static_cast<long double>(negative);
    return static_cast<double>(sign * (magnitude + negative));
  }

 private:
  /// known[c] = sum of digits j < i times their weights, modulo q_i up to a multiple.
  void sum_of_known_digits(const std::uint32_t* digits, std::size_t i, std::size_t count, std::uint64_t* known) const {
    const std::uint32_t* weights = weights_.data() + i * moduli_.size();
    for (std::size_t j = 0; j < i; ++j) {
      if (j % kLazyProducts == 0) {
        for (std::size_t c = 0; c < count; ++c) known[c] %= moduli_[i].q;
      }
      const std::uint32_t* digit = digits + j * kBlock;
      const std::uint64_t weight = weights[j];
      for (std::size_t c = 0; c < count; ++c) known[c] += digit[c] * weight;
    }
  }

  std::vector<Modulus> moduli_;
  std::vector<std::uint32_t> weights_;   ///< [i][j]: q_0 .. q_{j-1} mod q_i
  std::vector<std::uint32_t> inverses_;  ///< (q_0 .. q_{i-1})^-1 mod q_i
};

}  // namespace

void reconstruct_centred(const ring::Ring& ring, const ring::Poly& poly, std::span<double> out) {
  require(poly.domain() == ring::Domain::kCoefficient && out.size() == poly.size() && !poly.empty(),
          ErrorKind::kInternal, "reconstruction needs {} coefficients in the coefficient domain", out.size());
  const MixedRadix radix(ring, poly.basis());
  parallel_for(0, (out.size() + kBlock - 1) / kBlock, [&](std::size_t block) {
    const std::size_t begin = block * kBlock, count = std::min(kBlock, out.size() - begin);
    std::vector<std::uint32_t> digits(poly.limbs() * kBlock);
    radix.digits(poly, begin, count, digits.data());
    for (std::size_t c = 0; c < count; ++c) out[begin + c] = radix.centred(digits.data() + c);
    ring::secure_wipe(digits);
  });
}

}  // namespace hearth::ckks
