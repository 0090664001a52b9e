#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ring/poly.h"
#include "ring/random.h"

namespace hearth::ckks {

/// Overwrites all residues with zeros in a way that the compiler keeps.
inline void wipe(ring::Poly& poly) noexcept {
  if (!poly.empty()) secure_wipe(poly.limb(0), poly.bytes());
}

/// A polynomial that is wiped when it goes out of scope.
class SecretPoly {
 public:
  explicit SecretPoly(ring::Poly poly) : poly_(std::move(poly)) {}
  ~SecretPoly() { wipe(poly_); }
  SecretPoly(const SecretPoly&) = delete;
  SecretPoly& operator=(const SecretPoly&) = delete;

  ring::Poly& operator*() { return poly_; }
  const ring::Poly& operator*() const { return poly_; }

 private:
  ring::Poly poly_;
};

/// Small coefficients that are wiped when they go out of scope.
class SecretSmall {
 public:
  explicit SecretSmall(std::vector<std::int8_t> values) : values_(std::move(values)) {}
  ~SecretSmall() { secure_wipe(values_); }
  SecretSmall(const SecretSmall&) = delete;
  SecretSmall& operator=(const SecretSmall&) = delete;

  /// As an element of the ring, NTT domain.
  ring::Poly to_ntt(const ring::Ring& ring, const ring::Basis& basis) const {
    ring::Poly out = ring::from_small(ring, basis, values_);
    ring::to_ntt(ring, out);
    return out;
  }

 private:
  std::vector<std::int8_t> values_;
};

/// A seed that is wiped when it goes out of scope.
struct SecretSeed {
  explicit SecretSeed(const ring::Seed& value) : seed(value) {}
  ~SecretSeed() { secure_wipe(seed.data(), seed.size()); }
  SecretSeed(const SecretSeed&) = delete;
  SecretSeed& operator=(const SecretSeed&) = delete;

  ring::Seed seed;
};

}  // namespace hearth::ckks
