#pragma once

#include <span>
#include <vector>

#include "ckks/evaluator.h"

namespace hearth::ckks {

enum class PolynomialBasis : std::uint8_t { kMonomial, kChebyshev };  ///< Chebyshev on [-1, 1]

/// sum_i coefficients[i] * B_i(x), by baby-step giant-step (Paterson-Stockmeyer) in depth ceil(log2(degree + 1)) levels
/// (+ 0 when exact scale alignment needs no extra). Output scale is exactly `output_scale`; output level is
/// x.level - polynomial_depth(degree). Throws Error(kInvalidArgument) when levels do not suffice.
Ciphertext evaluate_polynomial(const Evaluator& evaluator, const Ciphertext& x, std::span<const double> coefficients,
                               PolynomialBasis basis, double output_scale);
int polynomial_depth(int degree);

}  // namespace hearth::ckks
