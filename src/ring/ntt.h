#pragma once

#include <cstddef>
#include <cstdint>

#include "base/buffer.h"
#include "ring/modulus.h"

namespace hearth::ring {

/// Twiddle factors of the negacyclic NTT of length n = 2^log_n modulo q, for psi a primitive 2n-th root of unity.
///
/// forward: natural-order coefficients a_0..a_{n-1} -> X[i] = a(psi^(2 brv(i) + 1)), brv = bit reversal of log_n bits.
/// inverse: the exact inverse, including the factor 1/n.
/// A polynomial in X^k (k a power of two) has X constant on runs of k consecutive entries; the n/k run values are the
/// length-n/k transform with root psi^k of its n/k coefficients.
///
/// roots[i] = psi^brv(i), inverse_roots[i] = roots[i]^-1, with Shoup companions. Kernels may keep further copies in the
/// order they read them (filled by the constructor through the hook `extra`). Immutable after construction; thread safe.
struct NttTables {
  /// `psi` must be a primitive 2n-th root of unity modulo m.q (checked). log_n in [1, 17].
  NttTables(int log_n, const Modulus& m, std::uint32_t psi);

  int log_n;
  Modulus modulus;
  std::uint32_t psi;
  Buffer<std::uint32_t> roots, roots_shoup;                  // n entries each
  Buffer<std::uint32_t> inverse_roots, inverse_roots_shoup;  // n entries each
  std::uint32_t n_inverse, n_inverse_shoup;
};

/// Smallest primitive 2n-th root of unity modulo q (q = 1 mod 2n), so that tables are reproducible across runs.
std::uint32_t find_primitive_root(int log_n, const Modulus& m);

}  // namespace hearth::ring
