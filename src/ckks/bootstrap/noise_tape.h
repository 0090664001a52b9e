#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <vector>

namespace hearth::ckks {

/// A computation on one complex number per step, recorded so that the effect of a small error at any step on the result
/// can be read off backwards (first order; every step is holomorphic). Used to predict noise: steps marked as sources
/// receive errors independent of each other.
class NoiseTape {
 public:
  using Complex = std::complex<double>;

  /// A value without noise.
  int input(Complex value);
  /// p a + q b + c.
  int combine(int a, Complex p, int b, Complex q, Complex c = 0);
  int multiply(int a, int b);
  /// The same value; from here on it carries a new error of unit size.
  int source(int a);

  Complex value(int i) const { return values_[static_cast<std::size_t>(i)]; }
  /// d result / d step for every step.
  std::vector<Complex> sensitivities(int result) const;
  /// Sum of |d|^2 over all sources, d the result's sensitivity to each: the mean square error of the result when every
  /// source has a complex error of mean square 1. (Half of it falls on the real part.)
  double source_gain(std::span<const Complex> sensitivities) const;

 private:
  struct Step {
    int a = -1, b = -1;
    Complex da, db;
  };
  int record(Complex value, Step step);

  std::vector<Complex> values_;
  std::vector<Step> steps_;
  std::vector<int> sources_;
};

}  // namespace hearth::ckks
