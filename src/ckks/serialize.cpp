#include "ckks/serialize.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ckks/parameter_check.h"

namespace hearth::ckks {
namespace {

constexpr std::uint32_t kMinParts = 2;
constexpr std::uint32_t kMaxParts = 3;

void write_bit_sizes(ByteWriter& out, const std::vector<int>& bits) {
  out.u32(static_cast<std::uint32_t>(bits.size()));
  for (const int size : bits) out.u8(static_cast<std::uint8_t>(size));
}

std::vector<int> read_bit_sizes(ByteReader& in) {
  std::vector<int> bits(in.read_count(kMaxPrimes, "primes"));
  for (int& size : bits) size = in.u8();
  return bits;
}

template <typename Enum>
Enum read_enum(ByteReader& in, Enum last, const char* name) {
  const std::uint8_t value = in.u8();
  require(value <= static_cast<std::uint8_t>(last), ErrorKind::kCorrupt, "{} has {} {}, expected 0 to {}", in.what(),
          name, value, static_cast<int>(last));
  return static_cast<Enum>(value);
}

void write_poly(ByteWriter& out, const ring::Poly& poly) {
  require(poly.domain() == ring::Domain::kNtt, ErrorKind::kInternal, "only polynomials in NTT domain are written");
  for (std::size_t i = 0; i < poly.limbs(); ++i) out.span(std::span<const std::uint32_t>(poly.limb(i), poly.size()));
}

ring::Poly read_poly(ByteReader& in, const ring::Ring& ring, const ring::Basis& basis) {
  const auto limb_bytes = ring.n() * sizeof(std::uint32_t);
  require(in.remaining() / limb_bytes >= basis.size(), ErrorKind::kCorrupt,
          "{} is cut short: a polynomial needs {} limbs of {} bytes at offset {}, {} bytes are left", in.what(),
          basis.size(), limb_bytes, in.offset(), in.remaining());
  ring::Poly out(ring.n(), basis, ring::Domain::kNtt);
  for (std::size_t i = 0; i < out.limbs(); ++i) {
    const std::uint32_t q = ring.modulus(basis[i]).q;
    const std::span<std::uint32_t> limb(out.limb(i), out.size());
    in.read_into(limb);
    std::uint32_t largest = 0;
    for (const std::uint32_t x : limb) largest = std::max(largest, x);
    require(largest < q, ErrorKind::kCorrupt, "{} holds the residue {} where less than {} is expected", in.what(),
            largest, q);
  }
  return out;
}

void write_seed(ByteWriter& out, const ring::Seed& seed) { out.span(std::span<const std::uint8_t>(seed)); }

ring::Seed read_seed(ByteReader& in) {
  ring::Seed seed{};
  in.read_into(std::span<std::uint8_t>(seed));
  return seed;
}

void read_fingerprint(ByteReader& in, const Parameters& parameters) {
  const std::uint64_t id = in.u64();
  require(
      id == parameters.id(), ErrorKind::kMismatch,
      "{} was made with other parameters (fingerprint {:016x}, expected {:016x}); use the keys and files of one client "
      "bundle together",
      in.what(), id, parameters.id());
}

int read_level(ByteReader& in, const Parameters& parameters) { return in.i32_in(0, parameters.max_level(), "level"); }

double read_scale(ByteReader& in) {
  const double scale = in.finite();
  require(scale > 0, ErrorKind::kCorrupt, "{} has the scale {}, expected a positive one", in.what(), scale);
  return scale;
}

}  // namespace

void write(ByteWriter& out, const ParameterSpec& spec) {
  check_spec(spec);
  out.u32(static_cast<std::uint32_t>(spec.log_n));
  out.u8(static_cast<std::uint8_t>(spec.secret));
  out.u8(static_cast<std::uint8_t>(spec.security));
  out.u32(static_cast<std::uint32_t>(spec.hamming_weight));
  out.u32(static_cast<std::uint32_t>(spec.encapsulated_weight));
  out.u32(static_cast<std::uint32_t>(spec.levels.size()));
  for (const std::vector<int>& level : spec.levels) write_bit_sizes(out, level);
  write_bit_sizes(out, spec.special_bits);
  out.u32(static_cast<std::uint32_t>(spec.key_sets.size()));
  for (const KeySetSpec& set : spec.key_sets) {
    out.i32(set.max_level);
    out.i32(set.digit_primes);
    out.i32(set.special_primes);
  }
}

ParameterSpec read_parameter_spec(ByteReader& in) {
  ParameterSpec spec;
  spec.log_n = in.i32_in(0, 17, "log2 of the ring degree");
  spec.secret = read_enum(in, SecretKind::kSparseTernary, "kind of secret");
  spec.security = read_enum(in, Security::kNone, "security");
  spec.hamming_weight = in.i32_in(0, 1 << 17, "Hamming weight");
  spec.encapsulated_weight = in.i32_in(0, 1 << 17, "Hamming weight of the encapsulated secret");
  spec.levels.resize(in.read_count(kMaxPrimes, "levels", sizeof(std::uint32_t)));
  for (std::vector<int>& level : spec.levels) level = read_bit_sizes(in);
  spec.special_bits = read_bit_sizes(in);
  spec.key_sets.resize(in.read_count(kMaxPrimes, "key sets", 3 * sizeof(std::int32_t)));
  for (KeySetSpec& set : spec.key_sets) {
    set.max_level = in.i32();
    set.digit_primes = in.i32();
    set.special_primes = in.i32();
  }
  try {
    check_spec(spec);
  } catch (const Error& error) {
    fail(ErrorKind::kCorrupt, "{} holds impossible parameters: {}", in.what(), error.what());
  }
  return spec;
}

void write(ByteWriter& out, const Ciphertext& c) {
  require(c.parts.size() >= kMinParts && c.parts.size() <= kMaxParts, ErrorKind::kInternal,
          "a ciphertext to write has 2 or 3 parts, got {}", c.parts.size());
  out.u64(c.parameters_id);
  out.i32(c.level);
  out.f64(c.scale);
  out.u32(static_cast<std::uint32_t>(c.parts.size()));
  for (const ring::Poly& part : c.parts) write_poly(out, part);
}

Ciphertext read_ciphertext(ByteReader& in, const Parameters& parameters) {
  read_fingerprint(in, parameters);
  Ciphertext out;
  out.parameters_id = parameters.id();
  out.level = read_level(in, parameters);
  out.scale = read_scale(in);
  const std::uint32_t parts = in.u32_in(kMinParts, kMaxParts, "parts");
  for (std::uint32_t i = 0; i < parts; ++i) {
    out.parts.push_back(read_poly(in, parameters.ring(), parameters.q_basis(out.level)));
  }
  return out;
}

void write(ByteWriter& out, const SeededCiphertext& c) {
  out.u64(c.parameters_id);
  out.i32(c.level);
  out.f64(c.scale);
  write_seed(out, c.seed);
  write_poly(out, c.c0);
}

SeededCiphertext read_seeded_ciphertext(ByteReader& in, const Parameters& parameters) {
  read_fingerprint(in, parameters);
  SeededCiphertext out;
  out.parameters_id = parameters.id();
  out.level = read_level(in, parameters);
  out.scale = read_scale(in);
  out.seed = read_seed(in);
  out.c0 = read_poly(in, parameters.ring(), parameters.q_basis(out.level));
  return out;
}

void write(ByteWriter& out, const PublicKey& key, const Parameters& parameters) {
  require(key.parameters_id == parameters.id(), ErrorKind::kMismatch, "the public key was made with other parameters");
  out.u64(key.parameters_id);
  write_seed(out, key.seed);
  write_poly(out, key.b);
}

PublicKey read_public_key(ByteReader& in, const Parameters& parameters) {
  read_fingerprint(in, parameters);
  PublicKey out;
  out.parameters_id = parameters.id();
  out.seed = read_seed(in);
  const ring::Basis basis = parameters.q_basis(parameters.max_level());
  out.b = read_poly(in, parameters.ring(), basis);
  out.a = ring::sample_uniform(parameters.ring(), basis, ring::Domain::kNtt, out.seed, 0);
  return out;
}

void write(ByteWriter& out, const SwitchingKey& key) {
  require(!key.b.empty(), ErrorKind::kInternal, "a switching key to write has no digits");
  out.u32(static_cast<std::uint32_t>(key.set));
  out.u32(static_cast<std::uint32_t>(key.b.size()));
  out.u32(static_cast<std::uint32_t>(key.b[0].limbs()));
  out.u32(static_cast<std::uint32_t>(key.b[0].size()));
  write_seed(out, key.seed);
  for (const ring::Poly& b : key.b) write_poly(out, b);
}

SwitchingKey read_switching_key(ByteReader& in, const Parameters& parameters, bool expand) {
  SwitchingKey out;
  const std::uint32_t set = in.u32(), digits = in.u32(), primes = in.u32(), n = in.u32();
  require(set < static_cast<std::uint32_t>(parameters.key_set_count()), ErrorKind::kMismatch,
          "{} is for key set {}, but the parameters have {}", in.what(), set, parameters.key_set_count());
  out.set = static_cast<int>(set);
  const int level = parameters.spec().key_sets[set].max_level;
  const ring::Basis basis = parameters.qp_basis(level, out.set);
  const std::size_t expected = parameters.digits(out.set, level).size();
  require(digits == expected && primes == basis.size() && n == parameters.n(), ErrorKind::kMismatch,
          "{} has {} digits of {} primes and n = {}; key set {} of these parameters has {} of {} and n = {}", in.what(),
          digits, primes, n, set, expected, basis.size(), parameters.n());
  out.seed = read_seed(in);
  for (std::size_t d = 0; d < expected; ++d) out.b.push_back(read_poly(in, parameters.ring(), basis));
  if (expand) out.expand(parameters);
  return out;
}

}  // namespace hearth::ckks
