#pragma once

#include <cstddef>

namespace hearth::nn {

/// Neighbouring output positions that kernels compute together.
inline constexpr std::size_t kUnit = 8;
/// Taps whose weights and inputs are kept at hand as doubles: 16 KiB for eight rows of weights, 16 KiB for a unit.
inline constexpr std::size_t kTaps = 256;

/// The inner loops of convolve(), for one instruction set. Every set gives the same bits: products of two floats are
/// exact in double, so the only roundings are those of the sums, which are added in one order, and it does not matter
/// whether product and sum are fused. Pure and thread safe; no array may overlap another; no alignment is needed.
struct ConvolveKernels {
  const char* name;  ///< "scalar", "avx2", "avx512"

  /// to[i] = from[i] for i < count; narrow rounds to nearest.
  void (*widen)(double* to, const float* from, std::size_t count);
  void (*narrow)(float* to, const double* from, std::size_t count);

  /// to[t][lane] = from[offsets[t] + lane] for t < taps, lane < kUnit.
  void (*gather)(double* to, const float* from, const std::ptrdiff_t* offsets, std::size_t taps);

  /// sums[r][u][lane] += weights[r][0] * seen[u][0][lane], then the products of t = 1, ..., taps - 1 <= kTaps - 1.
  /// Rows of sums are `stride` doubles apart, rows of weights kTaps, units of seen kTaps * kUnit.
  void (*multiply)(double* sums, std::size_t stride, const double* weights, const double* seen, std::size_t taps,
                   std::size_t rows, std::size_t units);

  /// to[u][lane] = bias + weights[0] * from[bases[u] + offsets[0] + lane] + ..., the same for one row without
  /// gathering. Any number of taps.
  void (*slide)(float* to, const float* from, const std::ptrdiff_t* bases, std::size_t units,
                const std::ptrdiff_t* offsets, const double* weights, std::size_t taps, double bias);
};

/// For the instruction set of best_isa().
const ConvolveKernels& convolve_kernels();
/// By name, or nullptr when this CPU lacks the set. The scalar one always exists.
const ConvolveKernels* convolve_kernels_for(const char* name);

// What the files compiled for one instruction set define; nullptr when the compiler does not target x86.
const ConvolveKernels* convolve_avx2();
const ConvolveKernels* convolve_avx512();

}  // namespace hearth::nn
