#pragma once

#include "base/bytes.h"
#include "ckks/ciphertext.h"
#include "ckks/keys.h"

namespace hearth::ckks {

// Byte forms of the public objects (docs/format_ckks.md). Readers treat input as hostile: every count, range (each
// residue < q), level, set and fingerprint is checked before use, and memory is taken only for bytes that are there.
// Error(kCorrupt) for impossible bytes, Error(kMismatch) for an object of other parameters. Residues are little-endian
// uint32. A reader stops after its object; what follows is the caller's. Polynomials must be dense and in NTT domain.
// All functions are thread safe.

/// What is read obeys check_spec (parameter_check.h); security is judged by Parameters::create.
void write(ByteWriter& out, const ParameterSpec& spec);
ParameterSpec read_parameter_spec(ByteReader& in);

/// 2 or 3 parts.
void write(ByteWriter& out, const Ciphertext& c);
Ciphertext read_ciphertext(ByteReader& in, const Parameters& parameters);
void write(ByteWriter& out, const SeededCiphertext& c);
SeededCiphertext read_seeded_ciphertext(ByteReader& in, const Parameters& parameters);

/// b and seed only; reading expands `a` again.
void write(ByteWriter& out, const PublicKey& key, const Parameters& parameters);
PublicKey read_public_key(ByteReader& in, const Parameters& parameters);

/// b and seed only. The bytes hold no fingerprint, only sizes: whoever stores keys stores the fingerprint once for all
/// (EvaluationKeys::parameters_id) and checks it.
void write(ByteWriter& out, const SwitchingKey& key);
/// `expand`: also fill `a`.
SwitchingKey read_switching_key(ByteReader& in, const Parameters& parameters, bool expand = true);

}  // namespace hearth::ckks
