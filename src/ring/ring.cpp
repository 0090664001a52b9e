#include <algorithm>
#include <bit>
#include <set>

#include "base/dry_run.h"
#include "base/error.h"
#include "ring/limbs.h"
#include "ring/poly.h"

namespace hearth::ring {
namespace {

constexpr int kMinLogN = 3;
constexpr int kMaxLogN = 17;

void check_primes(int log_n, const std::vector<std::uint32_t>& primes) {
  require(log_n >= kMinLogN && log_n <= kMaxLogN, ErrorKind::kInvalidArgument,
          "the ring degree must be 2^{} to 2^{}, got 2^{}", kMinLogN, kMaxLogN, log_n);
  std::set<std::uint32_t> seen;
  const std::uint32_t order = 2U << log_n;
  for (const std::uint32_t q : primes) {
    require(q < (1U << 30) && q % order == 1 && is_prime(q), ErrorKind::kInvalidArgument,
            "{} cannot be a modulus of a ring of degree {}: expected a prime below 2^30 that is 1 modulo {}", q,
            1U << log_n, order);
    require(seen.insert(q).second, ErrorKind::kInvalidArgument, "the prime {} occurs twice in one ring", q);
  }
}

}  // namespace

Ring::Ring(int log_n, const std::vector<std::uint32_t>& primes) : log_n_(log_n) {
  check_primes(log_n, primes);
  for (const std::uint32_t q : primes) moduli_.emplace_back(q);
  roots_.resize(primes.size());
  for_each_limb(primes.size(), n(), [&](std::size_t i) { roots_[i] = find_primitive_root(log_n_, moduli_[i]); });
  tables_ = std::make_unique<LazyTables[]>(primes.size() * static_cast<std::size_t>(log_n + 1));
}

Ring::~Ring() = default;

const NttTables& Ring::ntt(int prime, int log_size) const {
  require(prime >= 0 && prime < prime_count() && log_size >= 1 && log_size <= log_n_, ErrorKind::kInternal,
          "NTT tables asked for prime {} of {} and size 2^{} in a ring of degree 2^{}", prime, prime_count(), log_size,
          log_n_);
  const auto index = static_cast<std::size_t>(prime);
  LazyTables& slot = tables_[index * static_cast<std::size_t>(log_n_ + 1) + static_cast<std::size_t>(log_size)];
  std::call_once(slot.once, [&] {
    const dry::Suspension real;
    const Modulus& m = moduli_[index];
    slot.tables = std::make_unique<NttTables>(log_size, m, pow_mod(roots_[index], 1ULL << (log_n_ - log_size), m));
  });
  return *slot.tables;
}

}  // namespace hearth::ring
