#pragma once

#include <complex>
#include <span>
#include <vector>

namespace hearth::compiler {

/// Weighted least squares in the span of 1, cos(k a), sin(k a), k = 1..n, at fixed angles a_i, with a penalty on the
/// derivative: minimises
///   sum_i w_i (Re sum_k c_k e^(i k a_i) - y_i)^2 + noise^2 / 2 * sum_k k^2 |c_k|^2.
///
/// By normal equations: products of the basis functions are again sines and cosines, so the matrix follows from 2n + 1
/// moments of the weights. The penalty keeps its condition below about 1 / noise^2, far from double's limit.
class FourierLeastSquares {
 public:
  FourierLeastSquares(std::vector<double> angles, int degree, double noise);

  /// Weights are not negative and not all zero.
  std::vector<std::complex<double>> solve(std::span<const double> weights, std::span<const double> values) const;
  /// The series at angle i.
  double evaluate(std::span<const std::complex<double>> c, std::size_t i) const;

 private:
  std::vector<std::complex<double>> moments(std::span<const double> weights, int count) const;

  std::vector<std::complex<double>> points_;  // e^(i a)
  int degree_;
  double penalty_;
};

}  // namespace hearth::compiler
