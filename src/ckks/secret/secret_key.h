#pragma once

#include <cstdint>
#include <vector>

#include "ckks/parameters.h"

namespace hearth::ckks {

/// The secret polynomial, in NTT domain on all primes of the ring, and its ternary coefficients. Wiped on destruction.
/// Move-only. This header and its library must never be reachable from server code.
class SecretKey {
 public:
  SecretKey(ParametersPtr parameters, std::vector<std::int8_t> coefficients);
  ~SecretKey();
  SecretKey(SecretKey&&) noexcept = default;
  SecretKey& operator=(SecretKey&&) noexcept = default;
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;

  const Parameters& parameters() const { return *parameters_; }
  const ParametersPtr& parameters_ptr() const { return parameters_; }
  const std::vector<std::int8_t>& coefficients() const { return coefficients_; }
  /// s in NTT domain on `basis`.
  ring::Poly on(const ring::Basis& basis) const;

 private:
  ParametersPtr parameters_;
  std::vector<std::int8_t> coefficients_;
  ring::Poly ntt_;
};

}  // namespace hearth::ckks
