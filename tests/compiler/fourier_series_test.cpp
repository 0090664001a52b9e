#include "compiler/fourier_series.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "base/error.h"

namespace hearth::compiler {
namespace {

struct Activation {
  std::string name;
  std::function<double(double)> f;
  std::vector<double> kinks;
  double rms_at_63;  ///< worst rms error over the bounds tried, relative to the largest |f|
};

double clip(double x, double low, double high) { return std::clamp(x, low, high); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double relu(double x) { return std::max(x, 0.0); }

const std::vector<Activation>& activations() {
  static const std::vector<Activation> all = {
      {"relu", relu, {0}, 1.1e-4},
      {"relu6", [](double x) { return clip(x, 0, 6); }, {0, 6}, 1.4e-3},
      {"leaky relu", [](double x) { return x > 0 ? x : 0.1 * x; }, {0}, 1.1e-4},
      {"silu", [](double x) { return x * sigmoid(x); }, {}, 6e-5},
      {"hardswish", [](double x) { return x * clip(x + 3, 0, 6) / 6; }, {-3, 3}, 9e-5},
      {"gelu", [](double x) { return x / 2 * (1 + std::erf(x / std::numbers::sqrt2)); }, {}, 8e-5},
      {"sigmoid", sigmoid, {}, 1.5e-5},
      {"tanh", [](double x) { return std::tanh(x); }, {}, 2e-3},
      {"softplus", [](double x) { return std::log1p(std::exp(x)); }, {}, 6e-5},
      {"abs", [](double x) { return std::abs(x); }, {0}, 2.2e-4},
      {"identity", [](double x) { return x; }, {}, 5e-5},
  };
  return all;
}

double largest_value(const std::function<double(double)>& f, double bound) {
  double largest = 0;
  for (int i = -1000; i <= 1000; ++i) largest = std::max(largest, std::abs(f(bound * i / 1000.0)));
  return largest;
}

/// Largest distance between the series and f clamped to its range, on [low, high].
double largest_error(const FourierSeries& s, const std::function<double(double)>& f, double low, double high) {
  double largest = 0;
  for (int i = 0; i <= 5000; ++i) {
    const double x = low + (high - low) * i / 5000;
    largest = std::max(largest, std::abs(s.evaluate(x) - f(clip(x, -s.bound, s.bound))));
  }
  return largest;
}

double rms_error(const FourierSeries& s, const std::function<double(double)>& f, double sigma) {
  double squares = 0, mass = 0;
  for (int i = -20000; i <= 20000; ++i) {
    const double x = s.bound * i / 20000;
    const double density = std::exp(-x * x / (2 * sigma * sigma));
    squares += density * std::pow(s.evaluate(x) - f(x), 2);
    mass += density;
  }
  return std::sqrt(squares / mass);
}

TEST(FourierFit, EveryActivationAtSeveralBounds) {
  for (const Activation& a : activations()) {
    for (const double bound : {1.0, 4.0, 20.0, 60.0}) {
      const FourierSeries s = fit_fourier(a.f, bound, {}, a.kinks);
      const double unit = largest_value(a.f, bound);
      EXPECT_EQ(s.degree(), 63);
      EXPECT_LE(s.rms_error, a.rms_at_63 * unit) << a.name << " " << bound;
      EXPECT_LE(s.max_error, 12 * a.rms_at_63 * unit + 1.1e-3 * unit) << a.name << " " << bound;
      EXPECT_LE(s.noise_gain(), 4 * unit) << a.name << " " << bound;
      EXPECT_LE(s.coefficient_sum(), 3 * unit) << a.name << " " << bound;
    }
  }
}

TEST(FourierFit, ReportedErrorsAreTheErrors) {
  for (const Activation& a : activations()) {
    const FourierSeries s = fit_fourier(a.f, 5, {}, a.kinks);
    const double unit = largest_value(a.f, 5);
    EXPECT_NEAR(largest_error(s, a.f, -5, 5), s.max_error, 0.05 * s.max_error + 1e-6 * unit) << a.name;
    EXPECT_NEAR(rms_error(s, a.f, 1e9), s.rms_error, 0.05 * s.rms_error + 1e-7 * unit) << a.name;
  }
}

TEST(FourierFit, SaturatesInTheGuardBandAndStaysInRange) {
  for (const Activation& a : activations()) {
    for (const FitNorm norm : {FitNorm::kMeanSquare, FitNorm::kUniform}) {
      FourierFitOptions options;
      options.norm = norm;
      const FourierSeries s = fit_fourier(a.f, 8, options, a.kinks);
      const double unit = largest_value(a.f, 8);
      EXPECT_NEAR(s.saturation_edge, 8 * (1 + (1 / 0.9 - 1) / 2), 1e-9);
      const double above = largest_error(s, a.f, 8, s.saturation_edge);
      const double below = largest_error(s, a.f, -s.saturation_edge, -8);
      EXPECT_LE(std::max(above, below), 0.01 * unit) << a.name;
      EXPECT_NEAR(std::max(above, below), s.saturation_error, 0.05 * s.saturation_error) << a.name;
      // From the edge to half a period it goes to the mean of both sides, without leaving the range.
      EXPECT_LE(s.guard_overshoot, 0.01 * unit) << a.name;
      EXPECT_NEAR(s.evaluate(s.half_period()), (a.f(8) + a.f(-8)) / 2, 0.02 * unit) << a.name;
    }
  }
}

TEST(FourierFit, UniformErrorOfReluComesCloseToTheBestPossible) {
  // The best uniform errors without any constraint in the guard band, DESIGN.md section 4.
  for (const auto& [degree, best] : {std::pair{31, 1.6e-3}, {63, 7.6e-4}, {127, 3.7e-4}}) {
    FourierFitOptions options;
    options.degree = degree;
    options.norm = FitNorm::kUniform;
    const std::vector<double> kinks = {0};
    const FourierSeries s = fit_fourier(relu, 3, options, kinks);
    EXPECT_LE(s.max_error, 1.12 * best * 3) << degree;
    EXPECT_GE(s.max_error, 0.95 * best * 3) << degree;
  }
}

TEST(FourierFit, LeastSquaresAtHalfTheDegreeMatchesTheUniformFitInTheMean) {
  FourierFitOptions half, full;
  half.degree = 31;
  full.norm = FitNorm::kUniform;
  const std::vector<double> kinks = {0};
  const double sigma = 0.2;  // of inputs, relative to the bound
  EXPECT_LE(rms_error(fit_fourier(relu, 1, half, kinks), relu, sigma),
            1.1 * rms_error(fit_fourier(relu, 1, full, kinks), relu, sigma));
}

TEST(FourierFit, DensityMovesErrorToWhereInputsAreRare) {
  FourierFitOptions options;
  options.degree = 31;
  const FourierSeries even = fit_fourier(relu, 1, options);
  for (int i = 0; i < 64; ++i) options.density.push_back(std::exp(-std::pow((i - 31.5) / 32 / 0.12, 2) / 2));
  const FourierSeries weighted = fit_fourier(relu, 1, options);
  EXPECT_LT(rms_error(weighted, relu, 0.12), 0.95 * rms_error(even, relu, 0.12));
  EXPECT_GT(largest_error(weighted, relu, 0.8, 1), largest_error(even, relu, 0.8, 1));
  EXPECT_NEAR(weighted.rms_error, rms_error(weighted, relu, 0.12), 0.1 * weighted.rms_error);
}

TEST(FourierFit, DensityMayBeOneSided) {
  FourierFitOptions options;
  options.density = {0, 0, 0, 1};  // everything in the upper quarter: the floor keeps the rest defined
  const FourierSeries s = fit_fourier(relu, 2, options);
  EXPECT_LT(largest_error(s, relu, 1.05, 2), 1e-3);
  EXPECT_LT(s.max_error, 0.05);
}

TEST(FourierSeries, EvaluatesItsFormula) {
  const FourierSeries s = fit_fourier([](double x) { return std::tanh(x) + 0.3; }, 3);
  for (const double x : {-7.0, -3.0, -0.4, 0.0, 1.0, 2.9, 3.2}) {
    double direct = 0;
    for (int k = 0; k <= s.degree(); ++k) {
      const double angle = std::numbers::pi * s.rho * k * x / s.bound;
      const auto c = s.coefficients[static_cast<std::size_t>(k)];
      direct += c.real() * std::cos(angle) - c.imag() * std::sin(angle);
    }
    EXPECT_NEAR(s.evaluate(x), direct, 1e-12);
    EXPECT_NEAR(s.evaluate(x + 2 * s.half_period()), direct, 1e-11);
  }
  EXPECT_EQ(s.coefficients[0].imag(), 0);
}

TEST(FourierSeries, SumsOverCoefficients) {
  FourierSeries s;
  s.coefficients = {2, {3, 4}, {0, 1}};
  EXPECT_DOUBLE_EQ(s.coefficient_sum(), 8);
  EXPECT_DOUBLE_EQ(s.noise_gain(), std::sqrt(25 + 4.0));
  EXPECT_EQ(s.degree(), 2);
}

TEST(FourierFit, KeepsSymmetry) {
  for (const FitNorm norm : {FitNorm::kMeanSquare, FitNorm::kUniform}) {
    FourierFitOptions options;
    options.norm = norm;
    const std::vector<double> kinks = {0};
    for (const auto& c : fit_fourier([](double x) { return std::abs(x); }, 4, options, kinks).coefficients) {
      EXPECT_NEAR(c.imag(), 0, 1e-7);
    }
    for (const auto& c : fit_fourier([](double x) { return std::tanh(x); }, 4, options).coefficients) {
      EXPECT_NEAR(c.real(), 0, 1e-7);
    }
  }
}

TEST(FourierFit, IsDeterministicAndScalesWithItsArguments) {
  const auto twice = [](double x) { return 10 * relu(x / 10); };
  const FourierSeries a = fit_fourier(relu, 1), again = fit_fourier(relu, 1), b = fit_fourier(twice, 10);
  EXPECT_EQ(a.coefficients, again.coefficients);
  for (int k = 0; k <= a.degree(); ++k) {
    const auto i = static_cast<std::size_t>(k);
    EXPECT_NEAR(std::abs(10.0 * a.coefficients[i] - b.coefficients[i]), 0, 1e-9);
  }
}

TEST(FourierFit, MoreExpectedNoiseGivesSmallerCoefficients) {
  FourierFitOptions quiet, loud;
  quiet.noise = 1e-6;
  loud.noise = 3e-2;
  const FourierSeries a = fit_fourier(relu, 1, quiet), b = fit_fourier(relu, 1, loud);
  EXPECT_LT(b.noise_gain(), a.noise_gain());
  EXPECT_GT(b.rms_error, a.rms_error);
}

TEST(FourierFit, ChoosesTheSmallestDegreeThatMeetsTheTarget) {
  const std::vector<double> kinks = {0};
  EXPECT_EQ(fit_fourier_to(relu, 1, 2e-3, {}, kinks).degree(), 15);
  EXPECT_EQ(fit_fourier_to(relu, 1, 5e-4, {}, kinks).degree(), 31);
  EXPECT_EQ(fit_fourier_to(relu, 1, 2e-4, {}, kinks).degree(), 63);
  EXPECT_EQ(fit_fourier_to(relu, 1, 5e-5, {}, kinks).degree(), 127);
  EXPECT_EQ(fit_fourier_to(relu, 1, 0, {}, kinks).degree(), 127);
  FourierFitOptions uniform;
  uniform.norm = FitNorm::kUniform;
  EXPECT_EQ(fit_fourier_to(relu, 1, 1e-3, uniform, kinks).degree(), 63);
}

void expect_refused(const std::function<double(double)>& f, double bound, const FourierFitOptions& options,
                    const std::string& part) {
  try {
    fit_fourier(f, bound, options);
    ADD_FAILURE() << "expected an error about " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(FourierFit, RefusesBadArguments) {
  expect_refused(relu, 0, {}, "bound");
  expect_refused(relu, -1, {}, "bound");
  expect_refused(relu, NAN, {}, "bound");
  expect_refused({}, 1, {}, "function");
  expect_refused(relu, 1, {.degree = 0}, "degree");
  expect_refused(relu, 1, {.degree = 256}, "degree");
  expect_refused(relu, 1, {.rho = 1}, "rho");
  expect_refused(relu, 1, {.rho = 0.4}, "rho");
  expect_refused(relu, 1, {.noise = 0}, "noise");
  expect_refused(relu, 1, {.density = {1, -1, 1}}, "density");
  expect_refused(relu, 1, {.density = {0, 0}}, "density");
  expect_refused([](double x) { return std::log(x); }, 1, {}, "not finite");
}

}  // namespace
}  // namespace hearth::compiler
