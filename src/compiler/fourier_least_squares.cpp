#include "compiler/fourier_least_squares.h"

#include <cmath>
#include <cstddef>

namespace hearth::compiler {
namespace {

/// A symmetric positive definite matrix, dense by rows; only the lower triangle is used.
class Symmetric {
 public:
  explicit Symmetric(std::size_t size) : size_(size), entries_(size * size) {}
  double& at(std::size_t row, std::size_t column) { return entries_[row * size_ + column]; }
  const double* row(std::size_t r) const { return entries_.data() + r * size_; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::vector<double> entries_;
};

double dot(const double* a, const double* b, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

/// Solves m x = b in place by m = L L^T.
void cholesky_solve(Symmetric& m, std::vector<double>& b) {
  const std::size_t size = m.size();
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < i; ++j) m.at(i, j) = (m.at(i, j) - dot(m.row(i), m.row(j), j)) / m.at(j, j);
    m.at(i, i) = std::sqrt(m.at(i, i) - dot(m.row(i), m.row(i), i));
    b[i] = (b[i] - dot(m.row(i), b.data(), i)) / m.at(i, i);
  }
  for (std::size_t i = size; i-- > 0;) {
    b[i] /= m.at(i, i);
    for (std::size_t j = 0; j < i; ++j) b[j] -= m.at(i, j) * b[i];
  }
}

}  // namespace

FourierLeastSquares::FourierLeastSquares(std::vector<double> angles, int degree, double noise)
    : degree_(degree), penalty_(noise * noise / 2) {
  points_.reserve(angles.size());
  for (const double angle : angles) points_.push_back(std::polar(1.0, angle));
}

/// sum_i w_i e^(i k a_i), k = 0..count-1.
std::vector<std::complex<double>> FourierLeastSquares::moments(std::span<const double> weights, int count) const {
  // Separate real and imaginary parts: products of std::complex check for NaN.
  std::vector<double> real(static_cast<std::size_t>(count)), imaginary(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < points_.size(); ++i) {
    const double c = points_[i].real(), s = points_[i].imag();
    double x = weights[i], y = 0;
    for (std::size_t k = 0; k < real.size(); ++k) {
      real[k] += x;
      imaginary[k] += y;
      const double next = x * c - y * s;
      y = x * s + y * c;
      x = next;
    }
  }
  std::vector<std::complex<double>> result;
  for (std::size_t k = 0; k < real.size(); ++k) result.emplace_back(real[k], imaginary[k]);
  return result;
}

std::vector<std::complex<double>> FourierLeastSquares::solve(std::span<const double> weights,
                                                             std::span<const double> values) const {
  const auto n = static_cast<std::size_t>(degree_);
  const auto moment = moments(weights, 2 * degree_ + 1);
  std::vector<double> weighted(weights.begin(), weights.end());
  for (std::size_t i = 0; i < weighted.size(); ++i) weighted[i] *= values[i];
  const auto right = moments(weighted, degree_ + 1);

  // Unknowns: cos 0..n, then sin 1..n (at n + k).
  Symmetric m(2 * n + 1);
  std::vector<double> x(2 * n + 1);
  for (std::size_t j = 0; j <= n; ++j) {
    x[j] = right[j].real();
    if (j > 0) x[n + j] = right[j].imag();
    for (std::size_t k = 0; k <= j; ++k) {
      const std::complex<double> sum = moment[j + k], difference = moment[j - k];
      m.at(j, k) = (difference.real() + sum.real()) / 2;
      if (j == 0) continue;
      m.at(n + j, k) = (sum.imag() + difference.imag()) / 2;
      if (k == 0) continue;
      m.at(n + j, n + k) = (difference.real() - sum.real()) / 2;
      m.at(n + k, j) = (sum.imag() - difference.imag()) / 2;
    }
    const double penalty = penalty_ * static_cast<double>(j) * static_cast<double>(j);
    m.at(j, j) += penalty;
    if (j > 0) m.at(n + j, n + j) += penalty;
  }
  cholesky_solve(m, x);

  std::vector<std::complex<double>> c(n + 1);
  c[0] = x[0];
  for (std::size_t k = 1; k <= n; ++k) c[k] = {x[k], -x[n + k]};
  return c;
}

double FourierLeastSquares::evaluate(std::span<const std::complex<double>> c, std::size_t i) const {
  const double cosine = points_[i].real(), sine = points_[i].imag();
  double x = 0, y = 0;
  for (std::size_t k = c.size(); k-- > 0;) {
    const double next = x * cosine - y * sine + c[k].real();
    y = x * sine + y * cosine + c[k].imag();
    x = next;
  }
  return x;
}

}  // namespace hearth::compiler
