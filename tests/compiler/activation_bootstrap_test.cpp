// Bootstraps of every activation against the exact function, on rings far too small to be secure.
#include <gtest/gtest.h>

#include "compiler/lower.h"
#include "tests/compiler/activation_bootstrap_cases.h"

namespace hearth::compiler {
namespace {

using testing::ActivationBench;
using testing::every_activation;
using testing::fit;
using testing::rms_difference;
using testing::whole_range;

constexpr double kBound = 3;

std::vector<double> map(const std::vector<double>& x, const auto& f) {
  std::vector<double> y;
  for (const double v : x) y.push_back(f(v));
  return y;
}

/// The largest value of f on the range, the unit of its errors.
double magnitude(const nn::Activation& f, double bound) {
  double most = 0;
  for (const double x : whole_range(bound, 1001)) most = std::max(most, std::abs(nn::evaluate(f, x)));
  return most;
}

TEST(ActivationBootstrap, EveryFunctionOnItsWholeRange) {
  const ActivationBench bench(11, ckks::Security::kNone);
  const std::vector<double> x = whole_range(kBound, bench.parameters().slots());
  for (const nn::Activation& f : every_activation()) {
    const FourierSeries series = fit(f, kBound);
    const std::vector<double> got = bench.apply(series, x);
    const std::vector<double> exact = map(x, [&](double v) { return nn::evaluate(f, v); });
    const std::vector<double> approximate = map(x, [&](double v) { return series.evaluate(v); });
    const double noise = rms_difference(got, approximate), predicted = bench.predicted_noise(series);
    const std::string name = std::string(nn::name(f.kind)) + " " + nn::parameters(f);
    EXPECT_LT(noise, 1.5 * predicted) << name;
    EXPECT_GT(noise, predicted / 1.5) << name << ": the noise model is too pessimistic";
    EXPECT_LT(rms_difference(got, exact), 1e-3 * magnitude(f, kBound)) << name;
    // The edges, where the range ends and the guard band begins.
    EXPECT_NEAR(got.front(), exact.front(), series.max_error + 50 * predicted) << name;
    EXPECT_NEAR(got.back(), exact.back(), series.max_error + 50 * predicted) << name;
  }
}

TEST(ActivationBootstrap, InputsInTheGuardBandSaturate) {
  const ActivationBench bench(11, ckks::Security::kNone);
  for (const nn::Activation& f : every_activation()) {
    const FourierSeries series = fit(f, kBound);
    ASSERT_GT(series.saturation_edge, kBound);
    std::vector<double> x;
    for (std::size_t i = 0; i < bench.parameters().slots(); ++i) {
      const double share = static_cast<double>(i / 2) / static_cast<double>(bench.parameters().slots() / 2);
      x.push_back((i % 2 == 0 ? 1 : -1) * (kBound + share * (series.saturation_edge - kBound)));
    }
    const std::vector<double> y = bench.apply(series, x);
    const std::vector<double> want = map(x, [&](double v) { return nn::evaluate(f, v > 0 ? kBound : -kBound); });
    const double noise = bench.predicted_noise(series);
    EXPECT_LT(rms_difference(y, want), series.saturation_error + 2 * noise) << nn::name(f.kind);
    for (std::size_t i = 0; i < y.size(); ++i) {
      // Large multiples of q0 meet steep parts of the exponential, so the tail is far longer than a normal one.
      ASSERT_NEAR(y[i], want[i], series.saturation_error + 50 * noise)
          << nn::name(f.kind) << " at " << x[i] << ", range " << kBound;
    }
  }
}

TEST(ActivationBootstrap, NoiseFollowsTheModelAtSeveralRings) {
  const FourierSeries relu = fit({nn::ActivationKind::kRelu}, 1);
  double previous = 0;
  for (const int log_n : {10, 11, 12, 13}) {
    const ActivationBench bench(log_n, ckks::Security::kNone);
    const std::vector<double> x = whole_range(1, bench.parameters().slots());
    const std::vector<double> want = map(x, [&](double v) { return relu.evaluate(v); });
    const double noise = rms_difference(bench.apply(relu, x), want), predicted = bench.predicted_noise(relu);
    EXPECT_LT(noise, 1.4 * predicted) << log_n;
    EXPECT_GT(noise, predicted / 1.4) << log_n;
    EXPECT_GT(predicted, previous) << "larger rings are noisier";
    previous = predicted;
  }
}

TEST(ActivationBootstrap, LongerAndShorterSeries) {
  for (const int degree : {15, 31, 127}) {
    const ActivationBench bench(10, ckks::Security::kNone, degree);
    const FourierSeries series = fit({nn::ActivationKind::kSilu}, 4, degree);
    const std::vector<double> x = whole_range(4, bench.parameters().slots());
    const std::vector<double> want = map(x, [&](double v) { return series.evaluate(v); });
    EXPECT_LT(rms_difference(bench.apply(series, x), want), 1.5 * bench.predicted_noise(series)) << degree;
  }
}

}  // namespace
}  // namespace hearth::compiler
