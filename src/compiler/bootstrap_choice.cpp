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
constexpr int kLeastSpecial = 2;  // primes
constexpr int kMaxDigits = 8;
/// log2 of the probability that any bootstrap of a run leaves the range of its exponential.
constexpr double kLog2Failure = -40;
/// Error of the exponential's series, after all squarings.
constexpr double kExponentialError = 0x1p-17;
/// A special modulus exceeds digits by one prime of this size, so that key switching adds less than rounding does.
constexpr int kSpareBits = 20;

bool can_merge(int stages, int factors) { return stages >= factors && stages <= factors * ckks::kLargestRadix; }

class ChainSearch {
 public:
  ChainSearch(const BootstrapNeeds& needs, const LimbCosts& costs) : needs_(needs), costs_(costs) {
    const int half = 1 << (needs.log_n - 1);
    main_weight_ = std::min(kMainWeight, half);
    sparse_weight_ = std::min(kEncapsulatedWeight, half);
    if (needs.security == ckks::Security::kBits128) {
      const double limit = ckks::max_log_qp_128(needs.log_n, ckks::SecretKind::kSparseTernary, main_weight_);
      bits_ = std::min(bits_, static_cast<int>(limit));
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
    if (top + 1 + kLeastSpecial <= kMaxPrimes && fits(top, 1)) add(shape, stc, cts, top);
  }

  /// Whether keys with digits of so many primes may exist at a level.
  bool fits(int level, int digit) const { return (level + 1 + digit) * kPrimeBits + kSpareBits <= bits_; }

  void add(const ckks::BootstrapSpec& shape, int stc, int cts, int top) {
    BootstrapChain chain;
    chain.bootstrap = shape;
    ckks::ParameterSpec& spec = chain.parameters;
    spec.log_n = needs_.log_n;
    spec.security = needs_.security;
    spec.secret = ckks::SecretKind::kSparseTernary;
    spec.hamming_weight = main_weight_;
    spec.encapsulated_weight = sparse_weight_;
    spec.levels.assign(static_cast<std::size_t>(top) + 1, {kPrimeBits});
    // Every factor of an embedding has keys of its own level, linear layers and products between the embeddings theirs.
    const int linear = stc + needs_.linear_levels;
    spec.key_sets = {{0, 1, 1}};
    for (int level = 1; level <= stc; ++level) add_key_set(spec, level);
    for (const int level : {linear, top - cts}) add_key_set(spec, level);
    for (int level = top - cts + 1; level <= top; ++level) add_key_set(spec, level);
    price(chain, stc, cts);
    for (std::size_t set = spec.key_sets.size() - 1; spec.key_sets[set].max_level > linear; --set) {
      choose_digit(chain, set, stc, cts);
    }
    int most = 0;
    for (const ckks::KeySetSpec& set : spec.key_sets) most = std::max(most, set.special_primes);
    spec.special_bits.assign(static_cast<std::size_t>(most), kPrimeBits);
    spec.special_bits[1] = kSpareBits;  // the first one alone serves the sparse secret
    chains_.push_back(std::move(chain));
  }

  /// With as few digits as there may be.
  void add_key_set(ckks::ParameterSpec& spec, int level) const {
    if (level <= spec.key_sets.back().max_level) return;
    const int room = kMaxPrimes - static_cast<int>(spec.levels.size()) - 1;
    int digit = std::min(level + 1, room);
    while (!fits(level, digit)) --digit;
    spec.key_sets.push_back({level, digit, digit + 1});
  }

  /// The radices of least cost, and that cost.
  void price(BootstrapChain& chain, int stc, int cts) const {
    const ckks::ParameterSpec& spec = chain.parameters;
    chain.bootstrap.stc_radices = cheapest_stc_radices(spec, needs_.log_period, stc, costs_);
    chain.bootstrap.cts_radices = cheapest_cts_radices(spec, needs_.log_period, cts, costs_);
    chain.seconds = bootstrap_seconds(spec, chain.bootstrap, needs_.coefficients, needs_.ciphertexts, costs_);
    chain.cost = chain.seconds + embedding_fetch_seconds(spec, chain.bootstrap, costs_);
  }

  /// The digits of a key set that make the chain cheapest.
  void choose_digit(BootstrapChain& chain, std::size_t set, int stc, int cts) const {
    BootstrapChain other = chain;
    ckks::KeySetSpec& keys = other.parameters.key_sets[set];
    for (int digit = keys.digit_primes - 1; digit > keys.max_level / kMaxDigits; --digit) {
      keys.digit_primes = digit;
      keys.special_primes = digit + 1;
      price(other, stc, cts);
      if (other.cost < chain.cost) chain = other;
    }
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
  int bits_ = kMaxPrimes * kPrimeBits;  // of the largest modulus of a key
  std::vector<BootstrapChain> chains_;
  FourierSeries relu_;
};

}  // namespace

std::optional<BootstrapChain> choose_bootstrap_chain(const BootstrapNeeds& needs, const LimbCosts& costs) {
  return ChainSearch(needs, costs).run();
}

}  // namespace hearth::compiler
