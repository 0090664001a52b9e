#pragma once

#include <span>

#include "ring/poly.h"

namespace hearth::ckks {

/// out[j] = coefficient j of `poly` (coefficient domain, at least one limb), as the representative in (-M/2, M/2)
/// modulo the product M of its primes. The integer is reconstructed exactly and then rounded, to a relative 2^-52
/// (infinity beyond the range of a double). Does not branch on the residues. Cost: limbs^2 / 2 products a coefficient.
void reconstruct_centred(const ring::Ring& ring, const ring::Poly& poly, std::span<double> out);

}  // namespace hearth::ckks
