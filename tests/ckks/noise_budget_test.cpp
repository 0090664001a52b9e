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

}  // namespace
}  // namespace hearth::ckks
