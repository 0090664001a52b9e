// Parameters, keys, encoding, encryption: from numbers to a ciphertext and back.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ckks/secret/encryption.h"
#include "ckks/secret/key_generator.h"

using namespace hearth;

int main() {
  // A ring of degree n = 2^13 packs n/2 = 4096 numbers into a ciphertext. Its modulus is a chain of primes, one or more
  // a level; multiplications consume levels. The modulus that is safe grows with n, and parameters that are not secure
  // are refused.
  ckks::ParameterSpec spec;
  spec.log_n = 13;
  spec.levels = {{30}, {28}, {28}};
  spec.special_bits = {30};
  spec.key_sets = {{.max_level = 2, .digit_primes = 1, .special_primes = 1}};
  const ckks::ParametersPtr parameters = ckks::Parameters::create(spec);
  fmt::print("n = {}, {} slots, log2(QP) = {:.1f} of at most {:.0f}: about {:.0f} bits of security\n", parameters->n(),
             parameters->slots(), parameters->security().log_qp, parameters->security().limit,
             parameters->security().estimated_bits);

  // The secret key stays with its owner.
  const ckks::SecretKey secret = ckks::generate_secret_key(parameters);
  const ckks::PublicKey public_key = ckks::KeyGenerator(secret, ring::random_seed()).public_key();

  // Numbers become a polynomial with integer coefficients: they are multiplied by a scale and rounded.
  std::vector<double> values(parameters->slots());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(0.01 * static_cast<double>(i));
  const double scale = 0x1p30;
  const ckks::Encoder encoder(parameters);
  const int level = parameters->max_level();
  const ckks::Plaintext plain = encoder.encode(values, scale, parameters->q_basis(level), false);

  // Anyone can encrypt with the public key; the owner of the secret key has a form of half the size.
  const ckks::Ciphertext from_public = ckks::encrypt(*parameters, public_key, plain, level);
  const ckks::SeededCiphertext seeded = ckks::encrypt_seeded(secret, plain, level);
  const ckks::Ciphertext from_secret = ckks::expand(*parameters, seeded);
  fmt::print("ciphertext: {} bytes in memory, {} to send when seeded\n", from_public.bytes(), seeded.c0.bytes() + 32);

  double worst = 0;
  for (const ckks::Ciphertext* c : {&from_public, &from_secret}) {
    const auto slots = ckks::decrypt_slots(secret, encoder, *c);
    for (std::size_t i = 0; i < values.size(); ++i) worst = std::max(worst, std::abs(slots[i] - values[i]));
  }
  // Encryption adds noise: decryption returns the numbers to about log2(scale) - log2(n) bits.
  fmt::print("largest error after decryption: 2^{:.1f}\n", std::log2(worst));
  return worst < 1e-3 ? 0 : 1;
}
