#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <random>
#include <vector>

#include "ckks/parameters.h"

namespace hearth::ckks::testing {

/// Parameter specs that tests of this layer share. All are far too small to be secure.

/// `levels` levels of one 30-bit prime each, digits of `digit` primes and as many special primes.
inline ParameterSpec chain_spec(int log_n, int levels, int digit = 2) {
  ParameterSpec spec;
  spec.log_n = log_n;
  spec.levels.assign(static_cast<std::size_t>(levels), {30});
  spec.special_bits.assign(static_cast<std::size_t>(digit), 30);
  spec.key_sets = {{levels - 1, digit, digit}};
  spec.security = Security::kNone;
  return spec;
}

/// Levels of one and of two primes, of several sizes, and two key sets.
inline ParameterSpec mixed_spec(int log_n) {
  ParameterSpec spec;
  spec.log_n = log_n;
  spec.levels = {{30, 30}, {28}, {27, 26}, {30, 25}, {29}};
  spec.special_bits = {30, 30, 30};
  spec.key_sets = {{1, 1, 1}, {4, 3, 3}};
  spec.security = Security::kNone;
  return spec;
}

inline std::vector<std::complex<double>> random_slots(std::size_t count, unsigned seed, double magnitude = 1) {
  std::mt19937_64 generator(seed);
  std::uniform_real_distribution<double> uniform(-magnitude, magnitude);
  std::vector<std::complex<double>> out(count);
  for (auto& value : out) value = {uniform(generator), uniform(generator)};
  return out;
}

/// Largest |a_i - b_i|.
inline double distance(const std::vector<std::complex<double>>& a, const std::vector<std::complex<double>>& b) {
  double largest = a.size() == b.size() ? 0 : HUGE_VAL;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

/// `values` repeated to `count` entries.
inline std::vector<std::complex<double>> repeat(const std::vector<std::complex<double>>& values, std::size_t count) {
  std::vector<std::complex<double>> out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = values[i % values.size()];
  return out;
}

}  // namespace hearth::ckks::testing
