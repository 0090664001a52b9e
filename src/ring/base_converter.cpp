#include <algorithm>
#include <array>

#include "base/error.h"
#include "ring/limbs.h"
#include "ring/poly.h"

namespace hearth::ring {
namespace {

constexpr std::size_t kMaxSources = 48;
/// Coefficients converted at a time by one thread: a row of a block is four pages.
constexpr std::size_t kBlock = 4096;
/// The fixed-point scale of the quotient's estimate; see Kernels::base_convert.
constexpr int kReciprocalBits = 58;

std::vector<Modulus> moduli_of(const Ring& ring, const Basis& basis) {
  std::vector<Modulus> out;
  for (const int prime : basis) {
    require(prime >= 0 && prime < ring.prime_count(), ErrorKind::kInternal,
            "base conversion: no prime {} in a ring of {}", prime, ring.prime_count());
    out.push_back(ring.modulus(prime));
  }
  return out;
}

/// Product modulo m of all primes but the one at `skip`.
std::uint32_t product_mod(const std::vector<Modulus>& primes, std::size_t skip, const Modulus& m) {
  std::uint32_t product = 1;
  for (std::size_t i = 0; i < primes.size(); ++i) {
    if (i != skip) product = mul_mod(product, primes[i].q % m.q, m);
  }
  return product;
}

}  // namespace

BaseConverter::BaseConverter(const Ring& ring, const Basis& from, const Basis& to)
    : from_(from), to_(to), source_(moduli_of(ring, from)), target_(moduli_of(ring, to)) {
  const std::size_t k = from.size(), m = to.size();
  require(k >= 1 && k <= kMaxSources, ErrorKind::kInternal, "base conversion from {} primes: 1 to {} are possible", k,
          kMaxSources);
  for (const int prime : to) {
    require(std::find(from.begin(), from.end(), prime) == from.end(), ErrorKind::kInternal,
            "base conversion: prime {} is both source and target", prime);
  }
  bool narrow = true;
  for (std::size_t i = 0; i < k; ++i) {
    const Modulus& q = source_[i];
    hat_inv_.push_back(inv_mod(product_mod(source_, i, q), q));
    hat_inv_shoup_.push_back(shoup(hat_inv_.back(), q));
    reciprocal64_.push_back((1ULL << kReciprocalBits) / q.q);
    reciprocal_.push_back(static_cast<std::uint32_t>(reciprocal64_.back()));
    narrow = narrow && reciprocal64_.back() <= 0xffffffffU;
  }
  for (const Modulus& p : target_) {
    for (std::size_t i = 0; i < k; ++i) hat_.push_back(to_montgomery(product_mod(source_, i, p), p));
    const std::uint32_t product = product_mod(source_, k, p);
    neg_q_.push_back(to_montgomery(product == 0 ? 0 : p.q - product, p));
  }
  view_ = {.k = k,
           .m = m,
           .source = source_.data(),
           .target = target_.data(),
           .hat_inv = hat_inv_.data(),
           .hat_inv_shoup = hat_inv_shoup_.data(),
           .reciprocal = narrow ? reciprocal_.data() : nullptr,
           .reciprocal64 = reciprocal64_.data(),
           .hat = hat_.data(),
           .neg_q = neg_q_.data()};
}

Poly BaseConverter::convert(const Poly& in) const {
  require(in.domain() == Domain::kCoefficient && in.basis() == from_, ErrorKind::kInternal,
          "base conversion: the polynomial ({} limbs) is not in the coefficient domain on the {} source primes",
          in.limbs(), from_.size());
  Poly out(in.size(), to_, Domain::kCoefficient);
  std::vector<const std::uint32_t*> rows_in(view_.k);
  std::vector<std::uint32_t*> rows_out(view_.m);
  for (std::size_t i = 0; i < view_.k; ++i) rows_in[i] = in.limb(i);
  for (std::size_t j = 0; j < view_.m; ++j) rows_out[j] = out.limb(j);
  convert(rows_out.data(), rows_in.data(), in.size());
  return out;
}

void BaseConverter::convert(std::uint32_t* const* out, const std::uint32_t* const* in, std::size_t n, std::size_t first,
                            std::size_t count) const {
  require(first + count <= view_.m, ErrorKind::kInternal, "base conversion to primes {} to {} of {}", first,
          first + count, view_.m);
  if (count == 0) return;
  const Kernels& kernel = kernels();
  BaseConvertView view = view_;
  view.m = count;
  view.target += first, view.hat += first * view.k, view.neg_q += first;
  for_each_block(n, kBlock, view.k + count, [&](std::size_t begin, std::size_t length) {
    std::array<const std::uint32_t*, kMaxSources> rows_in;
    for (std::size_t i = 0; i < view.k; ++i) rows_in[i] = in[i] + begin;
    std::vector<std::uint32_t*> rows_out(count);
    for (std::size_t j = 0; j < count; ++j) rows_out[j] = out[j] + begin;
    kernel.base_convert(rows_out.data(), rows_in.data(), view, length);
  });
}

}  // namespace hearth::ring
