// The modulus chain of networks with bootstraps.
#include <algorithm>

#include "ckks/bootstrap/wrap_bound.h"
#include "ckks/polynomial.h"
#include "compiler/activations.h"
#include "compiler/lower.h"

namespace hearth::compiler {
namespace {

constexpr int kMainWeight = 512;         // h of the main secret
constexpr int kEncapsulatedWeight = 32;  // of the one under which ModRaise works
constexpr int kMaxPrimes = 64;
/// log2 of the probability that any bootstrap of a run leaves the range of its exponential.
constexpr double kLog2Failure = -40;

/// Splits `total` stages evenly over `parts`, the larger ones first.
std::vector<int> split(int total, int parts) {
  std::vector<int> out;
  for (int i = 0; i < parts; ++i) out.push_back(total / parts + (i < total % parts ? 1 : 0));
  return out;
}

/// Primes a digit for q primes beside `available` special ones: as few digits as possible, the special modulus one
/// prime larger than a digit so that key switching adds less than rounding does. 0 when nothing fits.
int digit_primes(int q, int available) {
  for (int digits = 1; digits <= q; ++digits) {
    const int width = (q + digits - 1) / digits;
    if (width + 1 <= available) return width;
  }
  return 0;
}

}  // namespace

std::optional<BootstrapChain> choose_bootstrap_chain(int log_n, int linear_levels, int coefficients, int bootstraps,
                                                     ckks::Security security) {
  BootstrapChain chain;
  ckks::BootstrapSpec& boot = chain.bootstrap;
  boot.stc_radices = split(log_n - 1, kActivationLevel);
  boot.cts_radices = split(log_n - 1, 3);
  boot.wrap_bound = ckks::smallest_wrap_bound(kEncapsulatedWeight, log_n, std::max(bootstraps, 1), kLog2Failure);
  boot.doublings = 4;
  boot.exp_degree = ckks::exponential_degree(boot.wrap_bound, boot.doublings, 0x1p-17);
  const int bottom = kActivationLevel + linear_levels;
  const int max_level = bottom + ckks::polynomial_depth(coefficients - 1) + boot.doublings +
                        ckks::polynomial_depth(boot.exp_degree) + static_cast<int>(boot.cts_radices.size());
  ckks::ParameterSpec& spec = chain.parameters;
  spec.log_n = log_n;
  spec.security = security;
  spec.secret = ckks::SecretKind::kSparseTernary;
  spec.hamming_weight = kMainWeight;
  spec.encapsulated_weight = kEncapsulatedWeight;
  if (spec.hamming_weight > 1 << (log_n - 1)) spec.hamming_weight = 1 << (log_n - 1);
  if (spec.encapsulated_weight > 1 << (log_n - 1)) spec.encapsulated_weight = 1 << (log_n - 1);
  int budget = kMaxPrimes;
  if (security == ckks::Security::kBits128) {
    budget = std::min(budget, static_cast<int>(ckks::max_log_qp_128(log_n, spec.secret, spec.hamming_weight) /
                                               static_cast<double>(kPrimeBits)));
  }
  const int primes = max_level + 1;
  const int top_digit = digit_primes(primes, std::min(budget - primes, kMaxPrimes - primes));
  if (top_digit == 0) return std::nullopt;
  const int bottom_digit = std::min(top_digit, bottom + 1);
  spec.levels.assign(static_cast<std::size_t>(primes), {kPrimeBits});
  spec.special_bits.assign(static_cast<std::size_t>(top_digit) + 1, kPrimeBits);
  spec.key_sets = {{0, 1, 1}, {bottom, bottom_digit, bottom_digit + 1}, {max_level, top_digit, top_digit + 1}};
  return chain;
}

}  // namespace hearth::compiler
