#pragma once

#include <complex>
#include <span>
#include <vector>

#include "ckks/ciphertext.h"

namespace hearth::ckks {

/// Canonical embedding (Cheon, Kim, Kim, Song 2017): slot j is the value at zeta^(5^j), zeta = exp(i pi / n).
/// Stateless apart from tables; thread safe.
class Encoder {
 public:
  explicit Encoder(ParametersPtr parameters);

  /// Encodes a slot vector whose length is its period: a power of two from 1 to n/2; the vector repeats over all slots.
  /// `basis` is any set of ring primes (Q, or QP for linear maps). Coefficients are rounded to nearest; throws
  /// Error(kOutOfRange as kInvalidArgument) when one exceeds 2^120, or a value is not finite.
  /// `montgomery`: give residues in Montgomery form (for use as the b operand of dot).
  Plaintext encode(std::span<const std::complex<double>> values, double scale, const ring::Basis& basis,
                   bool montgomery = true) const;
  Plaintext encode(std::span<const double> values, double scale, const ring::Basis& basis, bool montgomery = true) const;
  /// The same real value in every slot.
  Plaintext encode(double value, double scale, const ring::Basis& basis, bool montgomery = true) const;

  /// Slots of a polynomial given by exact integer coefficients / scale: `poly` on q_basis(level) (dense, any domain).
  /// Reconstructs each coefficient centred modulo the product of the basis. Returns n/2 values.
  std::vector<std::complex<double>> decode(const ring::Poly& poly, double scale) const;

  /// The embedding itself, for tests and bootstrapping: `size` slots <-> 2*size real coefficients (re parts then im parts).
  void slots_to_coefficients(std::span<std::complex<double>> slots) const;
  void coefficients_to_slots(std::span<std::complex<double>> values) const;

 private:
  ParametersPtr parameters_;
  std::vector<std::complex<double>> roots_;   // exp(2 pi i k / 2n)
  std::vector<std::uint32_t> rotation_group_;  // 5^j mod 2n
};

}  // namespace hearth::ckks
