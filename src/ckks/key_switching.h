#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/scratch.h"
#include "ckks/ciphertext.h"
#include "ckks/evaluator.h"
#include "ckks/keys.h"

namespace hearth::ckks {

/// Where the limbs of one level lie in the bases of its key set. "Limb j of QP" counts the primes of q_basis(level),
/// then those of p_basis(set); a key holds limbs for all levels up to its set's, so the special ones sit further back
/// there.
class SwitchLayout {
 public:
  SwitchLayout(const Parameters& parameters, int level, int set);

  const Parameters& parameters() const { return *parameters_; }
  int level() const { return level_; }
  int set() const { return set_; }
  std::size_t n() const { return parameters_->n(); }
  std::size_t q_limbs() const { return q_limbs_; }
  std::size_t limbs() const { return primes_.size(); }
  const std::vector<ring::Basis>& digits() const { return digits_; }

  int prime(std::size_t j) const { return primes_[j]; }
  const ring::Basis& basis() const { return primes_; }
  const ring::Modulus& modulus(std::size_t j) const { return parameters_->ring().modulus(primes_[j]); }
  const ring::NttTables& ntt(std::size_t j) const { return parameters_->ring().ntt(primes_[j]); }
  std::size_t key_limb(std::size_t j) const { return j < q_limbs_ ? j : j + key_gap_; }
  /// Limb of QP at which the residues for ring prime `prime` lie.
  std::size_t limb_of(int prime) const;
  /// P modulo the prime of limb j < q_limbs().
  std::uint32_t special_product(std::size_t j) const;
  /// Throws Error(kMismatch) unless `key` fits this set and has been expanded.
  void check(const SwitchingKey& key) const;

 private:
  const Parameters* parameters_;
  int level_, set_;
  std::size_t q_limbs_, key_gap_;
  ring::Basis primes_;
  std::vector<ring::Basis> digits_;
};

/// The digits of a polynomial on every limb of QP, as rows that may lie anywhere: row(j)[d] is digit d on limb j.
class DigitRows {
 public:
  /// Decomposes `c` (NTT domain, q_basis(level)) and raises every digit to QP. On the limbs a digit is made of, its row
  /// is the limb of `c` itself, which must outlive this object; other rows are left in the coefficient domain until
  /// finish(j). `into`: rows lie in these polynomials (one per digit, on QP), own limbs are copied; else in scratch.
  DigitRows(const SwitchLayout& layout, const ring::Poly& c, std::vector<ring::Poly>* into = nullptr);
  /// As the first, but raises nothing yet and has memory for this many limbs at a time: see raise().
  DigitRows(const SwitchLayout& layout, const ring::Poly& c, std::size_t limbs_at_a_time);
  /// Views digits that have been raised before; finish() has nothing left to do.
  DigitRows(const SwitchLayout& layout, const Hoisted& hoisted);

  /// Raises the digits to limbs [first, last), in place of those that were raised before.
  void raise(std::size_t first, std::size_t last);
  /// Brings the rows of limb j to the NTT domain. Limbs are independent: distinct j may run at once.
  void finish(std::size_t j);
  const std::uint32_t* const* row(std::size_t j) const { return rows_.data() + j * digits_; }
  std::size_t digits() const { return digits_; }

 private:
  void begin(const ring::Poly& c);  ///< own rows and coefficients
  /// Converts the coefficients to limbs [first, last), digit d on limb j to the row place(d, j).
  template <typename Place>
  void raise_into(std::size_t first, std::size_t last, const Place& place);

  const SwitchLayout& layout_;
  std::size_t digits_;
  std::optional<Scratch<std::uint32_t>> storage_, coefficients_;
  std::vector<const std::uint32_t*> rows_;  // [limb][digit]
  std::vector<std::uint32_t*> raw_;         // the same rows while in the coefficient domain, null otherwise
};

/// out0 (+)= sum_d digit_d * b_d and out1 = sum_d digit_d * a_d on limb j of QP. Adds to what out0 holds if
/// `accumulate0`, to what out1 holds if `accumulate1`.
void multiply_limb(const SwitchLayout& layout, const DigitRows& digits, const SwitchingKey& key, std::size_t j,
                   std::uint32_t* out0, std::uint32_t* out1, bool accumulate0 = false, bool accumulate1 = false);

/// Limb j of rotate_extended: automorphism by g of (P c0 + ks0, ks1). `c0` is the ciphertext's limb j, or null on
/// special limbs (where P c0 vanishes). The outputs must not alias c0.
void rotate_limb(const SwitchLayout& layout, const DigitRows& digits, const SwitchingKey& key, std::uint32_t g,
                 std::size_t j, const std::uint32_t* c0, std::uint32_t* out0, std::uint32_t* out1);

/// Receives limb j < q_limbs() of a key switch's result; the rows are scratch of n words that it may change.
using LimbSink = std::function<void(std::size_t j, std::uint32_t* ks0, std::uint32_t* ks1)>;

/// The whole key switch: round(sum_d digit_d * key_d / P), limb by limb so that a limb stays in cache from its raising
/// to the sink. Calls sink from several threads, once for each limb. `workspace`: two polynomials on q_basis(level)
/// whose limb j is overwritten before the sink is called for j, and free from then on (so the sink may write results
/// there); without them memory of that size is taken from scratch.
void switch_key(const SwitchLayout& layout, DigitRows& digits, const SwitchingKey& key, const LimbSink& sink,
                std::array<ring::Poly*, 2> workspace = {});

/// Relinearisation and rescaling in one division: (d0, d1) + (the switched d2, whose digits these are), divided by the
/// primes of the level with one rounding. Two transforms of every limb less than one after the other, and less noise.
/// The outputs are on q_basis(level - 1) and may share nothing with the inputs. The level must be at least 1.
void relinearize_rescale(const SwitchLayout& layout, DigitRows& digits, const SwitchingKey& key, const ring::Poly& d0,
                         const ring::Poly& d1, ring::Poly& out0, ring::Poly& out1);

/// Divides a pair over QP by P with rounding. The results are on q_basis(level) and may share nothing with the pair.
void mod_down_pair(const SwitchLayout& layout, const ExtendedPair& pair, ring::Poly& out0, ring::Poly& out1);

}  // namespace hearth::ckks
