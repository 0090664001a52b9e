// The modulus chain of networks with bootstraps.
#include <algorithm>
#include <cmath>

#include "ckks/bootstrap/noise_budget.h"
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
/// Error of the exponential's series, after all squarings.
constexpr double kExponentialError = 0x1p-17;

bool can_merge(int stages, int factors) { return stages >= factors && stages <= factors * ckks::kLargestRadix; }

class ChainSearch {
 public:
  ChainSearch(const BootstrapNeeds& needs, const LimbCosts& costs) : needs_(needs), costs_(costs) {
    const int half = 1 << (needs.log_n - 1);
    main_weight_ = std::min(kMainWeight, half);
    sparse_weight_ = std::min(kEncapsulatedWeight, half);
    if (needs.security == ckks::Security::kBits128) {
      const double limit = ckks::max_log_qp_128(needs.log_n, ckks::SecretKind::kSparseTernary, main_weight_);
      budget_ = std::min(budget_, static_cast<int>(limit / static_cast<double>(kPrimeBits)));
    }
    wrap_bound_ = ckks::smallest_wrap_bound(sparse_weight_, needs.log_n, std::max(needs.bootstraps, 1), kLog2Failure);
  }

  std::optional<BootstrapChain> run() {
    for (int stc = 2; stc <= 4; ++stc) {
      if (needs_.activation_level != 0 && stc != needs_.activation_level) continue;
      for (int cts = 2; cts <= 4; ++cts) {
        for (int doublings = 3; doublings <= 5; ++doublings) try_shape(stc, cts, doublings);
      }
    }
    return pick();
  }

 private:
  void try_shape(int stc, int cts, int doublings) {
    if (!can_merge(needs_.log_period, stc) || !can_merge(needs_.log_period, cts)) return;
    ckks::BootstrapSpec shape;
    shape.wrap_bound = wrap_bound_;
    shape.doublings = doublings;
    shape.exp_degree = ckks::exponential_degree(wrap_bound_, doublings, kExponentialError);
    const int top = stc + needs_.linear_levels + ckks::polynomial_depth(needs_.coefficients - 1) + doublings +
                    ckks::polynomial_depth(shape.exp_degree) + cts;
    // The special modulus is one prime larger than a digit, so that key switching adds less than rounding does.
    for (int digits = 1; digits <= 8; ++digits) {
      const int digit = (top + digits) / digits;
      if (top + 1 + digit + 1 <= budget_) add(shape, stc, cts, top, digit);
    }
  }

  void add(const ckks::BootstrapSpec& shape, int stc, int cts, int top, int digit) {
    BootstrapChain chain;
    chain.bootstrap = shape;
    ckks::ParameterSpec& spec = chain.parameters;
    spec.log_n = needs_.log_n;
    spec.security = needs_.security;
    spec.secret = ckks::SecretKind::kSparseTernary;
    spec.hamming_weight = main_weight_;
    spec.encapsulated_weight = sparse_weight_;
    spec.levels.assign(static_cast<std::size_t>(top) + 1, {kPrimeBits});
    spec.special_bits.assign(static_cast<std::size_t>(digit) + 1, kPrimeBits);
    const int bottom = stc + needs_.linear_levels;
    const int low_digit = std::min(digit, bottom + 1);
    spec.key_sets = {{0, 1, 1}, {bottom, low_digit, low_digit + 1}, {top, digit, digit + 1}};
    chain.bootstrap.stc_radices = cheapest_stc_radices(spec, needs_.log_period, stc, costs_);
    chain.bootstrap.cts_radices = cheapest_cts_radices(spec, needs_.log_period, cts, costs_);
    chain.seconds = bootstrap_seconds(spec, chain.bootstrap, needs_.coefficients, needs_.ciphertexts, costs_);
    chain.cost = chain.seconds + embedding_fetch_seconds(spec, chain.bootstrap, costs_);
    chains_.push_back(std::move(chain));
  }

  /// Of a ReLU with a series of the longest length.
  double noise(const BootstrapChain& chain) {
    const double kink = 0;
    if (relu_.degree() == 0) {
      relu_ = fit_fourier([](double x) { return std::max(x, 0.0); }, 1,
                          {.degree = std::clamp(needs_.coefficients - 1, 1, 255)}, std::span(&kink, 1));
    }
    const ckks::NoiseBudgetSpec budget{.log_n = needs_.log_n,
                                       .hamming_weight = main_weight_,
                                       .encapsulated_weight = sparse_weight_,
                                       .scale_bits = kPrimeBits,
                                       .wrap_bound = chain.bootstrap.wrap_bound,
                                       .doublings = chain.bootstrap.doublings,
                                       .exp_degree = chain.bootstrap.exp_degree,
                                       .cts_radices = chain.bootstrap.cts_radices,
                                       .stc_radices = chain.bootstrap.stc_radices,
                                       .rho = relu_.rho};
    return ckks::predict_noise(budget, relu_.coefficients).output;
  }

  std::optional<BootstrapChain> pick() {
    std::ranges::stable_sort(chains_, {}, &BootstrapChain::cost);
    std::optional<BootstrapChain> best;
    for (BootstrapChain& chain : chains_) {
      chain.noise = noise(chain);
      if (!best || chain.noise < best->noise) best = chain;
      if (chain.noise <= std::exp2(-kNoiseBits)) return chain;
    }
    return best;
  }

  const BootstrapNeeds& needs_;
  const LimbCosts& costs_;
  int main_weight_ = 0, sparse_weight_ = 0, wrap_bound_ = 0;
  int budget_ = kMaxPrimes;
  std::vector<BootstrapChain> chains_;
  FourierSeries relu_;
};

}  // namespace

std::optional<BootstrapChain> choose_bootstrap_chain(const BootstrapNeeds& needs, const LimbCosts& costs) {
  return ChainSearch(needs, costs).run();
}

}  // namespace hearth::compiler
