#include "ckks/ciphertext.h"

#include "base/error.h"

namespace hearth::ckks {

Ciphertext Ciphertext::clone() const {
  Ciphertext out;
  for (const ring::Poly& part : parts) out.parts.push_back(part.clone());
  out.level = level;
  out.scale = scale;
  out.parameters_id = parameters_id;
  return out;
}

std::size_t Ciphertext::bytes() const {
  std::size_t sum = 0;
  for (const ring::Poly& part : parts) sum += part.bytes();
  return sum;
}

Ciphertext expand(const Parameters& parameters, const SeededCiphertext& c) {
  require(c.parameters_id == parameters.id(), ErrorKind::kMismatch,
          "the ciphertext was made with other parameters ({:016x}, expected {:016x})", c.parameters_id,
          parameters.id());
  Ciphertext out;
  out.parts.push_back(c.c0.clone());
  out.parts.push_back(
      ring::sample_uniform(parameters.ring(), parameters.q_basis(c.level), ring::Domain::kNtt, c.seed, 0));
  out.level = c.level;
  out.scale = c.scale;
  out.parameters_id = c.parameters_id;
  return out;
}

}  // namespace hearth::ckks
