#pragma once

#include "ckks/keys.h"
#include "ckks/secret/secret_key.h"

namespace hearth::ckks {

/// Fresh secret key of the distribution the parameters ask for; randomness from the operating system.
SecretKey generate_secret_key(ParametersPtr parameters);

/// Makes public material from a secret key. Reproducible from `seed` (which is secret: it also seeds the errors) and
/// the secret key; holds a reference to the key. Const methods are thread safe.
///
/// Streams. The working seed is SHA-256 of `seed`, the parameters and the secret, so that one seed used with two
/// secrets or parameter sets shares no error. Under the working seed, stream number = kind 2^56 + set 2^48 + g 2^16 +
/// purpose, with kind 1 public key, 2 relinearisation, 3 Galois, 4 to
/// the sparse secret, 5 from it, 6 that secret itself; g the Galois element (0 where there is none); purpose
/// 0 the public seed of the uniform half, 1 + d the error of digit d. No two keys or digits share a stream.
class KeyGenerator {
 public:
  KeyGenerator(const SecretKey& secret, const ring::Seed& seed);
  ~KeyGenerator();
  KeyGenerator(const KeyGenerator&) = delete;
  KeyGenerator& operator=(const KeyGenerator&) = delete;

  PublicKey public_key() const;
  /// From s^2 to s.
  SwitchingKey relinearisation_key(int set) const;
  /// From s to s(X^{1/g}), see EvaluationKeys. g odd, below 2n, not 1.
  SwitchingKey galois_key(int set, std::uint32_t g) const;
  /// Between s and the encapsulated sparse secret s', see KeyKind. s' is derived from the working seed and exists only
  /// inside these calls. Error(kInvalidArgument) when the parameters have no encapsulated secret.
  SwitchingKey to_sparse_key() const;
  SwitchingKey from_sparse_key() const;
  SwitchingKey key(const KeyName& name) const;
  /// All keys of a request, in parallel; `expand` fills the seeded halves too.
  EvaluationKeys evaluation_keys(const KeyRequest& request, bool expand = true) const;

 private:
  SwitchingKey switching_key(int set, const ring::Poly& from, const ring::Poly& to, std::uint64_t stream) const;
  /// s' on the primes of key set `set`. The caller wipes it.
  ring::Poly sparse_secret(int set) const;

  const SecretKey& secret_;
  ring::Seed seed_;
};

}  // namespace hearth::ckks
