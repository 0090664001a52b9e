#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <vector>

#include "ckks/evaluator.h"

namespace hearth::ckks {

enum class PolynomialBasis : std::uint8_t { kMonomial, kChebyshev };  ///< Chebyshev on [-1, 1]

/// sum_i coefficients[i] * B_i(x), by baby-step giant-step (Paterson-Stockmeyer) in depth ceil(log2(degree + 1))
/// levels, degree = coefficients.size() - 1. Output scale is exactly `output_scale`; output level is x.level -
/// polynomial_depth(degree). Needs the relinearisation keys of the levels passed through when degree >= 2.
///
/// Scales are exact: the scale wanted at the output is carried down the recursion, and every constant is encoded at the
/// scale that makes its product come out there, so nothing is adjusted afterwards (Bossuat et al. 2021, section 5.2).
/// Coefficients are encoded at about output_scale * (prime of the level) / x.scale.
///
/// Throws Error(kInvalidArgument) when levels do not suffice, a coefficient is not finite, or there is none.
Ciphertext evaluate_polynomial(const Evaluator& evaluator, const Ciphertext& x, std::span<const double> coefficients,
                               PolynomialBasis basis, double output_scale);
Ciphertext evaluate_polynomial(const Evaluator& evaluator, const Ciphertext& x,
                               std::span<const std::complex<double>> coefficients, PolynomialBasis basis,
                               double output_scale);
/// The same with coefficients that differ by slot: vectors of one length, their period (a power of two up to n/2).
using SlotVectors = std::vector<std::vector<std::complex<double>>>;
Ciphertext evaluate_polynomial(const Evaluator& evaluator, const Ciphertext& x, const SlotVectors& coefficients,
                               PolynomialBasis basis, double output_scale);
/// ceil(log2(degree + 1)), degree >= 0.
int polynomial_depth(int degree);

}  // namespace hearth::ckks
