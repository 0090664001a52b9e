#pragma once

#include <complex>
#include <span>
#include <vector>

#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "ckks/keys.h"
#include "ckks/secret/secret_key.h"

namespace hearth::ckks {

// Fresh noise is e v + e0 + e1 s for a public key (rms per coefficient about 3.2 sqrt(2n/3 + 1 + h), h the number of
// secret coefficients that are not zero) and the error alone (3.2) for a seeded ciphertext. Nothing here branches or
// indexes on secrets; temporaries are wiped. All functions are thread safe.

/// Encrypts a dense or periodic plaintext (NTT domain, not in Montgomery form) given on q_basis(level). Randomness from
/// the operating system. Error(kMismatch) for a key of other parameters, Error(kInvalidArgument) for another plaintext.
Ciphertext encrypt(const Parameters& parameters, const PublicKey& key, const Plaintext& plain, int level);
SeededCiphertext encrypt_seeded(const SecretKey& key, const Plaintext& plain, int level);

/// c0 + c1 s (+ c2 s^2) on q_basis(level), dense, not decoded. Scale is the ciphertext's. The result holds the noise,
/// which would reveal the key to whoever also has the ciphertext: wipe it (secret_poly.h). Error(kMismatch) for a
/// ciphertext of other parameters.
Plaintext decrypt(const SecretKey& key, const Ciphertext& c);
/// decrypt and decode: n/2 slot values.
std::vector<std::complex<double>> decrypt_slots(const SecretKey& key, const Encoder& encoder, const Ciphertext& c);

}  // namespace hearth::ckks
