#include "ckks/bootstrap/noise_budget.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "ckks/bootstrap/noise_tape.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;

/// A series in closed form, with coefficients that fall like those of ReLU.
std::vector<Complex> series(int degree) {
  std::vector<Complex> c = {0.3};
  for (int k = 1; k <= degree; ++k) c.push_back(std::polar(1.0 / (k * k), static_cast<double>(k)));
  return c;
}

NoiseBudgetSpec study(int log_n = 14) {
  NoiseBudgetSpec s{.log_n = log_n, .hamming_weight = 192, .scale_bits = 29.95, .split = SlotSplit::kStudy};
  const int depth = log_n - 1;
  s.cts_radices.clear();
  for (int i = 0; i < 3; ++i) s.cts_radices.push_back(depth / 3 + (i < depth % 3));
  s.stc_radices.clear();
  return s;
}

struct Case {
  NoiseBudgetSpec spec;
  int degree;
  double slots, exponential, output;  ///< log2, as printed by the study
};

NoiseBudgetSpec with(NoiseBudgetSpec s, int weight, int bound, int doublings, int exp_degree) {
  s.hamming_weight = weight, s.wrap_bound = bound, s.doublings = doublings, s.exp_degree = exp_degree;
  return s;
}

// The study simulates every operation on all slots with random noise. Obtained with design/bootstrap_noise.py, its fit
// replaced by the series above:
//   import numpy as np, bootstrap_noise as b
//   b.fourier_fit = lambda f, n, rho: (np.array([.3] + [np.exp(1j*k)/k**2 for k in range(1, n+1)]), 0)
//   b.run(log_n=14); b.run(log_n=14, k=12); b.run(log_n=14, r=3); b.run(log_n=14, r=5); b.run(log_n=14, h=512)
//   b.run(log_n=14, n=31); b.run(log_n=14, n=127); b.run(log_n=15); b.run(h=512); b.run(bits=26, log_n=12)
TEST(NoiseBudget, AgreesWithTheSimulationOfEverySlot) {
  NoiseBudgetSpec coarse = study(12);
  coarse.scale_bits = 26;
  const std::vector<Case> cases = {
      {with(study(), 192, 16, 4, 21), 63, -17.7, -13.8, -13.88},
      {with(study(), 192, 12, 4, 19), 63, -17.7, -14.1, -14.26},
      {with(study(), 192, 16, 3, 30), 63, -17.7, -12.5, -12.64},
      {with(study(), 192, 16, 5, 16), 63, -17.7, -13.7, -13.84},
      {with(study(), 512, 16, 4, 21), 63, -17.7, -13.1, -13.21},
      {with(study(), 192, 16, 4, 21), 31, -17.7, -13.8, -13.88},
      {with(study(), 192, 16, 4, 21), 127, -17.7, -13.8, -13.88},
      {with(study(15), 192, 16, 4, 21), 63, -16.9, -13.2, -13.3},
      {with(study(16), 512, 16, 4, 21), 63, -16.2, -12.1, -12.14},
      {with(coarse, 192, 16, 4, 21), 63, -15.4, -10.8, -10.92},
  };
  for (const Case& c : cases) {
    const NoiseBudget got = predict_noise(c.spec, series(c.degree));
    const auto label = ::testing::Message() << "log_n " << c.spec.log_n << " h " << c.spec.hamming_weight << " K "
                                            << c.spec.wrap_bound << " r " << c.spec.doublings << " n " << c.degree;
    EXPECT_NEAR(std::log2(got.slots), c.slots, 0.15) << label;
    EXPECT_NEAR(std::log2(got.exponential), c.exponential, 0.4) << label;
    EXPECT_NEAR(std::log2(got.output), c.output, 0.4) << label;
  }
}

NoiseBudgetSpec product(int log_n = 14) {
  NoiseBudgetSpec s = study(log_n);
  s.split = SlotSplit::kBeforeRescale;
  s.hamming_weight = 512;
  s.scale_bits = 30;
  s.stc_radices = s.cts_radices;
  return s;
}

TEST(NoiseBudget, TheProductIsNoNoisierThanTheStudy) {
  for (const int log_n : {12, 14, 16}) {
    NoiseBudgetSpec s = product(log_n);
    const NoiseBudget here = predict_noise(s, series(63));
    s.split = SlotSplit::kStudy;
    EXPECT_NEAR(std::log2(here.output), std::log2(predict_noise(s, series(63)).output), 0.15) << log_n;
  }
}

TEST(NoiseBudget, GrowsWithTheRootOfTheRingAndOfTheWeight) {
  const double base = predict_noise(product(14), series(63)).output;
  EXPECT_NEAR(std::log2(predict_noise(product(16), series(63)).output / base), 1, 0.1);
  NoiseBudgetSpec heavy = product(14);
  heavy.hamming_weight = 4 * 513 - 1;
  EXPECT_NEAR(std::log2(predict_noise(heavy, series(63)).output / base), 1, 0.1);
}

TEST(NoiseBudget, KeySwitchWithoutRescalingCosts) {
  NoiseBudgetSpec s = product(13);
  const NoiseBudget before = predict_noise(s, series(63));
  s.key_switch = 1e6;  // of no consequence where a rescaling follows
  EXPECT_EQ(predict_noise(s, series(63)).output, before.output);
  s.split = SlotSplit::kAfterRescale;
  s.key_switch = 0;
  const NoiseBudget after = predict_noise(s, series(63));
  EXPECT_NEAR(std::log2(after.exponential / before.exponential), 0.5, 0.1);
  s.key_switch = 150;
  EXPECT_GT(predict_noise(s, series(63)).exponential, 8 * after.exponential);
}

// Bootstrapper::exponentials on 2^10 to 2^12 random slots, h = 512 and 32, K = 16, r = 4, degree 21, 23 levels of 30
// bits, digits of 6 primes, when its conjugation came after the last rescaling: with one special prime more than a
// digit has, and with as many.
TEST(NoiseBudget, AgreesWithEncryptedExponentials) {
  const std::vector<std::pair<double, double>> measured = {{-14.16, -11.63}, {-13.62, -10.69}, {-13.07, -9.69}};
  for (int log_n = 11; log_n <= 13; ++log_n) {
    NoiseBudgetSpec s = product(log_n);
    s.split = SlotSplit::kAfterRescale;
    const auto [quiet, loud] = measured[static_cast<std::size_t>(log_n - 11)];
    EXPECT_NEAR(std::log2(predict_noise(s, series(3)).exponential), quiet, 0.2);
    s.key_switch = std::sqrt(3.33 * std::exp2(log_n) / 12) * 3.2;  // 20 primes are 3 1/3 digits
    EXPECT_NEAR(std::log2(predict_noise(s, series(3)).exponential), loud, 0.2);
  }
}

TEST(NoiseTape, SensitivitiesAreDerivatives) {
  // f = (x^2 + 2 x - 1) x at x = 1 + i: f' = 3 x^2 + 4 x - 1.
  NoiseTape tape;
  const Complex at(1, 1);
  const int x = tape.input(at);
  const int squared = tape.source(tape.multiply(x, x));
  const int f = tape.multiply(tape.combine(squared, 1, x, 2, -1), x);
  EXPECT_NEAR(std::abs(tape.value(f) - (at * at + 2.0 * at - 1.0) * at), 0, 1e-14);
  const auto gain = tape.sensitivities(f);
  EXPECT_NEAR(std::abs(gain[static_cast<std::size_t>(x)] - (3.0 * at * at + 4.0 * at - 1.0)), 0, 1e-14);
  EXPECT_NEAR(std::abs(gain[static_cast<std::size_t>(squared)] - at), 0, 1e-14);
  EXPECT_NEAR(tape.source_gain(gain), std::norm(at), 1e-14);
}

TEST(NoiseBudget, RefusesBadArguments) {
  const auto refused = [](auto change) {
    NoiseBudgetSpec s = product(14);
    change(s);
    EXPECT_THROW(predict_noise(s, series(15)), Error);
  };
  refused([](NoiseBudgetSpec& s) { s.cts_radices = {5, 5, 5}; });
  refused([](NoiseBudgetSpec& s) { s.stc_radices = {5}; });
  refused([](NoiseBudgetSpec& s) { s.wrap_bound = 0; });
  refused([](NoiseBudgetSpec& s) { s.doublings = -1; });
  refused([](NoiseBudgetSpec& s) { s.exp_degree = 0; });
  refused([](NoiseBudgetSpec& s) { s.rho = 1; });
  refused([](NoiseBudgetSpec& s) { s.log_n = 20; });
  refused([](NoiseBudgetSpec& s) { s.encapsulated_weight = 3; });
  EXPECT_THROW(predict_noise(product(), series(0)), Error);
}

}  // namespace
}  // namespace hearth::ckks
