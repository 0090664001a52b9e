#include "ring/poly.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "base/dry_run.h"
#include "base/error.h"
#include "ring/limbs.h"

namespace hearth::ring {
namespace {

/// Words of a temporary that stays in the first-level cache next to its operands.
constexpr std::size_t kCacheBlock = 2048;

int log_size(const Poly& a) { return std::countr_zero(a.size()); }

void check_alike(const Poly& a, const Poly& b, const char* operation) {
  require(a.size() == b.size() && a.domain() == b.domain() && a.basis() == b.basis(), ErrorKind::kInternal,
          "{}: the operands differ in size ({} and {}), domain or basis ({} and {} limbs)", operation, a.size(),
          b.size(), a.limbs(), b.limbs());
}

void check_ntt(const Poly& a, const char* operation) {
  require(a.domain() == Domain::kNtt, ErrorKind::kInternal, "{}: the operand is not in the NTT domain", operation);
}

/// Calls body(limb index, its modulus) for every limb of `a`.
template <typename Body>
void for_each_modulus(const Ring& ring, const Poly& a, Body&& body) {
  for_each_limb(a.limbs(), a.size(), [&](std::size_t i) { body(i, ring.modulus(a.basis()[i])); });
}

}  // namespace

Poly::Poly(std::size_t size, Basis basis, Domain domain) : size_(size), basis_(std::move(basis)), domain_(domain) {
  require(std::has_single_bit(size), ErrorKind::kInternal, "a polynomial of {} coefficients: not a power of two", size);
  data_ = Buffer<std::uint32_t>(size * basis_.size());
}

Poly Poly::zero(std::size_t size, Basis basis, Domain domain) {
  Poly out(size, std::move(basis), domain);
  if (!dry_run()) out.data_.clear();
  return out;
}

Poly Poly::clone() const {
  Poly out;
  out.size_ = size_;
  out.basis_ = basis_;
  out.domain_ = domain_;
  const std::size_t words = size_ * basis_.size();
  out.data_ = Buffer<std::uint32_t>(words);
  if (words) copy_words(out.data_.data(), data_.data(), words);
  return out;
}

void Poly::truncate(std::size_t count) {
  require(count <= limbs(), ErrorKind::kInternal, "cannot keep {} limbs of a polynomial that has {}", count, limbs());
  basis_.resize(count);
}

void to_ntt(const Ring& ring, Poly& a) {
  if (a.domain() == Domain::kNtt) return;
  const int log = log_size(a);
  const Kernels& k = kernels();
  if (log > 0) {
    for_each_limb(a.limbs(), a.size(), [&](std::size_t i) { k.ntt_forward(a.limb(i), ring.ntt(a.basis()[i], log)); });
  }
  a.set_domain(Domain::kNtt);
}

void to_coefficient(const Ring& ring, Poly& a) {
  if (a.domain() == Domain::kCoefficient) return;
  const int log = log_size(a);
  const Kernels& k = kernels();
  if (log > 0) {
    for_each_limb(a.limbs(), a.size(), [&](std::size_t i) { k.ntt_inverse(a.limb(i), ring.ntt(a.basis()[i], log)); });
  }
  a.set_domain(Domain::kCoefficient);
}

void add(const Ring& ring, Poly& a, const Poly& b) {
  check_alike(a, b, "add");
  const Kernels& k = kernels();
  for_each_modulus(ring, a,
                   [&](std::size_t i, const Modulus& m) { k.add(a.limb(i), a.limb(i), b.limb(i), a.size(), m); });
}

void sub(const Ring& ring, Poly& a, const Poly& b) {
  check_alike(a, b, "sub");
  const Kernels& k = kernels();
  for_each_modulus(ring, a,
                   [&](std::size_t i, const Modulus& m) { k.sub(a.limb(i), a.limb(i), b.limb(i), a.size(), m); });
}

void negate(const Ring& ring, Poly& a) {
  const Kernels& k = kernels();
  for_each_modulus(ring, a, [&](std::size_t i, const Modulus& m) { k.negate(a.limb(i), a.limb(i), a.size(), m); });
}

void mul(const Ring& ring, Poly& out, const Poly& a, const Poly& b) {
  check_alike(a, b, "mul");
  check_ntt(a, "mul");
  const bool fits = out.size() == a.size() && out.domain() == Domain::kNtt && out.basis() == a.basis();
  if (!fits) out = Poly(a.size(), a.basis(), Domain::kNtt);
  const Kernels& k = kernels();
  for_each_modulus(ring, a,
                   [&](std::size_t i, const Modulus& m) { k.mul(out.limb(i), a.limb(i), b.limb(i), a.size(), m); });
}

void mul_add(const Ring& ring, Poly& acc, const Poly& a, const Poly& b) {
  check_alike(a, b, "mul_add");
  check_alike(acc, a, "mul_add");
  check_ntt(a, "mul_add");
  const Kernels& k = kernels();
  for_each_modulus(ring, a, [&](std::size_t i, const Modulus& m) {
    alignas(64) std::array<std::uint32_t, kCacheBlock> product;
    for (std::size_t j = 0; j < a.size(); j += kCacheBlock) {
      const std::size_t count = std::min(kCacheBlock, a.size() - j);
      k.mul(product.data(), a.limb(i) + j, b.limb(i) + j, count, m);
      k.add(acc.limb(i) + j, acc.limb(i) + j, product.data(), count, m);
    }
  });
}

void mul_scalars(const Ring& ring, Poly& a, std::span<const std::uint32_t> w) {
  require(w.size() == a.limbs(), ErrorKind::kInternal, "mul_scalars: {} scalars for {} limbs", w.size(), a.limbs());
  const Kernels& k = kernels();
  for_each_modulus(ring, a, [&](std::size_t i, const Modulus& m) {
    require(w[i] < m.q, ErrorKind::kInternal, "mul_scalars: scalar {} is not below the modulus {}", w[i], m.q);
    k.mul_scalar(a.limb(i), a.limb(i), w[i], shoup(w[i], m), a.size(), m);
  });
}

Poly automorphism(const Ring& ring, const Poly& a, std::uint32_t g) {
  check_ntt(a, "automorphism");
  require(g % 2 == 1, ErrorKind::kInternal, "automorphism: the exponent {} is even", g);
  Poly out(a.size(), a.basis(), Domain::kNtt);
  const Kernels& k = kernels();
  const int log = log_size(a);
  const auto order = static_cast<std::uint32_t>(2 * a.size());
  for_each_modulus(ring, a,
                   [&](std::size_t i, const Modulus&) { k.automorphism(out.limb(i), a.limb(i), g % order, log); });
  return out;
}

Poly restrict_to(const Poly& a, const Basis& basis) {
  Poly out(a.size(), basis, a.domain());
  for_each_limb(basis.size(), a.size(), [&](std::size_t i) {
    const auto found = std::find(a.basis().begin(), a.basis().end(), basis[i]);
    require(found != a.basis().end(), ErrorKind::kInternal, "restrict_to: the polynomial has no limb for prime {}",
            basis[i]);
    const auto source = static_cast<std::size_t>(found - a.basis().begin());
    copy_words(out.limb(i), a.limb(source), a.size());
  });
  return out;
}

}  // namespace hearth::ring
