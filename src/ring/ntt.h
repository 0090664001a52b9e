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
/// root(i) = psi^brv(i), inverse_root(i) is its inverse, both with Shoup companions. Stage s of the forward transform has
/// 2^s blocks and multiplies the upper half of block b by root(2^s + b); seen as a binary tree, a block is node 2^s + b.
/// Immutable after construction; thread safe.
struct NttTables {
  /// `psi` must be a primitive 2n-th root of unity modulo m.q (checked). log_n in [1, 17].
  NttTables(int log_n, const Modulus& m, std::uint32_t psi);

  int log_n;
  Modulus modulus;
  std::uint32_t psi;
  /// Those of the first nodes: all n, or for n >= kTailBlock n / 8, the last three stages being elsewhere.
  Buffer<std::uint32_t> roots, roots_shoup;
  Buffer<std::uint32_t> inverse_roots, inverse_roots_shoup;
  std::uint32_t n_inverse, n_inverse_shoup;
  std::uint32_t n_inverse_root, n_inverse_root_shoup;  // n^-1 * inverse_roots[1], for the last stage of the inverse

  /// The last four stages' roots in the order in which vector kernels read them; empty for n < kTailBlock.
  /// For each block of kTailBlock = 16 x 16 consecutive residues there are kTailRoots vectors of 16 roots, each followed
  /// by the vector of its companions: with rows of 16 residues as lanes, vector 2^s - 1 + j (s < 4, j < 2^s) holds in
  /// lane r the root of node j of stage s within row r.
  static constexpr std::size_t kTailBlock = 256, kTailRoots = 15, kTailWords = 2 * 16 * kTailRoots;
  Buffer<std::uint32_t> tail_roots, inverse_tail_roots;

  struct Root {
    std::uint32_t value, companion;
  };
  /// Of any node from 1 to n - 1, wherever it lies.
  Root root(std::size_t node) const { return find(roots, roots_shoup, tail_roots, node); }
  Root inverse_root(std::size_t node) const { return find(inverse_roots, inverse_roots_shoup, inverse_tail_roots, node); }

 private:
  static Root find(const Buffer<std::uint32_t>& head, const Buffer<std::uint32_t>& companions,
                   const Buffer<std::uint32_t>& tail, std::size_t node);
};

/// Smallest primitive 2n-th root of unity modulo q (q = 1 mod 2n), so that tables are reproducible across runs.
std::uint32_t find_primitive_root(int log_n, const Modulus& m);

}  // namespace hearth::ring
