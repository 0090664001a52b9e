#pragma once

#include <complex>
#include <span>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "ckks/keys.h"
#include "ckks/secret/secret_key.h"

namespace hearth::ckks {

/// Encrypts a dense or periodic plaintext (not in Montgomery form) given on q_basis(level). Randomness from the
/// operating system.
Ciphertext encrypt(const Parameters& parameters, const PublicKey& key, const Plaintext& plain, int level);
SeededCiphertext encrypt_seeded(const SecretKey& key, const Plaintext& plain, int level);

/// c0 + c1 s (+ c2 s^2) on q_basis(level), not decoded. Scale is the ciphertext's.
Plaintext decrypt(const SecretKey& key, const Ciphertext& c);
/// decrypt and decode: n/2 slot values.
std::vector<std::complex<double>> decrypt_slots(const SecretKey& key, const Encoder& encoder, const Ciphertext& c);

}  // namespace hearth::ckks
