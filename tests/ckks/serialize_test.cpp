#include "ckks/serialize.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "tests/ckks/samples.h"

namespace hearth::ckks {
namespace {

using testing::kSampleSeed;
using testing::mixed_spec;
using testing::sample_ciphertext;
using testing::sample_parameters;
using testing::sample_secret;
using testing::sample_seeded_ciphertext;
using Bytes = std::vector<std::byte>;

template <typename... Arguments>
Bytes bytes_of(const Arguments&... arguments) {
  ByteWriter out;
  write(out, arguments...);
  return out.take();
}

std::vector<std::uint32_t> words(const ring::Poly& a) {
  if (a.empty()) return {};
  return {a.limb(0), a.limb(0) + a.size() * a.limbs()};
}

std::vector<std::vector<std::uint32_t>> words(const std::vector<ring::Poly>& polys) {
  std::vector<std::vector<std::uint32_t>> out;
  for (const ring::Poly& poly : polys) out.push_back(words(poly));
  return out;
}

/// A kind of object: its bytes, and a reader that gives the bytes of what it read.
struct Format {
  const char* name;
  Bytes bytes;
  std::function<Bytes(ByteReader&, const Parameters&)> rewrite;
};

std::vector<Format> formats() {
  const ParametersPtr p = sample_parameters();
  const SecretKey secret = sample_secret(p);
  const KeyGenerator generator(secret, kSampleSeed);
  return {
      {"ckks_parameters", bytes_of(p->spec()),
       [](ByteReader& in, const Parameters&) { return bytes_of(read_parameter_spec(in)); }},
      {"ckks_ciphertext", bytes_of(sample_ciphertext(*p)),
       [](ByteReader& in, const Parameters& q) { return bytes_of(read_ciphertext(in, q)); }},
      {"ckks_seeded_ciphertext", bytes_of(sample_seeded_ciphertext(*p)),
       [](ByteReader& in, const Parameters& q) { return bytes_of(read_seeded_ciphertext(in, q)); }},
      {"ckks_public_key", bytes_of(generator.public_key(), *p),
       [](ByteReader& in, const Parameters& q) { return bytes_of(read_public_key(in, q), q); }},
      {"ckks_switching_key", bytes_of(generator.galois_key(1, 5)),
       [](ByteReader& in, const Parameters& q) { return bytes_of(read_switching_key(in, q, false)); }},
  };
}

/// The kind of the error that reading `bytes` gives, or nothing when it is accepted.
std::optional<ErrorKind> error_of(const Format& format, const Bytes& bytes, const Parameters& p) {
  try {
    ByteReader in(bytes, format.name);
    format.rewrite(in, p);
    return std::nullopt;
  } catch (const Error& error) {
    return error.kind();
  }
}

bool is_refusal_of_bytes(ErrorKind kind) { return kind == ErrorKind::kCorrupt || kind == ErrorKind::kMismatch; }

TEST(Serialize, RoundTripsAreExact) {
  const ParametersPtr p = sample_parameters();
  for (const Format& format : formats()) {
    ByteReader in(format.bytes, format.name);
    EXPECT_EQ(format.rewrite(in, *p), format.bytes) << format.name;
    EXPECT_EQ(in.remaining(), 0u) << format.name;
  }
}

TEST(Serialize, ObjectsKeepTheirFields) {
  const ParametersPtr p = sample_parameters();
  const Ciphertext c = sample_ciphertext(*p, 3, 3);
  const Bytes c_bytes = bytes_of(c);
  ByteReader in(c_bytes);
  const Ciphertext d = read_ciphertext(in, *p);
  EXPECT_EQ(d.level, 3);
  EXPECT_EQ(d.scale, c.scale);
  EXPECT_EQ(d.parameters_id, p->id());
  EXPECT_EQ(words(d.parts), words(c.parts));
  EXPECT_EQ(d.parts[2].basis(), p->q_basis(3));
  EXPECT_EQ(d.parts[2].domain(), ring::Domain::kNtt);

  const SecretKey secret = sample_secret(p);
  const KeyGenerator generator(secret, kSampleSeed);
  const SwitchingKey key = generator.relinearisation_key(0);
  const Bytes key_bytes = bytes_of(key);
  ByteReader key_in(key_bytes), bare_in(key_bytes);
  const SwitchingKey read = read_switching_key(key_in, *p), bare = read_switching_key(bare_in, *p, false);
  EXPECT_EQ(read.set, 0);
  EXPECT_EQ(words(read.a), words(key.a));
  EXPECT_EQ(words(read.b), words(key.b));
  EXPECT_TRUE(bare.a.empty());

  const PublicKey public_key = generator.public_key();
  const Bytes public_bytes = bytes_of(public_key, *p);
  ByteReader public_in(public_bytes);
  EXPECT_EQ(words(read_public_key(public_in, *p).a), words(public_key.a));
}

TEST(Serialize, EveryTruncationIsCorrupt) {
  const ParametersPtr p = sample_parameters();
  for (const Format& format : formats()) {
    for (std::size_t size = 0; size < format.bytes.size(); ++size) {
      const Bytes cut(format.bytes.begin(), format.bytes.begin() + static_cast<std::ptrdiff_t>(size));
      ASSERT_EQ(error_of(format, cut, *p), ErrorKind::kCorrupt) << format.name << " cut to " << size << " bytes";
    }
  }
}

// A flipped bit either breaks a rule or gives another valid object, whose bytes are then exactly those that were read.
TEST(Serialize, EveryFlippedBitIsRefusedOrRead) {
  const ParametersPtr p = sample_parameters();
  for (const Format& format : formats()) {
    for (std::size_t bit = 0; bit < 8 * format.bytes.size(); ++bit) {
      Bytes damaged = format.bytes;
      damaged[bit / 8] ^= std::byte{static_cast<unsigned char>(1 << bit % 8)};
      try {
        ByteReader in(damaged, format.name);
        const Bytes again = format.rewrite(in, *p);
        damaged.resize(in.offset());
        ASSERT_EQ(again, damaged) << format.name << " bit " << bit;
      } catch (const Error& error) {
        ASSERT_TRUE(is_refusal_of_bytes(error.kind())) << format.name << " bit " << bit << ": " << error.what();
      }
    }
  }
}

RC_GTEST_PROP(SerializeProperty, ForeignBytesAreRefusedOrRead, (const std::vector<std::uint8_t>& noise)) {
  static const ParametersPtr p = sample_parameters();
  static const std::vector<Format> all = formats();
  const Format& format = all[*rc::gen::inRange<std::size_t>(0, all.size())];
  Bytes bytes = format.bytes;  // noise over a whole object gets past the first checks
  const std::size_t start = *rc::gen::inRange<std::size_t>(0, bytes.size());
  for (std::size_t i = 0; i < noise.size() && start + i < bytes.size(); ++i) bytes[start + i] = std::byte{noise[i]};
  const std::optional<ErrorKind> kind = error_of(format, bytes, *p);
  const bool fine = !kind || is_refusal_of_bytes(*kind);  // RC_ASSERT would evaluate both sides
  RC_ASSERT(fine);
}

TEST(Serialize, ResiduesNotBelowTheirPrimeAreRefused) {
  const ParametersPtr p = sample_parameters();
  for (const Format& format : formats()) {
    if (std::string(format.name) == "ckks_parameters") continue;
    // The last four bytes are a residue modulo the last prime of the object, of at most 30 bits.
    const std::size_t last = format.bytes.size() - 4;
    for (const std::uint32_t value : {0x3fffffffu, 0x40000000u, 0xffffffffu}) {
      Bytes damaged = format.bytes;
      std::memcpy(damaged.data() + last, &value, 4);
      EXPECT_EQ(error_of(format, damaged, *p), ErrorKind::kCorrupt) << format.name;
    }
  }
  Ciphertext c = sample_ciphertext(*p, 0);
  const std::uint32_t q = p->ring().modulus(1).q;
  c.parts[1].limb(1)[15] = q - 1;
  Bytes bytes = bytes_of(c);
  ByteReader below(bytes);
  EXPECT_NO_THROW(read_ciphertext(below, *p));
  c.parts[1].limb(1)[15] = q;
  bytes = bytes_of(c);
  ByteReader at(bytes);
  EXPECT_THROW(read_ciphertext(at, *p), Error);
}

TEST(Serialize, ObjectsOfOtherParametersAreAMismatch) {
  ParameterSpec spec = mixed_spec(4);
  spec.levels[1] = {27};  // the same sizes of everything
  const ParametersPtr same_shape = Parameters::create(spec), other_shape = Parameters::create(mixed_spec(5));
  for (const Format& format : formats()) {
    if (std::string(format.name) == "ckks_parameters") continue;
    EXPECT_EQ(error_of(format, format.bytes, *other_shape), ErrorKind::kMismatch) << format.name;
    if (std::string(format.name) == "ckks_switching_key") continue;  // has no fingerprint of its own
    EXPECT_EQ(error_of(format, format.bytes, *same_shape), ErrorKind::kMismatch) << format.name;
  }
}

TEST(Serialize, ImpossibleHeadersAreRefused) {
  const ParametersPtr p = sample_parameters();
  const auto kind_of = [&](auto&& change) {
    Bytes bytes = bytes_of(sample_ciphertext(*p));
    change(bytes);
    ByteReader in(bytes);
    try {
      read_ciphertext(in, *p);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kInternal;
  };
  const auto put = [](std::size_t at, auto value) {
    return [at, value](Bytes& bytes) { std::memcpy(bytes.data() + at, &value, sizeof value); };
  };
  for (const int level : {-1, 5, 1 << 30}) EXPECT_EQ(kind_of(put(8, level)), ErrorKind::kCorrupt) << level;
  for (const double scale : {0.0, -1.0, HUGE_VAL, std::nan("")}) {
    EXPECT_EQ(kind_of(put(12, scale)), ErrorKind::kCorrupt) << scale;
  }
  for (const std::uint32_t parts : {0u, 1u, 4u, 0xffffffffu}) {
    EXPECT_EQ(kind_of(put(20, parts)), ErrorKind::kCorrupt) << parts;
  }
}

TEST(Serialize, SpecsSurviveAndImpossibleOnesDoNot) {
  ParameterSpec spec = mixed_spec(9);
  spec.secret = SecretKind::kSparseTernary;
  spec.hamming_weight = 64;
  const Bytes bytes = bytes_of(spec);
  ByteReader in(bytes);
  EXPECT_EQ(Parameters::create(read_parameter_spec(in))->id(), Parameters::create(spec)->id());
  spec.levels[0] = {60};
  EXPECT_THROW(bytes_of(spec), Error);
}

// The bytes of format_ckks.md do not change by accident. After a wanted change (and a new format version), run the test
// with HEARTH_UPDATE_GOLDEN=1 to write them anew.
TEST(Serialize, BytesAreThoseOfTheGoldenFiles) {
  for (const Format& format : formats()) {
    const std::filesystem::path folder = std::filesystem::path("tests/corpus") / format.name;
    if (std::getenv("HEARTH_UPDATE_GOLDEN") != nullptr) {
      std::filesystem::create_directories(folder);
      write_file_atomic(folder / "golden", format.bytes);
    }
    EXPECT_EQ(read_file(folder / "golden", 1 << 20), format.bytes) << format.name;
  }
}

}  // namespace
}  // namespace hearth::ckks
