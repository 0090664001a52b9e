#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "ring/kernels/kernels.h"

namespace hearth::ring {

/// Which primes of a Ring a polynomial lives on: indices into Ring::modulus, strictly in the order of its limbs.
using Basis = std::vector<int>;

/// Z[X]/(X^n + 1) together with a list of NTT primes. Immutable; safe to share between threads.
class Ring {
 public:
  /// log_n in [11, 17] for security; smaller (>= 3) is accepted for tests. Every prime must be 1 mod 2n, below 2^30 and
  /// distinct: Error(kInvalidArgument) otherwise.
  Ring(int log_n, const std::vector<std::uint32_t>& primes);
  ~Ring();

  int log_n() const { return log_n_; }
  std::size_t n() const { return std::size_t{1} << log_n_; }
  int prime_count() const { return static_cast<int>(moduli_.size()); }
  const Modulus& modulus(int prime) const { return moduli_[static_cast<std::size_t>(prime)]; }
  const NttTables& ntt(int prime) const { return ntt(prime, log_n_); }
  /// Tables of the subring Z[X^(n / 2^log_size)], whose root is psi^(n / 2^log_size). Made on first use, then kept.
  /// log_size in [1, log_n].
  const NttTables& ntt(int prime, int log_size) const;

 private:
  struct LazyTables {
    std::once_flag once;
    std::unique_ptr<NttTables> tables;
  };

  int log_n_;
  std::vector<Modulus> moduli_;
  std::vector<std::uint32_t> roots_;      // primitive 2n-th roots, one per prime
  std::unique_ptr<LazyTables[]> tables_;  // [prime][log_size], row-major; filled on first use
};

enum class Domain : std::uint8_t { kCoefficient, kNtt };

/// One element of the ring modulo the product of its basis, as residues; limb i is contiguous, limbs follow each other.
/// `size()` is n, or a smaller power of two for elements of a subring Z[X^(n/size)] (see Ring::ntt). Movable; clone()
/// to copy. No internal locking.
class Poly {
 public:
  Poly() = default;
  /// Uninitialised residues.
  Poly(std::size_t size, Basis basis, Domain domain);
  static Poly zero(std::size_t size, Basis basis, Domain domain);

  Poly clone() const;
  std::size_t size() const { return size_; }
  const Basis& basis() const { return basis_; }
  std::size_t limbs() const { return basis_.size(); }
  Domain domain() const { return domain_; }
  void set_domain(Domain domain) { domain_ = domain; }
  std::uint32_t* limb(std::size_t i) { return data_.data() + i * size_; }
  const std::uint32_t* limb(std::size_t i) const { return data_.data() + i * size_; }
  bool empty() const { return basis_.empty(); }
  std::size_t bytes() const { return data_.size() * sizeof(std::uint32_t); }

  /// Forgets all limbs after the first `count`; keeps the allocation.
  void truncate(std::size_t count);

 private:
  std::size_t size_ = 0;
  Basis basis_;
  Domain domain_ = Domain::kCoefficient;
  Buffer<std::uint32_t> data_;
};

// All functions below run limbs in parallel (base/parallel.h), check bases and domains (Error(kInternal) on misuse) and
// return canonical residues. Binary operations need equal size, basis and domain.
void to_ntt(const Ring& ring, Poly& a);              ///< no-op when already there
void to_coefficient(const Ring& ring, Poly& a);      ///< no-op when already there
void add(const Ring& ring, Poly& a, const Poly& b);  ///< a += b
void sub(const Ring& ring, Poly& a, const Poly& b);  ///< a -= b
void negate(const Ring& ring, Poly& a);
/// out = a * b, NTT domain. `out` may be a or b; it is reallocated unless it already has their shape.
void mul(const Ring& ring, Poly& out, const Poly& a, const Poly& b);
void mul_add(const Ring& ring, Poly& acc, const Poly& a, const Poly& b);  ///< NTT domain; acc += a * b
/// a *= w_i on limb i (w canonical, one per limb).
void mul_scalars(const Ring& ring, Poly& a, std::span<const std::uint32_t> w);
/// out = a(X^g), NTT domain, g odd. For an element of a subring, size() < n: the same g acts on it.
Poly automorphism(const Ring& ring, const Poly& a, std::uint32_t g);
/// Residues of the limbs of `a` whose primes are in `basis` (each must be present in a.basis()).
Poly restrict_to(const Poly& a, const Basis& basis);

/// Constants for converting between two disjoint bases; owns what BaseConvertView points to. Immutable.
class BaseConverter {
 public:
  /// from: 1 to 48 primes, none of which is in `to`.
  BaseConverter(const Ring& ring, const Basis& from, const Basis& to);
  BaseConverter(BaseConverter&&) = default;
  BaseConverter& operator=(BaseConverter&&) = default;
  const BaseConvertView& view() const { return view_; }
  const Basis& from() const { return from_; }
  const Basis& to() const { return to_; }
  /// `in`: coefficient domain on from(); returns the coefficient-domain residues on to() of the centred representative.
  /// Runs blocks of coefficients in parallel.
  Poly convert(const Poly& in) const;
  /// Raw form: k input rows, m output rows of n entries.
  void convert(std::uint32_t* const* out, const std::uint32_t* const* in, std::size_t n) const {
    convert(out, in, n, 0, view_.m);
  }
  /// To so many primes of to() from `first` on, one output row each.
  void convert(std::uint32_t* const* out, const std::uint32_t* const* in, std::size_t n, std::size_t first,
               std::size_t count) const;

 private:
  Basis from_, to_;
  std::vector<Modulus> source_, target_;
  std::vector<std::uint32_t> hat_inv_, hat_inv_shoup_, reciprocal_, hat_, neg_q_;
  std::vector<std::uint64_t> reciprocal64_;
  BaseConvertView view_;
};

/// Division by the product D of some primes with rounding to nearest: takes a on keep + drop (any order of its limbs),
/// NTT domain, returns round(a / D) on keep, NTT domain. Serves rescaling (drop = one level) and ModDown (drop =
/// special primes). Exactly the nearest integer vector, but where a coefficient lies within 2^-20 of the middle of two.
/// Cost: |drop| inverse and |keep| forward NTTs plus the conversion. `ring` must outlive it. Immutable; thread safe.
class RoundedDivider {
 public:
  RoundedDivider(const Ring& ring, const Basis& keep, const Basis& drop);
  Poly divide(const Poly& a) const;

  /// The parts of divide(), for callers that fuse it with other work: the conversion drop -> keep, and D^-1 modulo each
  /// kept prime with its Shoup companion. round(a / D) = (a - converted remainder) * D^-1.
  const BaseConverter& converter() const { return converter_; }
  std::span<const std::uint32_t> inverse() const { return inverse_; }
  std::span<const std::uint32_t> inverse_shoup() const { return inverse_shoup_; }

 private:
  const Ring& ring_;
  BaseConverter converter_;                             // drop -> keep
  std::vector<std::uint32_t> inverse_, inverse_shoup_;  // D^-1 mod each kept prime
};

}  // namespace hearth::ring
