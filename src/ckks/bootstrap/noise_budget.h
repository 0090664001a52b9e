#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <vector>

namespace hearth::ckks {

/// How real parts are taken (after CoeffsToSlots, and of the series), which decides what they carry.
enum class SlotSplit : std::uint8_t {
  /// The sum with the conjugate is taken before the last rescaling: what the conjugation's key switch adds vanishes.
  kBeforeRescale,
  /// After it, so that the key switch's noise lands on t / K in full.
  kAfterRescale,
  /// t is rescaled once for the real part and once for the division by K, with dense plaintexts rounded at full
  /// precision: the model of the design study (design/bootstrap_noise.py), kept for comparison.
  kStudy
};

/// What an activation bootstrap is made of, as far as noise is concerned. One prime of scale_bits a level.
struct NoiseBudgetSpec {
  int log_n = 16;
  int hamming_weight = 512;      ///< of the main secret; 2^log_n * 2/3 for a uniform ternary one
  int encapsulated_weight = 32;  ///< of the sparse secret
  double scale_bits = 30;        ///< log2 of scales and primes (q0 too)
  int wrap_bound = 16;           ///< K
  int doublings = 4;             ///< r
  int exp_degree = 21;           ///< of the Chebyshev series of the exponential
  /// Their sum is log2 of the slots' period, log_n - 1 or less; kStudy knows the former only.
  std::vector<int> cts_radices = {5, 5, 5};
  std::vector<int> stc_radices = {5, 5, 5};  ///< ignored by kStudy
  double rho = 0.9;                          ///< x in [-B, B] is rho / 2 of a period on either side of 0
  SlotSplit split = SlotSplit::kBeforeRescale;
  /// Standard deviation of a coefficient's error after a key switch, beside rounding: sqrt(digits N / 12) sigma
  /// digit/P. Matters to kAfterRescale only: everywhere else a rescaling follows.
  double key_switch = 0;
};

/// Root mean squares over slots, messages spread evenly over [-B, B].
struct NoiseBudget {
  double slots = 0;        ///< complex error of CoeffsToSlots before the split, in periods (t = m / q0 + I)
  double exponential = 0;  ///< complex error of z = exp(2 pi i t)
  double output = 0;       ///< error of Re sum c_k z^k, in units of the coefficients; the fit's own error is not in it
};

/// Predicts the noise of an activation bootstrap with the given series, to first order. Every rescaling adds
/// independent errors of sqrt(N (1 + h) / 12) / scale a slot; how far each gets is followed exactly through the
/// evaluation (Chebyshev, squarings, series) for every multiple of q0 that ModRaise may add, and averaged. Milliseconds
/// to tenths of a second. docs/bootstrapping.md derives the terms. Throws Error(kInvalidArgument).
NoiseBudget predict_noise(const NoiseBudgetSpec& spec, std::span<const std::complex<double>> coefficients);

}  // namespace hearth::ckks
