#include "ckks/secret/encryption.h"

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "ckks/secret/secret_poly.h"

namespace hearth::ckks {
namespace {

void check_id(std::uint64_t id, const Parameters& parameters, const char* what) {
  require(id == parameters.id(), ErrorKind::kMismatch,
          "the {} was made with other parameters ({:016x}, expected {:016x})", what, id, parameters.id());
}

void check_plain(const Parameters& parameters, const Plaintext& plain, int level) {
  const ring::Basis basis = parameters.q_basis(level);
  require(plain.poly.basis() == basis, ErrorKind::kInvalidArgument,
          "encryption at level {} needs a plaintext on its {} primes, got {}", level, basis.size(), plain.poly.limbs());
  require(plain.poly.domain() == ring::Domain::kNtt && !plain.montgomery, ErrorKind::kInvalidArgument,
          "encryption needs a plaintext in NTT domain and not in Montgomery form");
  require(plain.poly.size() <= parameters.n(), ErrorKind::kInvalidArgument,
          "a plaintext of {} coefficients does not fit n = {}", plain.poly.size(), parameters.n());
}

/// a += plain, whose entry i stands for a run of equal values.
void add_plaintext(const ring::Ring& ring, ring::Poly& a, const ring::Poly& plain) {
  if (plain.size() == a.size()) return ring::add(ring, a, plain);
  const int log_run = std::countr_zero(a.size()) - std::countr_zero(plain.size());
  for (std::size_t limb = 0; limb < a.limbs(); ++limb) {
    const ring::Modulus& m = ring.modulus(a.basis()[limb]);
    std::uint32_t* out = a.limb(limb);
    const std::uint32_t* in = plain.limb(limb);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const std::uint32_t sum = out[i] + in[i >> log_run];
      out[i] = std::min(sum, sum - m.q);  // a branch on the message could be seen in the run time
    }
  }
}

ring::Poly gaussian(const ring::Ring& ring, const ring::Basis& basis, ring::RandomStream& random) {
  return SecretSmall(ring::sample_gaussian(ring.n(), random)).to_ntt(ring, basis);
}

}  // namespace

Ciphertext encrypt(const Parameters& parameters, const PublicKey& key, const Plaintext& plain, int level) {
  check_id(key.parameters_id, parameters, "public key");
  check_plain(parameters, plain, level);
  const ring::Ring& ring = parameters.ring();
  const ring::Basis basis = parameters.q_basis(level);
  const SecretSeed seed(ring::random_seed());
  ring::RandomStream random(seed.seed, 0);
  const SecretPoly v(SecretSmall(ring::sample_ternary(ring.n(), random)).to_ntt(ring, basis));

  Ciphertext out;
  for (const ring::Poly* half : {&key.b, &key.a}) {
    ring::Poly part = ring::restrict_to(*half, basis);
    ring::mul(ring, part, part, *v);
    const SecretPoly e(gaussian(ring, basis, random));
    ring::add(ring, part, *e);
    out.parts.push_back(std::move(part));
  }
  add_plaintext(ring, out.parts[0], plain.poly);
  out.level = level;
  out.scale = plain.scale;
  out.parameters_id = parameters.id();
  return out;
}

SeededCiphertext encrypt_seeded(const SecretKey& key, const Plaintext& plain, int level) {
  const Parameters& parameters = key.parameters();
  check_plain(parameters, plain, level);
  const ring::Ring& ring = parameters.ring();
  const ring::Basis basis = parameters.q_basis(level);
  SeededCiphertext out;
  out.seed = ring::random_seed();
  const SecretSeed error_seed(ring::random_seed());
  ring::RandomStream random(error_seed.seed, 0);

  SecretPoly product(ring::sample_uniform(ring, basis, ring::Domain::kNtt, out.seed, 0));
  const SecretPoly s(key.on(basis));
  ring::mul(ring, *product, *product, *s);
  out.c0 = gaussian(ring, basis, random);
  ring::sub(ring, out.c0, *product);
  add_plaintext(ring, out.c0, plain.poly);
  out.level = level;
  out.scale = plain.scale;
  out.parameters_id = parameters.id();
  return out;
}

Plaintext decrypt(const SecretKey& key, const Ciphertext& c) {
  const Parameters& parameters = key.parameters();
  check_id(c.parameters_id, parameters, "ciphertext");
  require(c.parts.size() == 2 || c.parts.size() == 3, ErrorKind::kInvalidArgument,
          "a ciphertext has 2 or 3 parts, got {}", c.parts.size());
  const ring::Ring& ring = parameters.ring();
  const SecretPoly s(key.on(parameters.q_basis(c.level)));
  ring::Poly sum = c.parts.back().clone();  // Horner's rule in s
  for (std::size_t part = c.parts.size() - 1; part-- > 0;) {
    ring::mul(ring, sum, sum, *s);
    ring::add(ring, sum, c.parts[part]);
  }
  return {std::move(sum), c.scale, false};
}

std::vector<std::complex<double>> decrypt_slots(const SecretKey& key, const Encoder& encoder, const Ciphertext& c) {
  Plaintext plain = decrypt(key, c);
  std::vector<std::complex<double>> out = encoder.decode(plain.poly, c.scale);
  wipe(plain.poly);
  return out;
}

}  // namespace hearth::ckks
