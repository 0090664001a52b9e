#include "ckks/bootstrap/wrap_bound.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "base/error.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;

/// log(sinh(u / 2) / (u / 2)), the cumulant generating function of one uniform number; real part of u positive.
Complex cumulant(Complex u) {
  if (std::abs(u) < 1e-2) return u * u / 24.0 - u * u * u * u / 2880.0;
  return u / 2.0 + std::log((1.0 - std::exp(-u)) / u);
}

/// Its derivative on the real line: coth(u / 2) / 2 - 1 / u.
double cumulant_slope(double u) {
  if (u < 1e-2) return u / 12 - u * u * u / 720;
  return 0.5 / std::tanh(u / 2) - 1 / u;
}

/// The tilt under which the mean of the sum is `limit`. The slope rises from 0 to 1/2, so for limits below terms / 2
/// there is one; 1 / (1/2 - limit / terms) is above it.
double saddle_point(double mean) {
  double low = 0, high = 1 / (0.5 - mean);
  for (int i = 0; i < 200 && high - low > 1e-14 * high; ++i) {
    const double middle = (low + high) / 2;
    (cumulant_slope(middle) < mean ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

// P(S > x) = 1/(2 pi i) integral exp(terms cumulant(u) - u x) / u du along Re u = tilt, for any tilt > 0. Through the
// saddle point the integrand is largest at the real axis, where it has the size of the result, so nothing cancels. The
// trapezoidal rule of step 2 pi / period errs by the same probability at x +- period, ..., weighted by exp(-+ tilt
// period): nothing on the right of the largest sum, and below exp(-tilt (period - x)) relatively on the left.
double log2_sum_tail(int terms, double limit) {
  require(terms >= 8 && terms <= 65536, ErrorKind::kInvalidArgument,
          "the number of uniform terms must be in [8, 65536], got {}", terms);
  require(limit >= 0.5, ErrorKind::kInvalidArgument, "the limit of a sum must be at least 0.5, got {}", limit);
  if (limit >= terms / 2.0) return -INFINITY;
  const double tilt = saddle_point(limit / terms);
  const double period = limit + terms + 40 / tilt;
  const double step = 2 * std::numbers::pi / period;
  const double peak = terms * cumulant(tilt).real() - tilt * limit;
  double sum = 0.5 / tilt;
  for (int i = 1; i < 10'000'000; ++i) {
    const Complex u(tilt, step * i);
    const Complex term = std::exp(static_cast<double>(terms) * cumulant(u) - u * limit - peak) / u;
    sum += term.real();
    // |sinh(u/2) / (u/2)| falls at least like 1/|u| once past the first period, terms >= 8 times.
    if (step * i > 4 * tilt && std::abs(term) < 1e-18 * std::abs(sum)) break;
  }
  const double both_sides = 2 * sum * step / std::numbers::pi;
  return std::min(0.0, (std::log(both_sides) + peak) / std::numbers::ln2);
}

namespace {

double log2_events(int log_n, double bootstraps) {
  require(log_n >= 1 && log_n <= 30, ErrorKind::kInvalidArgument, "log_n must be in [1, 30], got {}", log_n);
  require(bootstraps >= 1, ErrorKind::kInvalidArgument, "the number of bootstraps must be at least 1, got {}",
          bootstraps);
  return log_n + std::log2(bootstraps);
}

}  // namespace

double log2_wrap_probability(int hamming_weight, int log_n, double bootstraps, double bound) {
  return std::min(0.0, log2_events(log_n, bootstraps) + log2_sum_tail(hamming_weight + 1, bound));
}

double log2_wrap_probability_worst_message(int hamming_weight, int log_n, double bootstraps, double bound) {
  // The message fixes c0 given c1 s, so only h terms are random; t > bound when they exceed bound - 1/2.
  return std::min(0.0, log2_events(log_n, bootstraps) + log2_sum_tail(hamming_weight, bound - 0.5) - 1);
}

int smallest_wrap_bound(int hamming_weight, int log_n, double bootstraps, double log2_target) {
  require(log2_target < 0, ErrorKind::kInvalidArgument, "the target probability must be below 1, got 2^{}",
          log2_target);
  int bound = 1;
  while (log2_wrap_probability(hamming_weight, log_n, bootstraps, bound) > log2_target) ++bound;
  return bound;
}

}  // namespace hearth::ckks
