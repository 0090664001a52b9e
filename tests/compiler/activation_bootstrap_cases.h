#pragma once

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "ckks/secret/encryption.h"
#include "ckks/secret/key_generator.h"
#include "compiler/activations.h"
#include "nn/activation.h"

namespace hearth::compiler::testing {

/// One client and one server for activation bootstraps on a ring of degree 2^log_n.
class ActivationBench {
 public:
  ActivationBench(int log_n, ckks::Security security, int degree = 63)
      : chain_(choose_bootstrap_chain({.log_n = log_n,
                                       .log_period = log_n - 1,
                                       .coefficients = degree + 1,
                                       .ciphertexts = 2,
                                       .security = security},
                                      {.transform = 1, .convert = 0.1, .product = 0.1, .pass = 0.05})
                   .value()),
        parameters_(ckks::Parameters::create(chain_.parameters)),
        secret_(ckks::generate_secret_key(parameters_)),
        keys_(ckks::KeyGenerator(secret_, ring::random_seed())
                  .evaluation_keys(
                      ckks::bootstrap_keys(*parameters_, chain_.bootstrap, static_cast<std::size_t>(degree) + 1))),
        evaluator_(parameters_, &keys_),
        bootstrapper_(parameters_, chain_.bootstrap) {}

  const ckks::Parameters& parameters() const { return *parameters_; }
  const BootstrapChain& chain() const { return chain_; }

  /// The slots of f(x) by one bootstrap of two ciphertexts, both of which hold x.
  std::vector<double> apply(const FourierSeries& f, const std::vector<double>& x) const {
    const int level = bootstrapper_.input_level();
    std::vector<ckks::Ciphertext> in;
    for (int i = 0; i < 2; ++i) {
      const auto plain = evaluator_.encoder().encode(x, bootstrapper_.input_scale(2 * f.half_period()),
                                                     parameters_->q_basis(level), false);
      in.push_back(ckks::expand(*parameters_, ckks::encrypt_seeded(secret_, plain, level)));
    }
    const auto out = bootstrapper_.evaluate(evaluator_, in, f.coefficients, 0x1p30);
    std::vector<double> y;
    for (const auto& slot : ckks::decrypt_slots(secret_, evaluator_.encoder(), out[1])) y.push_back(slot.real());
    return y;
  }

  /// What the noise model says about the same.
  double predicted_noise(const FourierSeries& f) const {
    return NoiseModel(*parameters_).activation(chain_.bootstrap, f);
  }

 private:
  BootstrapChain chain_;
  ckks::ParametersPtr parameters_;
  ckks::SecretKey secret_;
  ckks::EvaluationKeys keys_;
  ckks::Evaluator evaluator_;
  ckks::Bootstrapper bootstrapper_;
};

/// Every activation there is, with parameters.
inline std::vector<nn::Activation> every_activation() {
  using enum nn::ActivationKind;
  return {{kRelu}, {kClip, 0, 2}, {kClip, -1, 1.5}, {kLeakyRelu, 0.1}, {kElu, 1}, {kSigmoid}, {kHardSigmoid, 0.2, 0.5},
          {kSilu}, {kHardSwish},  {kGelu},          {kGeluTanh},       {kTanh},   {kErf},     {kSoftplus},
          {kMish}, {kAbs}};
}

inline FourierSeries fit(const nn::Activation& f, double bound, int degree = 63) {
  const std::vector<double> kinks = nn::kinks(f);
  return fit_fourier([&](double x) { return nn::evaluate(f, x); }, bound, {.degree = degree}, kinks);
}

inline double rms_difference(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

/// The whole range evenly, both edges included.
inline std::vector<double> whole_range(double bound, std::size_t count) {
  std::vector<double> x(count);
  for (std::size_t i = 0; i < count; ++i) {
    x[i] = bound * (2 * static_cast<double>(i) / static_cast<double>(count - 1) - 1);
  }
  return x;
}

}  // namespace hearth::compiler::testing
