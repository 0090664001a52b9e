#pragma once

// The kernels of convolutions on the vectors of one instruction set. Lanes gives: Vec of kLanes doubles, a divisor of
// kUnit; load, store, broadcast, mul_add(a, b, c) = a b + c, widen(const float*), narrow(float*, Vec); and how many
// rows and units a tile has (its sums stay in registers), and how many units slide() works on at a time. No library
// functions here: they would be shared with code for other instruction sets.
#include <cstddef>

#include "base/unrolled.h"
#include "nn/kernels/convolve_kernels.h"

namespace hearth::nn {

template <typename Lanes>
struct ConvolvePasses {
  using Vec = typename Lanes::Vec;
  static constexpr int kVecs = static_cast<int>(kUnit) / Lanes::kLanes;  ///< vectors in a unit

  static void widen(double* to, const float* from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) to[i] = double{from[i]};
  }
  static void narrow(float* to, const double* from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
  }

  static void gather(double* to, const float* from, const std::ptrdiff_t* offsets, std::size_t taps) {
    for (std::size_t t = 0; t < taps; ++t, to += kUnit) {
      const float* at = from + offsets[t];
      unrolled<kVecs>([&](auto v) __attribute__((always_inline)) {
        Lanes::store(to + v * Lanes::kLanes, Lanes::widen(at + v * Lanes::kLanes));
      });
    }
  }

  /// multiply() for a number of rows and units whose sums stay in registers.
  template <int kRows, int kUnits>
  static void tile(double* sums, std::size_t stride, const double* weights, const double* seen, std::size_t taps) {
    constexpr int kColumns = kUnits * kVecs;
    Vec sum[kRows][kColumns];
    unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
      unrolled<kColumns>([&](auto c) __attribute__((always_inline)) {
        sum[r][c] = Lanes::load(sums + r * stride + c * Lanes::kLanes);
      });
    });
    for (std::size_t t = 0; t < taps; ++t) {
      Vec x[kColumns];
      unrolled<kColumns>([&](auto c) __attribute__((always_inline)) {
        constexpr std::size_t kOffset = c / kVecs * kTaps * kUnit + c % kVecs * Lanes::kLanes;
        x[c] = Lanes::load(seen + t * kUnit + kOffset);
      });
      unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
        const Vec weight = Lanes::broadcast(weights[r * kTaps + t]);
        unrolled<kColumns>([&](auto c)
                               __attribute__((always_inline)) { sum[r][c] = Lanes::mul_add(weight, x[c], sum[r][c]); });
      });
    }
    unrolled<kRows>([&](auto r) __attribute__((always_inline)) {
      unrolled<kColumns>([&](auto c) __attribute__((always_inline)) {
        Lanes::store(sums + r * stride + c * Lanes::kLanes, sum[r][c]);
      });
    });
  }

  /// multiply() for kRows rows, kUnits units at a time, then half as many, down to one.
  template <int kRows, int kUnits>
  static void strip(double* sums, std::size_t stride, const double* weights, const double* seen, std::size_t taps,
                    std::size_t units) {
    for (; units >= kUnits; units -= kUnits, sums += kUnits * kUnit, seen += kUnits * kTaps * kUnit) {
      tile<kRows, kUnits>(sums, stride, weights, seen, taps);
    }
    if constexpr (kUnits > 1) strip<kRows, (kUnits + 1) / 2>(sums, stride, weights, seen, taps, units);
  }

  static void multiply(double* sums, std::size_t stride, const double* weights, const double* seen, std::size_t taps,
                       std::size_t rows, std::size_t units) {
    constexpr std::size_t kRows = Lanes::kRows;
    for (; rows >= kRows; rows -= kRows, sums += kRows * stride, weights += kRows * kTaps) {
      strip<Lanes::kRows, Lanes::kUnits>(sums, stride, weights, seen, taps, units);
    }
    for (; rows > 0; --rows, sums += stride, weights += kTaps) {
      strip<1, Lanes::kUnits>(sums, stride, weights, seen, taps, units);
    }
  }

  template <int kUnits>
  static void slide_tile(float* to, const float* from, const std::ptrdiff_t* bases, const std::ptrdiff_t* offsets,
                         const double* weights, std::size_t taps, double bias) {
    Vec sum[kUnits][kVecs];
    const float* at[kUnits];
    unrolled<kUnits>([&](auto u) __attribute__((always_inline)) {
      at[u] = from + bases[u];
      unrolled<kVecs>([&](auto v) __attribute__((always_inline)) { sum[u][v] = Lanes::broadcast(bias); });
    });
    for (std::size_t t = 0; t < taps; ++t) {
      const Vec weight = Lanes::broadcast(weights[t]);
      const std::ptrdiff_t offset = offsets[t];
      unrolled<kUnits>([&](auto u) __attribute__((always_inline)) {
        unrolled<kVecs>([&](auto v) __attribute__((always_inline)) {
          sum[u][v] = Lanes::mul_add(weight, Lanes::widen(at[u] + offset + v * Lanes::kLanes), sum[u][v]);
        });
      });
    }
    unrolled<kUnits>([&](auto u) __attribute__((always_inline)) {
      unrolled<kVecs>([&](auto v) __attribute__((always_inline)) {
        Lanes::narrow(to + u * kUnit + v * Lanes::kLanes, sum[u][v]);
      });
    });
  }

  static void slide(float* to, const float* from, const std::ptrdiff_t* bases, std::size_t units,
                    const std::ptrdiff_t* offsets, const double* weights, std::size_t taps, double bias) {
    constexpr std::size_t kUnits = Lanes::kSlideUnits;
    for (; units >= kUnits; units -= kUnits, to += kUnits * kUnit, bases += kUnits) {
      slide_tile<Lanes::kSlideUnits>(to, from, bases, offsets, weights, taps, bias);
    }
    for (; units > 0; --units, to += kUnit, ++bases) {
      slide_tile<1>(to, from, bases, offsets, weights, taps, bias);
    }
  }

  static constexpr ConvolveKernels table(const char* name) { return {name, widen, narrow, gather, multiply, slide}; }
};

}  // namespace hearth::nn
