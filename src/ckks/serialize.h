#pragma once

#include "base/bytes.h"
#include "ckks/ciphertext.h"
#include "ckks/keys.h"

namespace hearth::ckks {

// Byte forms of the public objects (docs/format_ckks.md). Readers treat input as hostile: every count, range (each residue
// < q), level, set and fingerprint is checked before use; Error(kCorrupt) or Error(kMismatch) otherwise. Residues are packed
// as little-endian uint32.

void write(ByteWriter& out, const ParameterSpec& spec);
ParameterSpec read_parameter_spec(ByteReader& in);

void write(ByteWriter& out, const Ciphertext& c);
Ciphertext read_ciphertext(ByteReader& in, const Parameters& parameters);
void write(ByteWriter& out, const SeededCiphertext& c);
SeededCiphertext read_seeded_ciphertext(ByteReader& in, const Parameters& parameters);

void write(ByteWriter& out, const PublicKey& key, const Parameters& parameters);
PublicKey read_public_key(ByteReader& in, const Parameters& parameters);

/// b and seed only.
void write(ByteWriter& out, const SwitchingKey& key);
/// `expand`: also fill `a`.
SwitchingKey read_switching_key(ByteReader& in, const Parameters& parameters, bool expand = true);

}  // namespace hearth::ckks
