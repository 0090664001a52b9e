#include <cmath>

#include "ckks/bootstrap/noise_budget.h"
#include "compiler/lower.h"

namespace hearth::compiler {
namespace {

double secret_weight(const ckks::Parameters& parameters) {
  const auto& spec = parameters.spec();
  return spec.secret == ckks::SecretKind::kSparseTernary ? spec.hamming_weight
                                                         : 2.0 * static_cast<double>(parameters.n()) / 3;
}

}  // namespace

NoiseModel::NoiseModel(const ckks::Parameters& parameters) : parameters_(parameters) {
  const auto n = static_cast<double>(parameters.n());
  fresh = std::sqrt(n / 2 * (ring::kGaussianSigma * ring::kGaussianSigma + 1.0 / 12));
  rescale = std::sqrt(n / 2 * (1 + secret_weight(parameters)) / 12);
}

double NoiseModel::activation(const ckks::BootstrapSpec& spec, const FourierSeries& series) const {
  const ckks::ParameterSpec& p = parameters_.spec();
  const ckks::NoiseBudgetSpec budget{.log_n = p.log_n,
                                     .hamming_weight = static_cast<int>(secret_weight(parameters_)),
                                     .encapsulated_weight = p.encapsulated_weight,
                                     .scale_bits = std::log2(parameters_.level_modulus(0)),
                                     .wrap_bound = spec.wrap_bound,
                                     .doublings = spec.doublings,
                                     .exp_degree = spec.exp_degree,
                                     .cts_radices = spec.cts_radices,
                                     .stc_radices = spec.stc_radices,
                                     .rho = series.rho};
  return ckks::predict_noise(budget, series.coefficients).output;
}

double NoiseModel::plain(int period) const { return std::sqrt(period / 12.0); }

double NoiseModel::key_switch(int level) const {
  const int set = parameters_.key_set_for(level);
  const auto log2_product = [&](const ring::Basis& basis) {
    double sum = 0;
    for (const int prime : basis) sum += std::log2(parameters_.ring().modulus(prime).q);
    return sum;
  };
  const double log_p = log2_product(parameters_.p_basis(set));
  const auto n = static_cast<double>(parameters_.n());
  double variance = 0;  // of a coefficient
  for (const ring::Basis& digit : parameters_.digits(set, level)) {
    const double ratio = std::exp2(log2_product(digit) - log_p);
    variance += n / 12 * ratio * ratio * ring::kGaussianSigma * ring::kGaussianSigma;
  }
  return std::sqrt(n / 2 * variance + rescale * rescale);
}

}  // namespace hearth::compiler
