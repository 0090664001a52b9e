#pragma once

#include <cstdint>
#include <vector>

#include "ckks/parameters.h"

namespace hearth::ckks {

/// The secret polynomial, in NTT domain on all primes of the ring, and its ternary coefficients. Wiped on destruction.
/// Move-only. This header and its library must never be reachable from server code.
class SecretKey {
 public:
  /// `coefficients`: n values in {-1, 0, 1}, and exactly h of them not zero when the parameters fix the Hamming weight
  /// h; Error(kInvalidArgument) otherwise.
  SecretKey(ParametersPtr parameters, std::vector<std::int8_t> coefficients);
  ~SecretKey();
  SecretKey(SecretKey&& other) noexcept;
  SecretKey& operator=(SecretKey&& other) noexcept;
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;

  const Parameters& parameters() const { return *parameters_; }
  const ParametersPtr& parameters_ptr() const { return parameters_; }
  const std::vector<std::int8_t>& coefficients() const { return coefficients_; }
  /// s in NTT domain on `basis`. The caller wipes it (see SecretPoly).
  ring::Poly on(const ring::Basis& basis) const;

 private:
  ParametersPtr parameters_;
  std::vector<std::int8_t> coefficients_;
  ring::Poly ntt_;
};

}  // namespace hearth::ckks
