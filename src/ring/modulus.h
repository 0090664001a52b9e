#pragma once

#include <cstdint>
#include <vector>

namespace hearth::ring {

/// An odd prime q < 2^30 with the constants its arithmetic needs. Residues are uint32_t in [0, q) unless said
/// otherwise. "Montgomery form" of x is x * 2^32 mod q.
struct Modulus {
  explicit Modulus(std::uint32_t prime);

  std::uint32_t q;
  std::uint32_t neg_inv;  ///< -q^{-1} mod 2^32
  std::uint32_t r1;       ///< 2^32 mod q
  std::uint32_t r2;       ///< 2^64 mod q
};

/// Results in [0, q); arguments in [0, q). Sums and differences are made without a choice that a compiler could turn
/// into a branch, for they are applied to secrets.
inline std::uint32_t sub_mod(std::uint32_t a, std::uint32_t b, const Modulus& m) {
  const std::uint32_t d = a - b;  // its top bit tells whether it wrapped, since q < 2^30
  return d + (m.q & (0 - (d >> 31)));
}
inline std::uint32_t add_mod(std::uint32_t a, std::uint32_t b, const Modulus& m) { return sub_mod(a, m.q - b, m); }
inline std::uint32_t mul_mod(std::uint32_t a, std::uint32_t b, const Modulus& m) {
  return static_cast<std::uint32_t>(std::uint64_t{a} * b % m.q);
}
std::uint32_t pow_mod(std::uint32_t base, std::uint64_t exponent, const Modulus& m);
/// Inverse of a != 0.
std::uint32_t inv_mod(std::uint32_t a, const Modulus& m);

/// x * 2^-32 mod q in [0, q), for any x < 2^32 * q.
inline std::uint32_t montgomery_reduce(std::uint64_t x, const Modulus& m) {
  const std::uint32_t k = static_cast<std::uint32_t>(x) * m.neg_inv;
  const std::uint32_t t = static_cast<std::uint32_t>((x + std::uint64_t{k} * m.q) >> 32);
  return t >= m.q ? t - m.q : t;
}
inline std::uint32_t to_montgomery(std::uint32_t a, const Modulus& m) {
  return montgomery_reduce(std::uint64_t{a} * m.r2, m);
}

/// Shoup's companion floor(w * 2^32 / q) of a constant w in [0, q).
inline std::uint32_t shoup(std::uint32_t w, const Modulus& m) {
  return static_cast<std::uint32_t>((std::uint64_t{w} << 32) / m.q);
}

/// The `count` largest primes below 2^bits that are 1 mod 2^(log_n + 1), descending, skipping those in `exclude`.
/// bits in [log_n + 2, 30]. Throws Error(kInvalidArgument) with the number found when there are too few.
std::vector<std::uint32_t> ntt_primes(int log_n, int bits, int count, const std::vector<std::uint32_t>& exclude = {});

bool is_prime(std::uint32_t candidate);

}  // namespace hearth::ring
