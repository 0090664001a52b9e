#include "ring/modulus.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::ring {
namespace {

std::uint64_t pow_mod64(std::uint64_t base, std::uint64_t exponent, std::uint64_t modulus) {
  std::uint64_t result = 1;
  for (base %= modulus; exponent != 0; exponent >>= 1) {
    if (exponent & 1) result = result * base % modulus;
    base = base * base % modulus;
  }
  return result;
}

/// One round of Miller-Rabin: false when `witness` proves that odd `n` = odd * 2^twos + 1 is composite.
bool passes_miller_rabin(std::uint32_t n, std::uint32_t witness, std::uint32_t odd, int twos) {
  std::uint64_t x = pow_mod64(witness, odd, n);
  if (x == 1 || x == n - 1) return true;
  for (int i = 1; i < twos; ++i) {
    x = x * x % n;
    if (x == n - 1) return true;
  }
  return false;
}

/// -q^-1 mod 2^32 by Newton's iteration: x -> x (2 - q x) doubles the number of right bits, and q q = 1 mod 8.
std::uint32_t negated_inverse(std::uint32_t q) {
  std::uint32_t x = q;
  for (int i = 0; i < 4; ++i) x *= 2 - q * x;
  return 0 - x;
}

}  // namespace

Modulus::Modulus(std::uint32_t prime) : q(prime), neg_inv(negated_inverse(prime)), r1(0), r2(0) {
  require(prime < (1U << 30) && prime > 2 && is_prime(prime), ErrorKind::kInvalidArgument,
          "a modulus must be an odd prime below 2^30, got {}", prime);
  r1 = static_cast<std::uint32_t>((std::uint64_t{1} << 32) % prime);
  r2 = static_cast<std::uint32_t>(std::uint64_t{r1} * r1 % prime);
}

std::uint32_t pow_mod(std::uint32_t base, std::uint64_t exponent, const Modulus& m) {
  return static_cast<std::uint32_t>(pow_mod64(base, exponent, m.q));
}

std::uint32_t inv_mod(std::uint32_t a, const Modulus& m) {
  require(a % m.q != 0, ErrorKind::kInvalidArgument, "zero has no inverse modulo {}", m.q);
  return pow_mod(a, m.q - 2, m);
}

bool is_prime(std::uint32_t candidate) {
  if (candidate < 2) return false;
  // The bases 2, 3, 5 and 7 decide every number below 3215031751 (Jaeschke 1993); 11 covers the rest of 32 bits.
  constexpr std::uint32_t kWitnesses[] = {2, 3, 5, 7, 11};
  for (const std::uint32_t p : kWitnesses) {
    if (candidate % p == 0) return candidate == p;
  }
  std::uint32_t odd = candidate - 1;
  int twos = 0;
  for (; odd % 2 == 0; odd /= 2) ++twos;
  return std::all_of(std::begin(kWitnesses), std::end(kWitnesses),
                     [&](std::uint32_t w) { return passes_miller_rabin(candidate, w, odd, twos); });
}

std::vector<std::uint32_t> ntt_primes(int log_n, int bits, int count, const std::vector<std::uint32_t>& exclude) {
  require(log_n >= 0 && bits >= log_n + 2 && bits <= 30, ErrorKind::kInvalidArgument,
          "primes for N = 2^{} need between {} and 30 bits, got {}", log_n, log_n + 2, bits);
  require(count >= 0, ErrorKind::kInvalidArgument, "cannot look for {} primes", count);
  const std::uint32_t step = std::uint32_t{2} << log_n;
  std::vector<std::uint32_t> primes;
  // Every candidate is 1 modulo step; the smallest is step + 1.
  for (std::uint32_t c = (1U << bits) - step + 1; c > 1 && primes.size() < static_cast<std::size_t>(count); c -= step) {
    if (is_prime(c) && std::find(exclude.begin(), exclude.end(), c) == exclude.end()) primes.push_back(c);
  }
  require(primes.size() == static_cast<std::size_t>(count), ErrorKind::kInvalidArgument,
          "only {} of {} primes below 2^{} are 1 modulo {} and not excluded; use fewer or wider primes", primes.size(),
          count, bits, step);
  return primes;
}

}  // namespace hearth::ring
