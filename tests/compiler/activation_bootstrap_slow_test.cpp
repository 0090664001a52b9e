// The activation bootstrap as it is used: N = 2^16 and 128-bit security.
#include <gtest/gtest.h>

#include "compiler/lower.h"
#include "tests/compiler/activation_bootstrap_cases.h"

namespace hearth::compiler {
namespace {

using testing::ActivationBench;
using testing::fit;

TEST(ActivationBootstrapSlow, ReluOf65536ValuesAt128Bits) {
  const ActivationBench bench(16, ckks::Security::kBits128);
  EXPECT_TRUE(bench.parameters().security().at_least_128);
  const FourierSeries relu = fit({nn::ActivationKind::kRelu}, 1);
  const std::vector<double> x = testing::whole_range(1, bench.parameters().slots());
  const std::vector<double> y = bench.apply(relu, x);
  std::vector<double> series, exact;
  for (const double v : x) {
    series.push_back(relu.evaluate(v));
    exact.push_back(std::max(v, 0.0));
  }
  const double noise = testing::rms_difference(y, series), predicted = bench.predicted_noise(relu);
  std::printf("noise 2^%.2f, predicted 2^%.2f, with the fit's error 2^%.2f\n", std::log2(noise), std::log2(predicted),
              std::log2(testing::rms_difference(y, exact)));
  EXPECT_LT(noise, std::exp2(-11.5));
  EXPECT_LT(noise, 1.4 * predicted);
  EXPECT_GT(noise, predicted / 1.4);
  EXPECT_LT(testing::rms_difference(y, exact), std::exp2(-11.5));
}

}  // namespace
}  // namespace hearth::compiler
