#include "compiler/bootstrap_cost.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "ckks/polynomial.h"

namespace hearth::compiler {
namespace {

/// Costs of the operations of a chain by level.
class ChainCosts {
 public:
  ChainCosts(const ckks::ParameterSpec& parameters, const LimbCosts& costs) : parameters_(parameters), costs_(costs) {
    int count = 0;
    for (const auto& level : parameters.levels) primes_.push_back(count += static_cast<int>(level.size()));
  }

  SwitchCosts at(int level) const {
    const auto set = std::find_if(parameters_.key_sets.begin(), parameters_.key_sets.end(),
                                  [&](const ckks::KeySetSpec& s) { return s.max_level >= level; });
    return {primes_[static_cast<std::size_t>(level)], set->digit_primes, set->special_primes, costs_};
  }
  /// Relinearised and rescaled.
  double product(int level) const {
    const SwitchCosts c = at(level);
    return c.raise + c.multiply + 2 * c.mod_down + c.rescale +
           6 * primes_[static_cast<std::size_t>(level)] * costs_.pass;
  }
  double pass(int level) const { return primes_[static_cast<std::size_t>(level)] * costs_.pass; }

 private:
  const ckks::ParameterSpec& parameters_;
  const LimbCosts& costs_;
  std::vector<int> primes_;
};

/// A factor of the embedding that merges `radix` stages; the one with the longest butterflies wraps around and has half
/// the diagonals.
double factor_seconds(const SwitchCosts& c, int radix, bool wraps) {
  const double diagonals = std::exp2(wraps ? radix : radix + 1) - (wraps ? 0 : 1);
  double best = 1e300;
  for (double babies = 1; babies <= diagonals; babies *= 2) {
    const double giants = std::ceil(diagonals / babies);
    best = std::min(best, c.raise + (babies - 1) * c.baby() + (giants - 1) * c.giant());
  }
  return best + diagonals * c.diagonal + 2 * c.mod_down + c.rescale;
}

/// Baby-step giant-step evaluation from `level` on, as ckks::evaluate_polynomial does it: powers below the leaf size
/// and powers of two, one product for every quotient that is not constant, linear combinations at the leaves.
double polynomial_seconds(const ChainCosts& chain, int level, int coefficients) {
  const int degree = coefficients - 1;
  const int leaf = 1 << ((std::bit_width(static_cast<unsigned>(degree)) + 1) / 2);
  double sum = 0;
  for (int i = 2; i <= degree; ++i) {
    const bool needed = i < leaf || (std::has_single_bit(static_cast<unsigned>(i)) && i < degree);
    if (needed) sum += chain.product(level - std::bit_width(static_cast<unsigned>(i - 1)) + 1);
  }
  int nodes = 1;
  for (int split = static_cast<int>(std::bit_floor(static_cast<unsigned>(degree))); split >= leaf; split /= 2) {
    sum += nodes * chain.product(level - std::countr_zero(static_cast<unsigned>(split)));
    nodes *= 2;
  }
  return sum + 2 * coefficients * chain.pass(level - ckks::polynomial_depth(degree) + 1);
}

}  // namespace

LimbCosts typical_limbs(int log_n) {
  const double n = std::exp2(log_n);
  return {.transform = 0.094e-9 * n * log_n, .convert = 0.157e-9 * n, .product = 0.12e-9 * n, .pass = 0.13e-9 * n};
}

SwitchCosts::SwitchCosts(int q, int digit, int special, const LimbCosts& c) {
  const int digits = (q + digit - 1) / digit, all = q + special;
  raise = q * c.transform;
  for (int first = 0; first < q; first += digit) {
    const int width = std::min(digit, q - first);
    raise += (all - width) * (c.transform + width * c.convert);
  }
  multiply = 2.0 * digits * all * c.product;
  mod_down = (special + q) * c.transform + special * q * c.convert + q * c.pass;
  permute = 2.0 * all * c.pass;
  rescale = 2 * (q * c.transform + (q - 1) * (c.convert + c.pass));
  diagonal = 2.0 * all * c.product;
}

double bootstrap_seconds(const ckks::ParameterSpec& parameters, const ckks::BootstrapSpec& spec, int coefficients,
                         int ciphertexts, const LimbCosts& costs) {
  const ChainCosts chain(parameters, costs);
  const int top = static_cast<int>(parameters.levels.size()) - 1;
  double seconds = 2 * chain.at(top).rotate();  // ModRaise and the split
  int stages = 0;
  for (const int radix : spec.stc_radices) stages += radix;
  seconds += (parameters.log_n - 1 - stages) * chain.at(top).rotate();
  int level = static_cast<int>(spec.stc_radices.size());
  for (std::size_t i = 0; i < spec.stc_radices.size(); ++i, --level) {
    seconds += factor_seconds(chain.at(level), spec.stc_radices[i], i + 1 == spec.stc_radices.size());
  }
  level = top;
  for (std::size_t i = 0; i < spec.cts_radices.size(); ++i, --level) {
    seconds += factor_seconds(chain.at(level), spec.cts_radices[i], i == 0);
  }
  double each = polynomial_seconds(chain, level, spec.exp_degree + 1);
  level -= ckks::polynomial_depth(spec.exp_degree);
  for (int i = 0; i < spec.doublings; ++i) each += chain.product(level--);
  each += polynomial_seconds(chain, level, coefficients);
  level -= ckks::polynomial_depth(coefficients - 1);
  each += chain.at(level).rotate();
  return seconds + ciphertexts * each;
}

}  // namespace hearth::compiler
