#pragma once

#include "ckks/keys.h"
#include "ckks/secret/secret_key.h"

namespace hearth::ckks {

/// Fresh secret key of the distribution the parameters ask for; randomness from the operating system.
SecretKey generate_secret_key(ParametersPtr parameters);

/// Makes public material from a secret key. Reproducible from `seed` (which is secret: it also seeds the errors).
class KeyGenerator {
 public:
  KeyGenerator(const SecretKey& secret, const ring::Seed& seed);

  PublicKey public_key() const;
  SwitchingKey relinearisation_key(int set) const;
  SwitchingKey galois_key(int set, std::uint32_t g) const;
  /// All keys of a request, in parallel; `expand` fills the seeded halves too.
  EvaluationKeys evaluation_keys(const KeyRequest& request, bool expand = true) const;

 private:
  SwitchingKey switching_key(int set, const ring::Poly& from, const ring::Poly& to, std::uint64_t stream) const;
  const SecretKey& secret_;
  ring::Seed seed_;
};

}  // namespace hearth::ckks
