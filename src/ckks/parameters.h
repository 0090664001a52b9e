#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ring/poly.h"

namespace hearth::ckks {

enum class SecretKind : std::uint8_t {
  kUniformTernary,  ///< each coefficient uniform on {-1, 0, 1}
  kSparseTernary    ///< exactly h coefficients are +-1
};

enum class Security : std::uint8_t {
  kBits128,  ///< classical 128 bits; parameters below are refused
  kNone      ///< for tests and experiments only
};

/// One family of evaluation keys. A ciphertext at level l uses the first key set (in the order of `max_level`, smallest
/// first) with max_level >= l, so shallow parts of a circuit can use small keys.
struct KeySetSpec {
  int max_level = 0;       ///< keys are made for the primes of levels 0..max_level
  int digit_primes = 1;    ///< primes a digit (the last digit may have fewer)
  int special_primes = 1;  ///< first so many of the special primes; their product should exceed every digit
};

/// What a caller chooses. Everything else (the primes) follows deterministically.
struct ParameterSpec {
  int log_n = 13;                        ///< ring degree n = 2^log_n; n/2 slots
  std::vector<std::vector<int>> levels;  ///< bit sizes of the primes of each level; levels[0] is the base modulus q0
  std::vector<int> special_bits;         ///< bit sizes of the special primes (shared by all key sets)
  std::vector<KeySetSpec> key_sets;      ///< ascending max_level; the last one must cover the top level
  SecretKind secret = SecretKind::kUniformTernary;
  int hamming_weight = 0;  ///< h of kSparseTernary
  /// Weight of the sparse ternary secret under which ModRaise works (encapsulation; Bossuat, Troncoso-Pastoriza, Hubaux
  /// 2022), 0 for none. Then key set 0 is its own: level 0 of one prime and one special prime, because a key *to* that
  /// secret may exist at the lowest modulus only.
  int encapsulated_weight = 0;
  Security security = Security::kBits128;
};

struct SecurityReport {
  double log_qp = 0;  ///< log2 of the largest modulus any key lives under
  double limit = 0;   ///< largest log2(QP) at 128 bits; 0 when there is no row for this n and secret
  bool at_least_128 = false;
  /// 128 * limit / log_qp: security falls about inversely with log QP at fixed n. An estimate, not a guarantee.
  double estimated_bits = 0;
  std::string source;  ///< of the row
};

/// Largest log2(QP) at 128 bits classical security (DESIGN.md section 3), or 0 when unknown. A sparse secret between
/// two rows uses the row of the smaller h.
double max_log_qp_128(int log_n, SecretKind secret, int hamming_weight);

/// Judges a spec whose largest key modulus has `log_qp` bits.
SecurityReport assess_security(const ParameterSpec& spec, double log_qp);

/// Of the keys that switch *to* an encapsulated sparse secret of weight `hamming_weight`, whose modulus (q0 and the
/// special primes they use) has `log_qp` bits. `limit` is the largest log_qp for which there is an estimate of at least
/// 128 bits, 0 when there is none; `estimated_bits` that of the nearest row that is no easier to keep safe, or 0.
SecurityReport assess_encapsulation(int log_n, int hamming_weight, double log_qp);

/// An immutable, validated parameter set with its ring. Share by shared_ptr; thread safe.
///
/// Ring prime indices: levels in order (level 0 first), then the special primes. So the basis of a ciphertext at level
/// l is 0..q_count(l)-1.
class Parameters {
 public:
  /// Primes are the largest that fit: first the special primes in order, then q0 and the levels in order, each the
  /// largest prime below 2^bits that is 1 mod 2n and not taken yet. The same spec gives the same primes everywhere.
  ///
  /// Accepted: log_n in [11, 17] (from 4 with Security::kNone); every bit size in [max(20, log_n + 2), 30]; at most 64
  /// primes in all; the special modulus of each key set at least half its largest digit. Throws Error(kInvalidArgument)
  /// for shapes that make no sense and Error(kSecurity), with the numbers, for a modulus too large for 128 bits (or a
  /// secret nobody has estimated) unless spec.security is kNone.
  static std::shared_ptr<const Parameters> create(const ParameterSpec& spec);
  ~Parameters();

  const ParameterSpec& spec() const { return spec_; }
  const ring::Ring& ring() const { return *ring_; }
  int log_n() const { return spec_.log_n; }
  std::size_t n() const { return ring_->n(); }
  std::size_t slots() const { return ring_->n() / 2; }
  int max_level() const { return static_cast<int>(spec_.levels.size()) - 1; }
  /// Number of primes of levels 0..level.
  int q_count(int level) const { return q_count_[static_cast<std::size_t>(level)]; }
  /// Ring primes of levels 0..level.
  ring::Basis q_basis(int level) const;
  /// Ring primes of key set `set`'s special modulus.
  ring::Basis p_basis(int set) const;
  /// q_basis(level) followed by p_basis(set).
  ring::Basis qp_basis(int level, int set) const;
  /// Product of the primes of one level, and of levels 0..level (as double, log2).
  double level_modulus(int level) const;
  double log_q(int level) const;
  /// Index of the key set a ciphertext at `level` uses.
  int key_set_for(int level) const;
  int key_set_count() const { return static_cast<int>(spec_.key_sets.size()); }
  /// Digits of key set `set`, each a list of ring primes; digits with no prime below q_count(level) are left out and
  /// the last one is cut to the primes present. Digit d always starts at ring prime d * digit_primes.
  std::vector<ring::Basis> digits(int set, int level) const;

  const SecurityReport& security() const { return security_; }
  /// 64-bit fingerprint of the primes and the spec (XXH3): equal means compatible. Stored with every key and
  /// ciphertext.
  std::uint64_t id() const { return id_; }

  /// Shared, lazily made constants. Thread safe.
  const ring::RoundedDivider& rescaler(int level) const;           ///< drops the primes of `level`
  const ring::RoundedDivider& mod_down(int level, int set) const;  ///< q_basis(level) + P(set) -> q_basis(level)
  /// q_basis(level) + P(set) -> q_basis(level - 1): ModDown and rescaling in one; drops the primes of `level`, then P.
  const ring::RoundedDivider& mod_down_rescale(int level, int set) const;
  const ring::BaseConverter& mod_up(int level, int set, int digit) const;  ///< digit -> rest of qp_basis(level, set)

 private:
  explicit Parameters(const ParameterSpec& spec);
  void check_level(int level) const;
  void check_set(int set) const;
  struct Cache;
  ParameterSpec spec_;
  std::unique_ptr<ring::Ring> ring_;
  std::vector<int> q_count_;
  SecurityReport security_;
  std::uint64_t id_ = 0;
  std::unique_ptr<Cache> cache_;
};

using ParametersPtr = std::shared_ptr<const Parameters>;

/// Galois element of a rotation of the slots to the left by `steps` (any sign): 5^steps mod 2n. Conjugation: 2n - 1.
std::uint32_t galois_element(int steps, int log_n);
std::uint32_t galois_conjugation(int log_n);

}  // namespace hearth::ckks
