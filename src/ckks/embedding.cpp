#include "ckks/embedding.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <utility>

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;

/// Plain products: std::complex's operator* also repairs infinities, which costs a branch an element.
Complex times(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}
Complex times_conjugate(Complex a, Complex b) {
  return {a.real() * b.real() + a.imag() * b.imag(), a.imag() * b.real() - a.real() * b.imag()};
}

void bit_reverse(std::span<Complex> values) {
  const std::size_t size = values.size();
  for (std::size_t i = 1, j = 0; i < size; ++i) {
    std::size_t bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(values[i], values[j]);
  }
}

}  // namespace

std::vector<Complex> embedding_twiddles(std::size_t slots) {
  std::vector<Complex> out(slots > 1 ? slots : 1);
  for (std::size_t half = 1; half < slots; half *= 2) {
    const std::size_t order = 8 * half;
    std::size_t power = 1;
    for (std::size_t j = 0; j < half; ++j) {
      const long double angle =
          2 * std::numbers::pi_v<long double> * static_cast<long double>(power) / static_cast<long double>(order);
      out[half + j] = {static_cast<double>(std::cos(angle)), static_cast<double>(std::sin(angle))};
      power = power * 5 % order;
    }
  }
  return out;
}

void embed(std::span<Complex> values, std::span<const Complex> twiddles) {
  bit_reverse(values);
  const std::size_t size = values.size();
  for (std::size_t half = 1; half < size; half *= 2) {
    const Complex* w = twiddles.data() + half;
    for (std::size_t start = 0; start < size; start += 2 * half) {
      Complex *low = values.data() + start, *high = low + half;
      for (std::size_t j = 0; j < half; ++j) {
        const Complex u = low[j], v = times(high[j], w[j]);
        low[j] = u + v;
        high[j] = u - v;
      }
    }
  }
}

void embed_inverse(std::span<Complex> values, std::span<const Complex> twiddles) {
  const std::size_t size = values.size();
  for (std::size_t half = size / 2; half >= 1; half /= 2) {
    const Complex* w = twiddles.data() + half;
    for (std::size_t start = 0; start < size; start += 2 * half) {
      Complex *low = values.data() + start, *high = low + half;
      for (std::size_t j = 0; j < half; ++j) {
        const Complex u = low[j], v = high[j];
        low[j] = u + v;
        high[j] = times_conjugate(u - v, w[j]);
      }
    }
  }
  bit_reverse(values);
  const double factor = 1.0 / static_cast<double>(size);
  for (Complex& value : values) value *= factor;
}

}  // namespace hearth::ckks
