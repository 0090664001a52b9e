#pragma once

#include <complex>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "ckks/ciphertext.h"

namespace hearth::ckks {

class SplitTwiddles;

/// What an encoding is before it is reduced modulo primes: the integer coefficients of a slot vector.
struct RoundedCoefficients {
  std::size_t size = 0;        ///< number of coefficients: twice the period
  double largest = 0;          ///< magnitude of the largest coefficient, before rounding
  std::size_t words = 0;       ///< 1, 2 or 4 words of 32 bits a coefficient
  Buffer<std::uint32_t> rows;  ///< row w, at w * size, holds word w of the coefficients plus 2^(32 words - 1); kept and
                               ///< reused when it is large enough
  std::size_t bytes() const { return rows.size() * sizeof(std::uint32_t); }
};

/// Canonical embedding (Cheon, Kim, Kim, Song 2017): slot j is the value at zeta^(5^j), zeta = exp(i pi / n).
/// Stateless apart from tables, which copies share; thread safe.
class Encoder {
 public:
  explicit Encoder(ParametersPtr parameters);

  /// Encodes a slot vector whose length is its period: a power of two from 1 to n/2; the vector repeats over all slots.
  /// `basis` is any set of ring primes (Q, or QP for linear maps). Coefficients are rounded to nearest; throws
  /// Error(kInvalidArgument) when one exceeds 2^120, a value is not finite, or the scale is not positive and finite.
  /// `montgomery`: give residues in Montgomery form (for use as the b operand of dot).
  Plaintext encode(std::span<const std::complex<double>> values, double scale, const ring::Basis& basis,
                   bool montgomery = true) const;
  Plaintext encode(std::span<const double> values, double scale, const ring::Basis& basis,
                   bool montgomery = true) const;
  /// The same real value in every slot.
  Plaintext encode(double value, double scale, const ring::Basis& basis, bool montgomery = true) const;

  /// The two halves of encode(), for those who want one prime at a time. round() throws as encode() does.
  void round(std::span<const std::complex<double>> values, double scale, RoundedCoefficients& out) const;
  void round(std::span<const double> values, double scale, RoundedCoefficients& out) const;
  /// Writes the limb of ring prime `prime`, c.size residues in NTT domain.
  void residues(const RoundedCoefficients& c, int prime, bool montgomery, std::uint32_t* out) const;

  /// Slots of a polynomial given by exact integer coefficients / scale: `poly` in any domain, dense or of a subring
  /// (then the slots repeat). Reconstructs each coefficient centred modulo the product of the basis, exactly, and
  /// rounds it to a double once. Time grows with the square of the number of limbs. Returns n/2 values.
  std::vector<std::complex<double>> decode(const ring::Poly& poly, double scale) const;

  /// The embedding itself, for tests and bootstrapping, in place on p values, p a power of two up to n/2: value j is
  /// slot j on one side, coefficient j (real part) and coefficient j + p (imaginary part) of the subring of 2p
  /// coefficients on the other. Neither scales nor rounds.
  void slots_to_coefficients(std::span<std::complex<double>> values) const;
  void coefficients_to_slots(std::span<std::complex<double>> values) const;

 private:
  /// For values as separate parts, which become working memory. False when a coefficient does not fit one word.
  bool round_one_word(double* re, double* im, std::size_t period, double scale, RoundedCoefficients& out) const;
  Plaintext all_residues(const RoundedCoefficients& c, double scale, const ring::Basis& basis, bool montgomery) const;

  ParametersPtr parameters_;
  /// Entry h + j: exp(2 pi i (5^j mod 8h) / 8h), h = 1, 2, 4.. n/4, j < h.
  std::shared_ptr<const std::vector<std::complex<double>>> twiddles_;
  std::shared_ptr<const SplitTwiddles> split_twiddles_;
};

}  // namespace hearth::ckks
