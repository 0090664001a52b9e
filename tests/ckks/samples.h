#pragma once

#include "ckks/secret/key_generator.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks::testing {

/// Objects that are the same on every run and every machine, for golden files.

/// What the golden files and the fuzz targets are about: n = 16, eight primes on five levels, two key sets.
inline ParametersPtr sample_parameters() { return Parameters::create(mixed_spec(4)); }

inline ring::Poly sample_poly(const Parameters& p, int level, std::uint8_t seed) {
  return ring::sample_uniform(p.ring(), p.q_basis(level), ring::Domain::kNtt, ring::Seed{seed}, 0);
}

inline Ciphertext sample_ciphertext(const Parameters& p, int level = 2, std::uint8_t parts = 2) {
  Ciphertext c;
  for (std::uint8_t i = 0; i < parts; ++i) c.parts.push_back(sample_poly(p, level, i));
  c.level = level;
  c.scale = 0x1.8p30;
  c.parameters_id = p.id();
  return c;
}

inline SeededCiphertext sample_seeded_ciphertext(const Parameters& p, int level = 2) {
  return {sample_poly(p, level, 7), ring::Seed{1, 2, 3}, level, 0x1p40, p.id()};
}

inline SecretKey sample_secret(const ParametersPtr& p) {
  std::vector<std::int8_t> coefficients(p->n());
  for (std::size_t i = 0; i < coefficients.size(); ++i) coefficients[i] = static_cast<std::int8_t>(i % 3) - 1;
  return SecretKey(p, std::move(coefficients));
}

inline constexpr ring::Seed kSampleSeed = {4, 5, 6};

}  // namespace hearth::ckks::testing
