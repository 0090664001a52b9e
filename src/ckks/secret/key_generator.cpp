#include "ckks/secret/key_generator.h"

#include <openssl/evp.h>

#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/secret/secret_poly.h"

namespace hearth::ckks {
namespace {

enum StreamKind : std::uint64_t {
  kPublicKeyStream = 1,
  kRelinearisationStream = 2,
  kGaloisStream = 3,
  kToSparseStream = 4,
  kFromSparseStream = 5,
  kSparseSecretStream = 6
};

std::uint64_t stream_of(StreamKind kind, int set, std::uint32_t g) {
  return std::uint64_t{kind} << 56 | static_cast<std::uint64_t>(set) << 48 | std::uint64_t{g} << 16;
}
constexpr std::uint64_t kFirstErrorPurpose = 1;

ring::Seed working_seed(const SecretKey& secret, const ring::Seed& seed) {
  constexpr std::string_view kLabel = "hearth ckks key generator 1";
  const std::uint64_t id = secret.parameters().id();
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  ring::Seed out{};
  unsigned size = 0;
  const bool done = hash && EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1 &&
                    EVP_DigestUpdate(hash.get(), kLabel.data(), kLabel.size()) == 1 &&
                    EVP_DigestUpdate(hash.get(), seed.data(), seed.size()) == 1 &&
                    EVP_DigestUpdate(hash.get(), &id, sizeof id) == 1 &&
                    EVP_DigestUpdate(hash.get(), secret.coefficients().data(), secret.coefficients().size()) == 1 &&
                    EVP_DigestFinal_ex(hash.get(), out.data(), &size) == 1 && size == out.size();
  require(done, ErrorKind::kInternal, "OpenSSL refused to compute SHA-256");
  return out;
}

ring::Seed public_seed(const ring::Seed& seed, std::uint64_t stream) {
  ring::Seed out{};
  ring::RandomStream(seed, stream).fill(std::span<std::uint8_t>(out));
  return out;
}

ring::Poly gaussian_error(const ring::Ring& ring, const ring::Basis& basis, const ring::Seed& seed,
                          std::uint64_t stream) {
  ring::RandomStream random(seed, stream);
  return SecretSmall(ring::sample_gaussian(ring.n(), random)).to_ntt(ring, basis);
}

/// Multiplier that takes residues into Montgomery form, one a limb.
std::vector<std::uint32_t> montgomery_factors(const ring::Ring& ring, const ring::Basis& basis) {
  std::vector<std::uint32_t> out;
  for (const int prime : basis) out.push_back(ring.modulus(prime).r1);
  return out;
}

/// b += P g_d s' in Montgomery form: g_d is 1 modulo the primes of digit d and 0 modulo all others, P is 0 modulo the
/// special primes, so only the limbs of the digit change. Limb i of b and `from` is ring prime i.
void add_gadget(const Parameters& parameters, int set, const ring::Basis& digit, const ring::Poly& from,
                ring::Poly& b) {
  const ring::Ring& ring = parameters.ring();
  const ring::Kernels& k = ring::kernels();
  SecretPoly term(ring::Poly(from.size(), {digit.front()}, ring::Domain::kNtt));
  for (const int prime : digit) {
    const ring::Modulus& m = ring.modulus(prime);
    std::uint32_t factor = m.r1;
    for (const int special : parameters.p_basis(set)) factor = mul_mod(factor, ring.modulus(special).q % m.q, m);
    const auto limb = static_cast<std::size_t>(prime);
    k.mul_scalar((*term).limb(0), from.limb(limb), factor, shoup(factor, m), from.size(), m);
    k.add(b.limb(limb), b.limb(limb), (*term).limb(0), from.size(), m);
  }
}

/// g^-1 modulo 2n, which is a power of two: Newton's iteration doubles the correct bits, 3 to begin with.
std::uint32_t inverse_galois(std::uint32_t g, std::size_t n) {
  std::uint32_t x = g;
  for (int i = 0; i < 4; ++i) x *= 2 - g * x;
  return x & static_cast<std::uint32_t>(2 * n - 1);
}

int top_level(const Parameters& parameters, int set) {
  require(set >= 0 && set < parameters.key_set_count(), ErrorKind::kInvalidArgument,
          "key set {} does not exist; there are {}", set, parameters.key_set_count());
  return parameters.spec().key_sets[static_cast<std::size_t>(set)].max_level;
}

}  // namespace

SecretKey generate_secret_key(ParametersPtr parameters) {
  const SecretSeed seed(ring::random_seed());
  ring::RandomStream random(seed.seed, 0);
  const ParameterSpec& spec = parameters->spec();
  const std::size_t n = parameters->n();
  std::vector<std::int8_t> coefficients =
      spec.secret == SecretKind::kUniformTernary
          ? ring::sample_ternary(n, random)
          : ring::sample_ternary_fixed(n, static_cast<std::size_t>(spec.hamming_weight), random);
  return SecretKey(std::move(parameters), std::move(coefficients));
}

KeyGenerator::KeyGenerator(const SecretKey& secret, const ring::Seed& seed)
    : secret_(secret), seed_(working_seed(secret, seed)) {}

KeyGenerator::~KeyGenerator() { secure_wipe(seed_.data(), seed_.size()); }

PublicKey KeyGenerator::public_key() const {
  const Parameters& parameters = secret_.parameters();
  const ring::Ring& ring = parameters.ring();
  const ring::Basis basis = parameters.q_basis(parameters.max_level());
  const std::uint64_t stream = stream_of(kPublicKeyStream, 0, 0);
  PublicKey key;
  key.parameters_id = parameters.id();
  key.seed = public_seed(seed_, stream);
  key.a = ring::sample_uniform(ring, basis, ring::Domain::kNtt, key.seed, 0);
  const SecretPoly s(secret_.on(basis));
  SecretPoly product{ring::Poly()};
  ring::mul(ring, *product, key.a, *s);
  key.b = gaussian_error(ring, basis, seed_, stream + kFirstErrorPurpose);
  ring::sub(ring, key.b, *product);
  return key;
}

// `a` is read as Montgomery form, so a times s in plain form is a s in Montgomery form; the error and the gadget are
// brought there by their factors.
SwitchingKey KeyGenerator::switching_key(int set, const ring::Poly& from, const ring::Poly& to,
                                         std::uint64_t stream) const {
  const Parameters& parameters = secret_.parameters();
  const ring::Ring& ring = parameters.ring();
  const int level = top_level(parameters, set);
  const ring::Basis basis = parameters.qp_basis(level, set);
  const std::vector<ring::Basis> digits = parameters.digits(set, level);
  SwitchingKey key;
  key.set = set;
  key.seed = public_seed(seed_, stream);
  key.b.resize(digits.size());
  key.expand(parameters);
  SecretPoly product(ring::Poly(ring.n(), basis, ring::Domain::kNtt));
  for (std::size_t d = 0; d < digits.size(); ++d) {
    ring::mul(ring, *product, key.a[d], to);
    key.b[d] = gaussian_error(ring, basis, seed_, stream + kFirstErrorPurpose + d);
    ring::mul_scalars(ring, key.b[d], montgomery_factors(ring, basis));
    ring::sub(ring, key.b[d], *product);
    add_gadget(parameters, set, digits[d], from, key.b[d]);
  }
  return key;
}

SwitchingKey KeyGenerator::relinearisation_key(int set) const {
  const Parameters& parameters = secret_.parameters();
  const SecretPoly s(secret_.on(parameters.qp_basis(top_level(parameters, set), set)));
  SecretPoly square{ring::Poly()};
  ring::mul(parameters.ring(), *square, *s, *s);
  return switching_key(set, *square, *s, stream_of(kRelinearisationStream, set, 0));
}

SwitchingKey KeyGenerator::galois_key(int set, std::uint32_t g) const {
  const Parameters& parameters = secret_.parameters();
  require(g % 2 == 1 && g > 1 && g < 2 * parameters.n(), ErrorKind::kInvalidArgument,
          "a Galois element must be odd and in [3, {}), got {}", 2 * parameters.n(), g);
  const SecretPoly s(secret_.on(parameters.qp_basis(top_level(parameters, set), set)));
  const SecretPoly permuted(ring::automorphism(parameters.ring(), *s, inverse_galois(g, parameters.n())));
  return switching_key(set, *s, *permuted, stream_of(kGaloisStream, set, g));
}

ring::Poly KeyGenerator::sparse_secret(int set) const {
  const Parameters& parameters = secret_.parameters();
  const int weight = parameters.spec().encapsulated_weight;
  require(weight > 0, ErrorKind::kInvalidArgument,
          "these parameters have no encapsulated secret, so there are no keys for bootstrapping");
  ring::RandomStream random(seed_, stream_of(kSparseSecretStream, 0, 0));
  const SecretSmall small(ring::sample_ternary_fixed(parameters.n(), static_cast<std::size_t>(weight), random));
  return small.to_ntt(parameters.ring(), parameters.qp_basis(top_level(parameters, set), set));
}

SwitchingKey KeyGenerator::to_sparse_key() const {
  const Parameters& parameters = secret_.parameters();
  const SecretPoly sparse(sparse_secret(0));
  const SecretPoly s(secret_.on(parameters.qp_basis(0, 0)));
  return switching_key(0, *s, *sparse, stream_of(kToSparseStream, 0, 0));
}

SwitchingKey KeyGenerator::from_sparse_key() const {
  const Parameters& parameters = secret_.parameters();
  const int set = parameters.key_set_count() - 1;
  const SecretPoly sparse(sparse_secret(set));
  const SecretPoly s(secret_.on(parameters.qp_basis(parameters.max_level(), set)));
  return switching_key(set, *sparse, *s, stream_of(kFromSparseStream, set, 0));
}

SwitchingKey KeyGenerator::key(const KeyName& name) const {
  switch (name.kind) {
    case KeyKind::kGalois:
      return galois_key(name.set, name.galois);
    case KeyKind::kRelinearisation:
      return relinearisation_key(name.set);
    case KeyKind::kToSparse:
      return to_sparse_key();
    case KeyKind::kFromSparse:
      return from_sparse_key();
  }
  fail(ErrorKind::kInternal, "unknown kind of key");
}

EvaluationKeys KeyGenerator::evaluation_keys(const KeyRequest& request, bool expand) const {
  EvaluationKeys keys;
  keys.parameters_id = secret_.parameters().id();
  std::mutex mutex;
  const std::vector<KeyName> names = key_names(request, secret_.parameters().key_set_count() - 1);
  parallel_for(0, names.size(), [&](std::size_t i) {
    SwitchingKey made = key(names[i]);
    if (!expand) made.a.clear();
    const std::lock_guard lock(mutex);
    keys.insert(names[i], std::move(made));
  });
  return keys;
}

}  // namespace hearth::ckks
