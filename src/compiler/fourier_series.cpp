#include "compiler/fourier_series.h"

#include <cmath>
#include <numbers>

namespace hearth::compiler {

double FourierSeries::evaluate(double x) const {
  const std::complex<double> z = std::polar(1.0, std::numbers::pi * rho * x / bound);
  std::complex<double> sum = 0;
  for (std::size_t k = coefficients.size(); k-- > 0;) sum = sum * z + coefficients[k];
  return sum.real();
}

double FourierSeries::coefficient_sum() const {
  double sum = 0;
  for (const auto& c : coefficients) sum += std::abs(c);
  return sum;
}

double FourierSeries::noise_gain() const {
  double sum = 0;
  for (std::size_t k = 0; k < coefficients.size(); ++k) {
    sum += static_cast<double>(k) * static_cast<double>(k) * std::norm(coefficients[k]);
  }
  return std::sqrt(sum);
}

FourierSeries fit_fourier_to(const std::function<double(double)>& f, double bound, double target,
                             const FourierFitOptions& options, std::span<const double> kinks) {
  FourierFitOptions tried = options;
  FourierSeries series;
  for (const int degree : {15, 31, 63, 127}) {
    tried.degree = degree;
    series = fit_fourier(f, bound, tried, kinks);
    if ((options.norm == FitNorm::kUniform ? series.max_error : series.rms_error) <= target) break;
  }
  return series;
}

}  // namespace hearth::compiler
