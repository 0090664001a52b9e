#include <algorithm>
#include <bit>

#include "base/error.h"
#include "base/scratch.h"
#include "ring/limbs.h"
#include "ring/poly.h"

namespace hearth::ring {
namespace {

/// Distance between rows of scratch beyond their length, so that rows do not fall on the same cache sets.
constexpr std::size_t kRowPadding = 64;

/// Limb of `a` that holds the residues for `prime`.
const std::uint32_t* limb_of(const Poly& a, int prime) {
  const auto found = std::find(a.basis().begin(), a.basis().end(), prime);
  require(found != a.basis().end(), ErrorKind::kInternal, "rounded division: the polynomial has no limb for prime {}",
          prime);
  return a.limb(static_cast<std::size_t>(found - a.basis().begin()));
}

}  // namespace

RoundedDivider::RoundedDivider(const Ring& ring, const Basis& keep, const Basis& drop)
    : ring_(ring), converter_(ring, drop, keep) {
  for (const int prime : keep) {
    const Modulus& m = ring.modulus(prime);
    std::uint32_t product = 1;
    for (const int dropped : drop) product = mul_mod(product, ring.modulus(dropped).q % m.q, m);
    inverse_.push_back(inv_mod(product, m));
    inverse_shoup_.push_back(shoup(inverse_.back(), m));
  }
}

// With r the centred remainder of a modulo D, round(a / D) = (a - r) / D exactly, which is a product with D^-1 on every
// kept prime. r is known on the dropped primes; the conversion carries it to the kept ones.
Poly RoundedDivider::divide(const Poly& a) const {
  const Basis& keep = converter_.to();
  const Basis& drop = converter_.from();
  require(a.domain() == Domain::kNtt && a.limbs() == keep.size() + drop.size(), ErrorKind::kInternal,
          "rounded division: expected {} limbs in the NTT domain, got {}", keep.size() + drop.size(), a.limbs());
  const std::size_t n = a.size(), pitch = n + kRowPadding;
  const int log = std::countr_zero(n);
  const Kernels& k = kernels();

  Scratch<std::uint32_t> scratch(drop.size() * pitch);
  std::vector<const std::uint32_t*> remainder(drop.size());
  for_each_limb(drop.size(), n, [&](std::size_t i) {
    std::uint32_t* row = scratch.data() + i * pitch;
    copy_words(row, limb_of(a, drop[i]), n);
    if (log > 0) k.ntt_inverse(row, ring_.ntt(drop[i], log));
    remainder[i] = row;
  });

  Poly out(n, keep, Domain::kNtt);
  std::vector<std::uint32_t*> rows(keep.size());
  for (std::size_t j = 0; j < keep.size(); ++j) rows[j] = out.limb(j);
  converter_.convert(rows.data(), remainder.data(), n);

  for_each_limb(keep.size(), n, [&](std::size_t j) {
    if (log > 0) k.ntt_forward(rows[j], ring_.ntt(keep[j], log));
    k.sub_mul_scalar(rows[j], limb_of(a, keep[j]), rows[j], inverse_[j], inverse_shoup_[j], n, ring_.modulus(keep[j]));
  });
  return out;
}

}  // namespace hearth::ring
