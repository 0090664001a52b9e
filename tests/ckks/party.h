#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <span>
#include <vector>

#include "ckks/evaluator.h"
#include "ckks/secret/encryption.h"
#include "ckks/secret/key_generator.h"

namespace hearth::ckks::testing {

using Slots = std::vector<std::complex<double>>;

/// Keys for relinearisation, conjugation and the given rotations, in every key set.
inline KeyRequest request_all(const Parameters& parameters, std::span<const int> steps) {
  KeyRequest request;
  for (int set = 0; set < parameters.key_set_count(); ++set) {
    request.relinearisation_sets.push_back(set);
    request.galois.emplace_back(set, galois_conjugation(parameters.log_n()));
    for (const int step : steps) {
      const std::uint32_t g = galois_element(step, parameters.log_n());
      if (g != 1) request.galois.emplace_back(set, g);
    }
  }
  return request;
}

/// A client and a server in one: everything a test needs to compute on ciphertexts and look inside.
struct Party {
  explicit Party(const ParameterSpec& spec, std::vector<int> steps = {})
      : Party(Parameters::create(spec), std::move(steps)) {}
  Party(ParametersPtr p, std::vector<int> steps)
      : parameters(std::move(p)),
        secret(generate_secret_key(parameters)),
        keys(KeyGenerator(secret, ring::random_seed()).evaluation_keys(request_all(*parameters, steps))),
        evaluator(parameters, &keys) {}

  const Encoder& encoder() const { return evaluator.encoder(); }

  Ciphertext encrypt(const Slots& slots, int level, double scale) const {
    const Plaintext plain = encoder().encode(slots, scale, parameters->q_basis(level), false);
    return expand(*parameters, encrypt_seeded(secret, plain, level));
  }
  Slots decrypt(const Ciphertext& c) const { return decrypt_slots(secret, encoder(), c); }

  ParametersPtr parameters;
  SecretKey secret;
  EvaluationKeys keys;
  Evaluator evaluator;
};

/// Noise theory. Standard deviations are of polynomial coefficients. Bounds are of the error of any slot, each missed
/// with a probability of about e^-20: a slot of a random polynomial of standard deviation sigma is a sum of n terms on
/// the unit circle, so its squared size is exponential with mean n sigma^2. A product of polynomials is a product slot
/// by slot.
struct Noise {
  explicit Noise(const Party& party) : parameters(*party.parameters) {
    for (const std::int8_t s : party.secret.coefficients()) weight += s != 0;
    for (const auto& slot : party.encoder().decode(party.secret.on(parameters.q_basis(0)), 1)) {
      secret_size = std::max(secret_size, std::abs(slot));
    }
  }

  /// Rounding both parts: r0 + r1 s.
  double rounding() const { return std::sqrt((1 + weight) / 12); }
  /// Digits of modulus D_d times errors, divided by P, and the rounding of ModDown.
  double key_switch(int level) const {
    double variance = 0;
    for (const double ratio : digit_ratios(level)) {
      variance +=
          static_cast<double>(parameters.n()) * ratio * ratio / 12 * ring::kGaussianSigma * ring::kGaussianSigma;
    }
    return std::hypot(std::sqrt(variance), rounding());
  }

  double slots(double sigma, double scale) const {
    const double n = static_cast<double>(parameters.n());
    return sigma * std::sqrt(n * (std::log(n / 2) + 20)) / scale;
  }
  double encoding_slots(double scale) const { return slots(std::sqrt(1.0 / 12), scale); }
  double fresh_slots(double scale) const { return slots(ring::kGaussianSigma, scale) + encoding_slots(scale); }
  double rounding_slots(double scale) const { return encoding_slots(scale) * (1 + secret_size); }
  double key_switch_slots(int level, double scale) const {
    double sum = rounding_slots(scale);
    for (const double ratio : digit_ratios(level)) {
      sum += slots(ratio / std::sqrt(12.0), 1) * slots(ring::kGaussianSigma, scale);
    }
    return sum;
  }

  /// Digit moduli relative to the special modulus.
  std::vector<double> digit_ratios(int level) const {
    const int set = parameters.key_set_for(level);
    std::vector<double> out;
    for (const ring::Basis& digit : parameters.digits(set, level)) {
      out.push_back(std::exp2(log2_product(digit) - log2_product(parameters.p_basis(set))));
    }
    return out;
  }
  double log2_product(const ring::Basis& basis) const {
    double sum = 0;
    for (const int prime : basis) sum += std::log2(parameters.ring().modulus(prime).q);
    return sum;
  }

  const Parameters& parameters;
  double weight = 0;       ///< non-zero coefficients of the secret
  double secret_size = 0;  ///< its largest slot
};

/// Coefficients of a polynomial (NTT domain) that are known to be small against its first prime.
inline std::vector<double> small_coefficients(const ring::Ring& ring, const ring::Poly& poly) {
  ring::Poly first = ring::restrict_to(poly, {poly.basis().front()});
  ring::to_coefficient(ring, first);
  const ring::Modulus& m = ring.modulus(first.basis()[0]);
  std::vector<double> out;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const double value = first.limb(0)[i];
    out.push_back(value > m.q / 2 ? value - m.q : value);
  }
  return out;
}

inline double standard_deviation(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

inline bool equal_bits(const ring::Poly& a, const ring::Poly& b) {
  if (a.size() != b.size() || a.basis() != b.basis() || a.domain() != b.domain()) return false;
  for (std::size_t i = 0; i < a.limbs(); ++i) {
    if (!std::equal(a.limb(i), a.limb(i) + a.size(), b.limb(i))) return false;
  }
  return true;
}

inline bool equal_bits(const Ciphertext& a, const Ciphertext& b) {
  if (a.parts.size() != b.parts.size() || a.level != b.level || a.scale != b.scale) return false;
  for (std::size_t i = 0; i < a.parts.size(); ++i) {
    if (!equal_bits(a.parts[i], b.parts[i])) return false;
  }
  return true;
}

}  // namespace hearth::ckks::testing
