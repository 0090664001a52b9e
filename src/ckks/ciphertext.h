#pragma once

#include <cstdint>
#include <vector>

#include "ckks/parameters.h"
#include "ring/random.h"

namespace hearth::ckks {

/// Slots encoded as a ring element in NTT domain. A slot vector with period p (a power of two dividing n/2) lies in the
/// subring Z[X^(n/2p)] and is kept as 2p residues a limb (poly.size() == 2p): entry i stands for the run of n/2p equal
/// NTT values starting at i * n/2p. Dense is p = n/2, a constant p = 1.
/// `montgomery`: residues are in Montgomery form, ready for ring::Kernels::dot.
struct Plaintext {
  ring::Poly poly;
  double scale = 1;
  bool montgomery = false;
  std::size_t period() const { return poly.size() / 2; }
};

/// parts[0] + parts[1] s (+ parts[2] s^2), NTT domain, on q_basis(level). slot value * scale ~ decrypted value.
struct Ciphertext {
  std::vector<ring::Poly> parts;
  int level = 0;
  double scale = 1;
  std::uint64_t parameters_id = 0;

  Ciphertext clone() const;
  std::size_t bytes() const;
};

/// A fresh secret-key ciphertext whose second part is the expansion of a public seed (half the size on the wire).
struct SeededCiphertext {
  ring::Poly c0;
  ring::Seed seed{};
  int level = 0;
  double scale = 1;
  std::uint64_t parameters_id = 0;
};

/// Restores the second part from the seed; needs no secret.
Ciphertext expand(const Parameters& parameters, const SeededCiphertext& c);

}  // namespace hearth::ckks
