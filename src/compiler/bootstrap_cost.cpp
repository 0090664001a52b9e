#include "compiler/bootstrap_cost.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "ckks/bootstrap/dft.h"
#include "ckks/polynomial.h"
#include "compiler/program/work.h"

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
    const ckks::KeySetSpec& set = set_of(level);
    return {primes_[static_cast<std::size_t>(level)], set.digit_primes, set.special_primes, costs_};
  }
  /// Relinearised and rescaled.
  double product(int level) const {
    const SwitchCosts c = at(level);
    return c.raise + c.multiply + 2 * c.mod_down + c.rescale +
           6 * primes_[static_cast<std::size_t>(level)] * costs_.pass;
  }
  /// Limbs of the stored half of a key used at that level.
  double key_limbs(int level) const {
    const ckks::KeySetSpec& set = set_of(level);
    const int q = primes_[static_cast<std::size_t>(level)];
    return std::ceil(static_cast<double>(q) / set.digit_primes) * (q + set.special_primes);
  }
  /// Limbs of the diagonals of a factor.
  double diagonal_limbs(int level) const {
    const bool extended = ckks::factor_hoisting(level) == ckks::Hoisting::kDouble;
    return primes_[static_cast<std::size_t>(level)] + (extended ? set_of(level).special_primes : 0);
  }
  /// One diagonal times a pair.
  double diagonal(int level) const { return 2 * diagonal_limbs(level) * costs_.product; }
  double fetch() const { return costs_.fetch; }
  double log_n() const { return parameters_.log_n; }
  int top() const { return static_cast<int>(primes_.size()) - 1; }
  double pass(int level) const { return primes_[static_cast<std::size_t>(level)] * costs_.pass; }

 private:
  const ckks::KeySetSpec& set_of(int level) const {
    return *std::find_if(parameters_.key_sets.begin(), parameters_.key_sets.end(),
                         [&](const ckks::KeySetSpec& s) { return s.max_level >= level; });
  }

  const ckks::ParameterSpec& parameters_;
  const LimbCosts& costs_;
  std::vector<int> primes_;
};

/// A factor of an embedding: the butterflies that it merges, and the level at which it is applied.
struct Factor {
  int radix = 0, last = 0, level = 0;
  int stages = 0;  ///< of the whole embedding
};

struct FactorWork {
  double babies = 0, giants = 0, copies = 0, keys = 0, diagonals = 0;
};

FactorWork count_factor(int radix, int last, int stages) {
  const int slots = 1 << stages;
  const ckks::MapShape shape = ckks::factor_shape(radix, last, stages, slots);
  const ckks::BsgsPlan plan = ckks::plan_factor(shape, slots);
  const ckks::StepCount steps = ckks::count_steps(shape, plan, slots);
  return {static_cast<double>(steps.babies), static_cast<double>(steps.giants), static_cast<double>(steps.copies),
          static_cast<double>(ckks::rotations(plan, slots).size()), static_cast<double>(shape.diagonals.size())};
}

/// As ckks::plan_factor splits it where slot vectors fill the ciphertext (short periods may differ by a few steps).
/// Rotations of other butterflies are the same but for a power of two, and so are their plans: only the factors of the
/// shortest, which are shifted by one more, and of the longest, which wrap around, differ.
const FactorWork& work_of(const Factor& factor) {
  using Works = std::array<FactorWork, ckks::kLargestRadix + 1>;
  static const std::array<Works, 3> works = [] {
    std::array<Works, 3> out;
    for (int radix = 1; radix <= ckks::kLargestRadix; ++radix) {
      const auto r = static_cast<std::size_t>(radix);
      out[0][r] = count_factor(radix, radix, ckks::kLargestRadix + 2);
      out[1][r] = count_factor(radix, radix + 1, ckks::kLargestRadix + 2);
      out[2][r] = count_factor(radix, radix, radix);
    }
    return out;
  }();
  require(factor.radix >= 1 && factor.radix <= ckks::kLargestRadix, ErrorKind::kInvalidArgument,
          "a factor of an embedding merges {} butterflies; expected 1 to {}", factor.radix, ckks::kLargestRadix);
  const std::size_t kind = factor.last == factor.stages ? 2 : factor.last > factor.radix ? 1 : 0;
  return works[kind][static_cast<std::size_t>(factor.radix)];
}

double factor_seconds(const ChainCosts& chain, const Factor& factor) {
  const FactorWork& work = work_of(factor);
  const SwitchCosts c = chain.at(factor.level);
  const bool extended = ckks::factor_hoisting(factor.level) == ckks::Hoisting::kDouble;
  const double giant = extended ? c.giant() : c.rotate();
  const double divisions = extended ? 1 : work.babies;
  return c.raise + work.babies * c.baby() + work.giants * giant + work.copies * (c.rotate() + c.raise) +
         work.diagonals * chain.diagonal(factor.level) + divisions * 2 * c.mod_down + c.rescale;
}

double factor_fetch_seconds(const ChainCosts& chain, const Factor& factor) {
  const FactorWork& work = work_of(factor);
  const double length = std::exp2(factor.last + 1 - chain.log_n());  // of a diagonal, in polynomials
  return chain.fetch() *
         (work.keys * chain.key_limbs(factor.level) + work.diagonals * length * chain.diagonal_limbs(factor.level));
}

/// Of the factor that comes after `done` stages of SlotsToCoeffs, the `index`-th of `factors`.
Factor stc_factor(int radix, int done, int stages, int index, int factors) {
  return {radix, done + radix, factors - index, stages};
}

/// Likewise of CoeffsToSlots, from level `top` on.
Factor cts_factor(int radix, int done, int stages, int index, int top) {
  return {radix, stages - done, top - index, stages};
}

std::vector<Factor> factors_of(const ckks::BootstrapSpec& spec, int top) {
  const int stages = std::accumulate(spec.stc_radices.begin(), spec.stc_radices.end(), 0);
  std::vector<Factor> out;
  const int stc = static_cast<int>(spec.stc_radices.size()), cts = static_cast<int>(spec.cts_radices.size());
  for (int i = 0, done = 0; i < stc; ++i) {
    const int radix = spec.stc_radices[static_cast<std::size_t>(i)];
    out.push_back(stc_factor(radix, done, stages, i, stc));
    done += radix;
  }
  for (int i = 0, done = 0; i < cts; ++i) {
    const int radix = spec.cts_radices[static_cast<std::size_t>(i)];
    out.push_back(cts_factor(radix, done, stages, i, top));
    done += radix;
  }
  return out;
}

/// The composition of `stages` into `parts` of least total cost(radix, stages before it, its index), each part at most
/// ckks::kLargestRadix: rest[p][d] is the least cost of parts p and later after d stages.
std::vector<int> cheapest_radices(int stages, int parts, const std::function<double(int, int, int)>& cost) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  const auto at = [](int i) { return static_cast<std::size_t>(i); };
  std::vector<std::vector<double>> rest(at(parts + 1), std::vector<double>(at(stages + 1), kNone));
  std::vector<std::vector<int>> choice(at(parts), std::vector<int>(at(stages + 1), 0));
  rest[at(parts)][at(stages)] = 0;
  for (int part = parts - 1; part >= 0; --part) {
    for (int done = part; done < stages; ++done) {
      for (int radix = 1; radix <= std::min(ckks::kLargestRadix, stages - done); ++radix) {
        const double after = rest[at(part + 1)][at(done + radix)];
        if (after == kNone) continue;
        const double total = cost(radix, done, part) + after;
        if (total >= rest[at(part)][at(done)]) continue;
        rest[at(part)][at(done)] = total;
        choice[at(part)][at(done)] = radix;
      }
    }
  }
  std::vector<int> out;
  for (int part = 0, done = 0; part < parts; ++part) {
    out.push_back(choice[at(part)][at(done)]);
    done += out.back();
  }
  return out;
}

/// Throws Error(kInvalidArgument) for arguments without an answer.
void check_factors(const ckks::ParameterSpec& parameters, int log_period, int factors) {
  require(factors >= 1 && factors <= log_period && log_period <= ckks::kLargestRadix * factors &&
              factors < static_cast<int>(parameters.levels.size()),
          ErrorKind::kInvalidArgument, "{} stages cannot be merged into {} factors on {} levels", log_period, factors,
          parameters.levels.size());
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
  // Four times what a core takes to read it from memory (0.115 ms for a MiB): what must be held for every client, and
  // comes from a tier at one or two GiB/s where there is little memory, is worth some per cent of time.
  constexpr double kFetchByte = 4 * 0.115e-3 / 0x1p20;
  return {.transform = 0.094e-9 * n * log_n,
          .convert = 0.157e-9 * n,
          .product = 0.12e-9 * n,
          .pass = 0.13e-9 * n,
          .fetch = kFetchByte * 4 * n};
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
}

double bootstrap_seconds(const ckks::ParameterSpec& parameters, const ckks::BootstrapSpec& spec, int coefficients,
                         int ciphertexts, const LimbCosts& costs) {
  const ChainCosts chain(parameters, costs);
  const int top = chain.top();
  double seconds = 2 * chain.at(top).rotate();  // ModRaise and the split
  const int stages = std::accumulate(spec.stc_radices.begin(), spec.stc_radices.end(), 0);
  seconds += (parameters.log_n - 1 - stages) * chain.at(top).rotate();
  for (const Factor& factor : factors_of(spec, top)) seconds += factor_seconds(chain, factor);
  int level = top - static_cast<int>(spec.cts_radices.size());
  double each = polynomial_seconds(chain, level, spec.exp_degree + 1);
  level -= ckks::polynomial_depth(spec.exp_degree);
  for (int i = 0; i < spec.doublings; ++i) each += chain.product(level--);
  each += polynomial_seconds(chain, level, coefficients);
  level -= ckks::polynomial_depth(coefficients - 1);
  each += chain.at(level).rotate();
  return seconds + ciphertexts * each;
}

double embedding_fetch_seconds(const ckks::ParameterSpec& parameters, const ckks::BootstrapSpec& spec,
                               const LimbCosts& costs) {
  const ChainCosts chain(parameters, costs);
  double seconds = 0;
  for (const Factor& factor : factors_of(spec, chain.top())) seconds += factor_fetch_seconds(chain, factor);
  return seconds;
}

std::vector<int> cheapest_stc_radices(const ckks::ParameterSpec& parameters, int log_period, int factors,
                                      const LimbCosts& costs) {
  check_factors(parameters, log_period, factors);
  const ChainCosts chain(parameters, costs);
  return cheapest_radices(log_period, factors, [&](int radix, int done, int index) {
    const Factor factor = stc_factor(radix, done, log_period, index, factors);
    return factor_seconds(chain, factor) + factor_fetch_seconds(chain, factor);
  });
}

std::vector<int> cheapest_cts_radices(const ckks::ParameterSpec& parameters, int log_period, int factors,
                                      const LimbCosts& costs) {
  check_factors(parameters, log_period, factors);
  const ChainCosts chain(parameters, costs);
  return cheapest_radices(log_period, factors, [&](int radix, int done, int index) {
    const Factor factor = cts_factor(radix, done, log_period, index, chain.top());
    return factor_seconds(chain, factor) + factor_fetch_seconds(chain, factor);
  });
}

}  // namespace hearth::compiler
