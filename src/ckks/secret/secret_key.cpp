#include "ckks/secret/secret_key.h"

#include <utility>

#include "base/error.h"
#include "ckks/secret/secret_poly.h"

namespace hearth::ckks {
namespace {

/// Without branching on the coefficients: one pass that counts, then public verdicts.
void check_coefficients(const Parameters& parameters, const std::vector<std::int8_t>& coefficients) {
  require(coefficients.size() == parameters.n(), ErrorKind::kInvalidArgument,
          "a secret key for n = {} has {} coefficients", parameters.n(), coefficients.size());
  unsigned outside = 0;
  int weight = 0;
  for (const std::int8_t c : coefficients) {
    const auto shifted = static_cast<unsigned>(c + 1);  // 0, 1, 2 when ternary
    outside |= (shifted | (2U - shifted)) >> 31;
    weight += c * c;
  }
  require(outside == 0, ErrorKind::kInvalidArgument, "the coefficients of a secret key must be -1, 0 or 1");
  const ParameterSpec& spec = parameters.spec();
  require(spec.secret == SecretKind::kUniformTernary || weight == spec.hamming_weight, ErrorKind::kInvalidArgument,
          "the parameters ask for a secret of Hamming weight {}, this one has another", spec.hamming_weight);
}

ring::Basis all_primes(const Parameters& parameters) {
  ring::Basis basis;
  for (int prime = 0; prime < parameters.ring().prime_count(); ++prime) basis.push_back(prime);
  return basis;
}

}  // namespace

SecretKey::SecretKey(ParametersPtr parameters, std::vector<std::int8_t> coefficients)
    : parameters_(std::move(parameters)), coefficients_(std::move(coefficients)) {
  check_coefficients(*parameters_, coefficients_);
  ntt_ = ring::from_small(parameters_->ring(), all_primes(*parameters_), coefficients_);
  ring::to_ntt(parameters_->ring(), ntt_);
}

SecretKey::~SecretKey() {
  secure_wipe(coefficients_);
  wipe(ntt_);
}

SecretKey::SecretKey(SecretKey&& other) noexcept = default;

// Swapping leaves the old secret to be wiped by the destructor of `other`; moving the vector would free it unwiped.
SecretKey& SecretKey::operator=(SecretKey&& other) noexcept {
  std::swap(parameters_, other.parameters_);
  std::swap(coefficients_, other.coefficients_);
  std::swap(ntt_, other.ntt_);
  return *this;
}

ring::Poly SecretKey::on(const ring::Basis& basis) const { return ring::restrict_to(ntt_, basis); }

}  // namespace hearth::ckks
