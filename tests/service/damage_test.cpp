#include <gtest/gtest.h>

#include <random>

#include "tests/base/expect_error.h"
#include "tests/service/party.h"

// Every file that crosses between client and server, damaged in every way: always an Error, never a crash.
namespace hearth::service {
namespace {

using Bytes = std::vector<std::byte>;
using testing::Party;

class Damage : public ::testing::Test {
 protected:
  Party party_;
  ckks::ParametersPtr parameters_ = ckks::Parameters::create(testing::tiny_spec());

  Bytes bytes(const char* name) const { return read_file(party_.path(name), 1 << 24); }

  template <typename Read>
  void expect_hardened(const Bytes& good, int flips, Read&& read) {
    read(good);
    for (std::size_t cut = 0; cut < 200; ++cut) {
      const std::size_t size = good.size() * cut / 200;
      const Bytes bad(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_THROW(read(bad), Error) << "cut to " << size;
    }
    std::mt19937 random(7);
    for (int i = 0; i < flips; ++i) {
      Bytes bad = good;
      const std::size_t at = random() % bad.size();
      bad[at] ^= static_cast<std::byte>(1 << random() % 8);
      EXPECT_THROW(read(bad), Error) << "byte " << at;
    }
    Bytes longer = good;
    longer.push_back(std::byte{0});
    EXPECT_THROW(read(longer), Error);
  }

  /// Changes bytes behind right checksums: must be read safely or refused.
  template <typename Read>
  int count_refused(const Bytes& good, int attempts, Read&& read) {
    std::mt19937 random(11);
    int refused = 0;
    for (int i = 0; i < attempts; ++i) {
      const ContainerReader in(good);
      ContainerWriter out(in.kind());
      const std::size_t victim = random() % in.sections().size();
      for (std::size_t s = 0; s < in.sections().size(); ++s) {
        const auto data = in.read_section(in.sections()[s]);
        Bytes section(data.span().begin(), data.span().end());
        if (s == victim) section[random() % section.size()] ^= static_cast<std::byte>(1 << random() % 8);
        out.add_section(in.sections()[s].tag, section);
      }
      const Bytes bad = out.finish();
      try {
        read(bad);
      } catch (const Error&) {
        ++refused;
      }
    }
    return refused;
  }

  void read_keys(const Bytes& bytes) const {
    EvaluationKeyFile(bytes).load(*parameters_, testing::tiny_program().keys);
  }
  void read_ciphertext(const Bytes& bytes) const {
    const CiphertextFile file(bytes);
    for (std::uint32_t i = 0; i < file.head().tensors; ++i) file.read(*parameters_, i);
  }
};

TEST_F(Damage, EvaluationKeys) {
  const auto read = [&](const Bytes& b) { read_keys(b); };
  expect_hardened(bytes("keys"), 300, read);
  EXPECT_GT(count_refused(bytes("keys"), 300, read), 30);
}

TEST_F(Damage, EncryptedInputs) {
  const auto read = [&](const Bytes& b) { read_ciphertext(b); };
  expect_hardened(bytes("input"), 300, read);
  EXPECT_GT(count_refused(bytes("input"), 300, read), 30);
}

TEST_F(Damage, EncryptedOutputs) {
  party_.run();
  const auto read = [&](const Bytes& b) { read_ciphertext(b); };
  expect_hardened(bytes("output"), 300, read);
  EXPECT_GT(count_refused(bytes("output"), 300, read), 30);
}

TEST_F(Damage, SecretKeys) {
  const auto read = [&](const Bytes& b) { read_secret_key(b); };
  expect_hardened(bytes("secret"), 300, read);
  EXPECT_GT(count_refused(bytes("secret"), 300, read), 30);
}

TEST_F(Damage, OfTheInputLeavesNoOutput) {
  Bytes bad = bytes("input");
  bad[bad.size() / 2] ^= std::byte{1};
  write_file_atomic(party_.path("input"), bad);
  const std::size_t before = party_.entries();
  expect_error(ErrorKind::kCorrupt, "damaged", [&] { party_.run(); });
  EXPECT_EQ(party_.entries(), before);
}

TEST_F(Damage, ForeignFilesAreNamed) {
  write_file_atomic(party_.path("foreign"), std::string_view("\x93NUMPY and then something else, long enough for a "
                                                             "header of the container format"));
  expect_error(ErrorKind::kCorrupt, "not a Hearth file", [&] { party_.server().load_keys(party_.path("foreign")); });
  expect_error(ErrorKind::kCorrupt, "not a Hearth file", [&] { party_.client().load_secret(party_.path("foreign")); });
}

}  // namespace
}  // namespace hearth::service
