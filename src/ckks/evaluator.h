#pragma once

#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "ckks/keys.h"

namespace hearth::ckks {

/// A ciphertext's second part decomposed and raised to QP (NTT domain): the expensive half of a key switch, shared by
/// every rotation of the same ciphertext (hoisting; Halevi and Shoup 2018).
struct Hoisted {
  std::vector<ring::Poly> digits;
  int level = 0;
  int set = 0;
};

/// A pair of polynomials over qp_basis(level, set), NTT domain: a key-switch result before ModDown, carrying a factor
/// P.
struct ExtendedPair {
  ring::Poly c0, c1;
};

/// Homomorphic operations. Scales are tracked exactly as doubles. Binary operations need equal levels and scales equal
/// to a relative 2^-20 (Error(kInvalidArgument) with both otherwise); nothing is aligned silently. Holds references to
/// parameters and keys; const methods are thread safe.
class Evaluator {
 public:
  /// `keys` may be null when no operation needs one.
  Evaluator(ParametersPtr parameters, const EvaluationKeys* keys);

  const Parameters& parameters() const { return *parameters_; }
  const Encoder& encoder() const { return encoder_; }

  /// `check` is called between the parts of all work with this evaluator, at least at every key switch and so every few
  /// tens of milliseconds, by any of the threads that do it. What it throws ends the operation and reaches its caller;
  /// in-place operands are then of no use any more. Not to be called while an operation runs.
  void set_checkpoint(std::function<void()> check) { checkpoint_ = std::move(check); }
  /// For operations built from others.
  void checkpoint() const {
    if (checkpoint_) checkpoint_();
  }

  void add_inplace(Ciphertext& a, const Ciphertext& b) const;
  void sub_inplace(Ciphertext& a, const Ciphertext& b) const;
  void negate_inplace(Ciphertext& a) const;
  /// a += p; p.scale must match a.scale; any period; Montgomery form or not.
  void add_plain_inplace(Ciphertext& a, const Plaintext& p) const;
  void add_constant_inplace(Ciphertext& a, double value) const;
  /// a *= p (scale multiplies; no rescale). Any period.
  void mul_plain_inplace(Ciphertext& a, const Plaintext& p) const;
  /// a *= value encoded at `scale`.
  void mul_constant_inplace(Ciphertext& a, double value, double scale) const;
  /// Multiplies by i (the monomial X^(n/2)): free, exact.
  void mul_by_i_inplace(Ciphertext& a) const;

  /// Products have three parts until relinearised; scale multiplies.
  Ciphertext multiply(const Ciphertext& a, const Ciphertext& b) const;
  Ciphertext square(const Ciphertext& a) const;
  void relinearize_inplace(Ciphertext& a) const;
  /// relinearize_inplace and rescale_inplace in one division, with less work and less noise than one after the other.
  /// Of two parts: only rescales.
  void relinearize_rescale_inplace(Ciphertext& a) const;
  /// Divides by the primes of the current level and drops it: scale /= level_modulus(level), level -= 1.
  void rescale_inplace(Ciphertext& a) const;
  /// Forgets primes down to `level`; scale unchanged.
  void drop_to_level_inplace(Ciphertext& a, int level) const;

  /// Rotates slots left by `steps`. steps = 0 is a copy.
  Ciphertext rotate(const Ciphertext& a, int steps) const;
  Ciphertext conjugate(const Ciphertext& a) const;
  /// Rotations of one ciphertext, sharing the decomposition.
  std::vector<Ciphertext> rotate_hoisted(const Ciphertext& a, std::span<const int> steps) const;

  /// One rotation from digits made by hoist(a.parts[1], a.level): the same bits as rotate(a, steps).
  Ciphertext rotate(const Ciphertext& a, const Hoisted& hoisted, int steps) const;

  // Building blocks of hoisted algorithms.
  Hoisted hoist(const ring::Poly& c1, int level) const;
  /// sum_d digit_d * key_d over QP: not yet permuted, not yet divided by P.
  ExtendedPair multiply_by_key(const Hoisted& hoisted, const SwitchingKey& key) const;
  /// Rotation of `a` by g, over QP, times P: automorphism of (P c0 + ks0, ks1).
  ExtendedPair rotate_extended(const Ciphertext& a, const Hoisted& hoisted, std::uint32_t g) const;
  /// Rounded division by P(set), back to q_basis(level).
  ring::Poly mod_down(const ring::Poly& a, int level, int set) const;
  const EvaluationKeys& keys() const;

 private:
  ParametersPtr parameters_;
  const EvaluationKeys* keys_;
  Encoder encoder_;
  std::function<void()> checkpoint_;
};

}  // namespace hearth::ckks
