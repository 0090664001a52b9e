#pragma once

#include <gmpxx.h>

#include <cstdint>
#include <random>
#include <vector>

#include "ring/poly.h"

namespace hearth::ring {

// Slow and obviously right twins of the ring layer, on big integers.

inline Basis first_primes(int count, int from = 0) {
  Basis basis;
  for (int i = 0; i < count; ++i) basis.push_back(from + i);
  return basis;
}

inline mpz_class product_of(const Ring& ring, const Basis& basis) {
  mpz_class product = 1;
  for (const int prime : basis) product *= ring.modulus(prime).q;
  return product;
}

inline std::uint32_t residue(const mpz_class& x, std::uint32_t q) {
  return static_cast<std::uint32_t>(mpz_fdiv_ui(x.get_mpz_t(), q));
}

/// Coefficients in [0, product of the basis), by the Chinese remainder theorem.
inline std::vector<mpz_class> reconstruct(const Ring& ring, const Poly& a) {
  const mpz_class product = product_of(ring, a.basis());
  std::vector<mpz_class> out(a.size());
  for (std::size_t i = 0; i < a.limbs(); ++i) {
    const mpz_class q = ring.modulus(a.basis()[i]).q, rest = product / q;
    mpz_class inverse;
    if (!mpz_invert(inverse.get_mpz_t(), mpz_class(rest % q).get_mpz_t(), q.get_mpz_t())) inverse = 0;
    const mpz_class unit = rest * inverse;
    for (std::size_t j = 0; j < a.size(); ++j) out[j] += unit * a.limb(i)[j];
  }
  for (mpz_class& x : out) x %= product;
  return out;
}

/// The polynomial with these coefficients, in the coefficient domain.
inline Poly from_integers(const Ring& ring, const Basis& basis, const std::vector<mpz_class>& values) {
  Poly out(values.size(), basis, Domain::kCoefficient);
  for (std::size_t i = 0; i < basis.size(); ++i) {
    for (std::size_t j = 0; j < values.size(); ++j) out.limb(i)[j] = residue(values[j], ring.modulus(basis[i]).q);
  }
  return out;
}

/// Random residues; every fifth or so is 0, 1 or q - 1.
inline Poly random_poly(const Ring& ring, std::size_t size, const Basis& basis, Domain domain, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  Poly out(size, basis, domain);
  for (std::size_t i = 0; i < basis.size(); ++i) {
    const std::uint32_t q = ring.modulus(basis[i]).q;
    for (std::size_t j = 0; j < size; ++j) {
      const std::uint64_t word = engine();
      const auto value = static_cast<std::uint32_t>((word >> 8) % q);
      const std::uint32_t special[] = {0, 1, q - 1};
      out.limb(i)[j] = (word & 15) < 3 ? special[word & 15] : value;
    }
  }
  return out;
}

inline bool same(const Poly& a, const Poly& b) {
  if (a.size() != b.size() || a.basis() != b.basis() || a.domain() != b.domain()) return false;
  for (std::size_t i = 0; i < a.limbs(); ++i) {
    for (std::size_t j = 0; j < a.size(); ++j) {
      if (a.limb(i)[j] != b.limb(i)[j]) return false;
    }
  }
  return true;
}

}  // namespace hearth::ring
