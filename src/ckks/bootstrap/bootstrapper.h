#pragma once

#include <complex>
#include <span>
#include <vector>

#include "ckks/evaluator.h"
#include "ckks/linear_map.h"
#include "ckks/polynomial.h"

namespace hearth::ckks {

inline constexpr int kLargestRadix = 8;  ///< of a factor of the embedding: 511 diagonals

/// What a bootstrap is made of; see docs/bootstrapping.md for how the numbers are chosen.
struct BootstrapSpec {
  /// Stages of the embedding merged into each factor, in the order of application; each factor costs one level. Both
  /// lists sum to log2 of the period of the slot vectors, log2(slots) when they fill the ciphertext. Shorter periods
  /// take smaller factors and a projection onto the subring of such vectors after ModRaise.
  std::vector<int> stc_radices, cts_radices;
  int wrap_bound = 13;  ///< K: the multiples of q0 that ModRaise adds are assumed to be at most K in size
  int doublings = 4;    ///< r: the exponential is evaluated at 2 pi t / 2^r and squared r times
  int exp_degree = 15;  ///< degree of its Chebyshev series
  bool operator==(const BootstrapSpec&) const = default;
};

/// Throws Error(kInvalidArgument) when the parameters have no encapsulated secret or too few levels for the spec, or
/// the spec makes no sense.
void check(const Parameters& parameters, const BootstrapSpec& spec);
/// Level at which the exponential comes out.
int exponential_level(const Parameters& parameters, const BootstrapSpec& spec);

/// Largest error of the Chebyshev series of exp(2 pi i K x / 2^r) on [-1, 1] cut at `degree`.
double exponential_error(int wrap_bound, int doublings, int degree);
/// Smallest degree whose error, grown by the r squarings, is at most `target`.
int exponential_degree(int wrap_bound, int doublings, double target);

/// Refreshes ciphertexts of real slots and applies a periodic function to them: SlotsToCoeffs, ModRaise under an
/// encapsulated sparse secret, CoeffsToSlots, exponential, Fourier series (DESIGN.md section 4). Holds the encoded
/// factors of the embedding. Immutable; thread safe.
///
/// Levels: in at input_level(), the exponential is at exponential_level(), a series of n + 1 coefficients comes out at
/// exponential_level() - polynomial_depth(n).
class Bootstrapper {
 public:
  /// Throws like check(). `store`: where the encoded factors go instead of into memory.
  Bootstrapper(ParametersPtr parameters, BootstrapSpec spec, RowStore* store = nullptr);

  const BootstrapSpec& spec() const { return spec_; }
  const Parameters& parameters() const { return *parameters_; }
  /// Of the slot vectors it takes and gives.
  std::size_t period() const;
  int input_level() const { return static_cast<int>(spec_.stc_radices.size()); }
  int exponential_level() const { return ckks::exponential_level(*parameters_, spec_); }
  std::size_t bytes() const;  ///< of the encoded factors

  /// The scale at which values enter so that f may have the period `period`: q0 / period.
  double input_scale(double period) const { return parameters_->level_modulus(0) / period; }

  /// `in`: ciphertexts at input_level() with one scale, real slots x of period period(). Returns as many at
  /// exponential_level(), slots exp(2 pi i x scale / q0).
  std::vector<Ciphertext> exponentials(const Evaluator& evaluator, std::span<const Ciphertext> in) const;

  /// Slots Re sum_k c_k exp(2 pi i k x scale / q0), at exactly `output_scale`. Two at a time cost less than twice one.
  /// More than two are bootstrapped in pairs side by side, step by step, so that keys are gone through once for all of
  /// them; the bits are those of one pair after the other.
  /// Needs keys(spec, ...); Error(kMismatch) when one is missing, Error(kInvalidArgument) for wrong levels or scales.
  std::vector<Ciphertext> evaluate(const Evaluator& evaluator, std::span<const Ciphertext> in,
                                   std::span<const std::complex<double>> coefficients, double output_scale) const;

  /// The same with series that differ by input and slot: one list of coefficients an input, each coefficient a vector
  /// of one period (ckks/polynomial.h).
  std::vector<Ciphertext> evaluate(const Evaluator& evaluator, std::span<const Ciphertext> in,
                                   std::span<const SlotVectors> coefficients, double output_scale) const;

  // The steps, for tests and measurements.
  Ciphertext pack(const Evaluator& evaluator, std::span<const Ciphertext> in) const;  ///< a + i b
  Ciphertext slots_to_coefficients(const Evaluator& evaluator, Ciphertext c) const;   ///< to level 0
  Ciphertext raise(const Evaluator& evaluator, const Ciphertext& c) const;            ///< level 0 to the top
  /// Onto the subring of vectors of period period(); nothing to do when that is all slots. Scale follows.
  void project(const Evaluator& evaluator, Ciphertext& c) const;
  /// A raised ciphertext to `count` (1 or 2) ciphertexts of real slots t / K, t the coefficients over q0.
  std::vector<Ciphertext> coefficients_to_slots(const Evaluator& evaluator, Ciphertext c, std::size_t count) const;
  Ciphertext exponential(const Evaluator& evaluator, const Ciphertext& t) const;
  Ciphertext series(const Evaluator& evaluator, const Ciphertext& z, std::span<const std::complex<double>> coefficients,
                    double output_scale) const;
  Ciphertext series(const Evaluator& evaluator, const Ciphertext& z, const SlotVectors& coefficients,
                    double output_scale) const;

 private:
  /// All steps before the exponential: real slots t / K of each input.
  std::vector<Ciphertext> wrapped_slots(const Evaluator& evaluator, std::span<const Ciphertext> in) const;
  /// Map after map, each to all ciphertexts, so that what a map needs of keys and diagonals serves all of them.
  void apply(const Evaluator& evaluator, std::span<const PreparedLinearMap> maps,
             std::span<Ciphertext> ciphertexts) const;
  /// All of CoeffsToSlots but the last factor, which split() applies before it takes real and imaginary parts.
  void embed_raised(const Evaluator& evaluator, std::span<Ciphertext> raised) const;
  std::vector<Ciphertext> split(const Evaluator& evaluator, const Ciphertext& c, std::size_t count) const;

  ParametersPtr parameters_;
  BootstrapSpec spec_;
  std::vector<std::complex<double>> exponential_;  // Chebyshev coefficients
  std::vector<PreparedLinearMap> stc_, cts_;
};

/// How the rotations of one factor of an embedding are split: chained, with few keys, which are the larger part of what
/// a bootstrap reads (docs/experiments.md).
BsgsPlan plan_factor(const MapShape& shape, int slots);
/// How a factor at that level is hoisted: singly at level 1, where the last of SlotsToCoeffs has the longest diagonals
/// and most of their limbs would be special ones.
Hoisting factor_hoisting(int level);

/// Evaluation keys of all bootstraps with these parameters whose series have `coefficients` coefficients.
KeyRequest bootstrap_keys(const Parameters& parameters, const BootstrapSpec& spec, std::size_t coefficients);

}  // namespace hearth::ckks
