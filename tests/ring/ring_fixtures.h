#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include "ring/modulus.h"
#include "ring/poly.h"

namespace hearth::ring {

/// A ring of degree 2^log_n with `count` primes of up to `bits` bits; made once per process.
inline const Ring& test_ring(int log_n, int bits, int count) {
  static std::map<std::tuple<int, int, int>, std::unique_ptr<Ring>> rings;
  auto& ring = rings[{log_n, bits, count}];
  if (!ring) ring = std::make_unique<Ring>(log_n, ntt_primes(log_n, bits, count));
  return *ring;
}

/// A ring for a property: log_n in [low, high], with `count` primes of 20, 27 or 30 bits.
inline const Ring& any_ring(int low, int high, int count) {
  const int log_n = *rc::gen::inRange(low, high + 1);
  const int bits = *rc::gen::element(20, 27, 30);
  return test_ring(log_n, log_n > 12 ? 30 : bits, count);
}

/// `count` different primes out of the ring's, in any order.
inline Basis any_basis(const Ring& ring, std::size_t count) {
  std::vector<int> all;
  for (int i = 0; i < ring.prime_count(); ++i) all.push_back(i);
  // Sorting by random keys is a shuffle that shrinks to the identity.
  const auto keys = *rc::gen::container<std::vector<std::uint32_t>>(all.size(), rc::gen::arbitrary<std::uint32_t>());
  std::stable_sort(all.begin(), all.end(),
                   [&](int a, int b) { return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)]; });
  all.resize(count);
  return all;
}

}  // namespace hearth::ring
