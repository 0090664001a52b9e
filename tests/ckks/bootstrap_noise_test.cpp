// What encrypted bootstraps measure is what predict_noise says.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "ckks/bootstrap/bootstrapper.h"
#include "ckks/bootstrap/noise_budget.h"
#include "ckks/polynomial.h"
#include "tests/ckks/party.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;
using testing::Slots;

constexpr int kLogN = 11, kWeight = 256, kSparseWeight = 32;
constexpr double kRho = 0.9;

/// Levels: q0, StC, the series, squarings, exponential, CtS. Insecure and small.
ParametersPtr parameters_for(const BootstrapSpec& boot, int series_degree) {
  ParameterSpec spec;
  spec.log_n = kLogN;
  const auto depth = static_cast<int>(boot.stc_radices.size() + boot.cts_radices.size()) +
                     polynomial_depth(series_degree) + boot.doublings + polynomial_depth(boot.exp_degree);
  spec.levels.assign(static_cast<std::size_t>(depth) + 1, {30});
  spec.special_bits.assign(6, 30);
  spec.key_sets = {{0, 1, 1}, {depth, 5, 6}};
  spec.secret = SecretKind::kSparseTernary;
  spec.hamming_weight = kWeight;
  spec.encapsulated_weight = kSparseWeight;
  spec.security = Security::kNone;
  return Parameters::create(spec);
}

/// Root mean square error of a bootstrap of two ciphertexts of random slots, of the period that the factors merge to.
double measured_noise(const BootstrapSpec& boot, const std::vector<Complex>& series) {
  const ParametersPtr parameters = parameters_for(boot, static_cast<int>(series.size()) - 1);
  const SecretKey secret = generate_secret_key(parameters);
  const EvaluationKeys keys =
      KeyGenerator(secret, ring::random_seed()).evaluation_keys(bootstrap_keys(*parameters, boot, series.size()));
  const Evaluator evaluator(parameters, &keys);
  const Bootstrapper bootstrapper(parameters, boot);
  std::vector<Slots> x;
  std::vector<Ciphertext> in;
  for (unsigned seed = 0; seed < 2; ++seed) {
    Slots values = testing::random_slots(bootstrapper.period(), seed);
    for (auto& value : values) value = kRho / 2 * value.real();  // in periods
    x.push_back(testing::repeat(values, parameters->slots()));
    const int level = bootstrapper.input_level();
    in.push_back(expand(*parameters, encrypt_seeded(secret,
                                                    evaluator.encoder().encode(x.back(), bootstrapper.input_scale(1),
                                                                               parameters->q_basis(level), false),
                                                    level)));
  }
  const std::vector<Ciphertext> out = bootstrapper.evaluate(evaluator, in, series, 0x1p30);
  double square = 0;
  for (std::size_t k = 0; k < out.size(); ++k) {
    const Slots got = decrypt_slots(secret, evaluator.encoder(), out[k]);
    for (std::size_t i = 0; i < got.size(); ++i) {
      double want = 0;
      for (std::size_t j = 0; j < series.size(); ++j) {
        want += (series[j] * std::polar(1.0, 2 * std::numbers::pi * static_cast<double>(j) * x[k][i].real())).real();
      }
      square += std::norm(got[i].real() - want);
    }
  }
  return std::sqrt(square / static_cast<double>(out.size() * parameters->slots()));
}

/// The same over several keys: with few slots one measurement in a hundred is far off.
double mean_noise(const BootstrapSpec& boot, const std::vector<Complex>& series) {
  constexpr int kKeys = 4;
  double square = 0;
  for (int i = 0; i < kKeys; ++i) square += std::pow(measured_noise(boot, series), 2);
  return std::sqrt(square / kKeys);
}

void expect_predicted(const std::vector<int>& stc, const std::vector<int>& cts) {
  std::vector<Complex> series = {0.3};  // coefficients that fall like those of ReLU
  for (int k = 1; k <= 15; ++k) series.push_back(std::polar(1.0 / (k * k), static_cast<double>(k)));
  const BootstrapSpec boot{.stc_radices = stc, .cts_radices = cts};
  const NoiseBudgetSpec budget{.log_n = kLogN,
                               .hamming_weight = kWeight,
                               .encapsulated_weight = kSparseWeight,
                               .wrap_bound = boot.wrap_bound,
                               .doublings = boot.doublings,
                               .exp_degree = boot.exp_degree,
                               .cts_radices = cts,
                               .stc_radices = stc,
                               .rho = kRho};
  const double predicted = predict_noise(budget, series).output;
  EXPECT_NEAR(std::log2(mean_noise(boot, series)), std::log2(predicted), 0.4)
      << "period 2^" << std::accumulate(stc.begin(), stc.end(), 0);
}

TEST(BootstrapNoise, IsThePredictedOneForEveryPeriod) {
  expect_predicted({4, 3, 3}, {4, 3, 3});
  expect_predicted({3, 3, 3}, {3, 3, 3});
  expect_predicted({4, 4}, {3, 5});
  expect_predicted({4, 4}, {4, 4});
  expect_predicted({4, 3}, {4, 3});
  expect_predicted({3, 3}, {3, 3});
}

}  // namespace
}  // namespace hearth::ckks
