#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <set>

#include "base/parallel.h"
#include "ckks/secret/encryption.h"
#include "service/wire/input_batch.h"
#include "tests/base/expect_error.h"
#include "tests/service/party.h"

// Client and server over files, with a network small enough to check by hand.
namespace hearth::service {
namespace {

using testing::Party;
using testing::TinyNetwork;

constexpr double kTolerance = 1e-4;  // noise 3.2 sqrt(n) at scale 2^26 with n = 1024, times the network's slope

TEST(Chain, DecryptsToWhatTheNetworkComputes) {
  const Party party;
  party.run();
  const Client client = party.client();
  const NpyArray out = client.decrypt_file(client.load_secret(party.path("secret")), party.path("output"));
  ASSERT_EQ(out.shape, (std::vector<std::int64_t>{3, testing::kTinySize}));
  for (std::size_t i = 0; i < 3; ++i) {
    const std::vector<double> expected = TinyNetwork{}(Party::input(i));
    for (std::size_t k = 0; k < expected.size(); ++k) {
      EXPECT_NEAR(out.values[i * testing::kTinySize + k], expected[k], kTolerance) << i << " " << k;
    }
  }
}

TEST(Chain, RunsReportEveryInputAndStage) {
  const Party party;
  const Server server = party.server();
  std::vector<runtime::RunReport> reports;
  double last = 0;
  std::set<std::string> layers;
  server.run(server.load_keys(party.path("keys")), party.path("input"), party.path("output"), &reports,
             [&](double done, double total, const std::string& layer) {
               EXPECT_GE(done, last);
               EXPECT_LE(done, total);
               last = done;
               layers.insert(layer);
             });
  EXPECT_EQ(reports.size(), 3U);
  EXPECT_EQ(last, 3);
  EXPECT_EQ(layers, (std::set<std::string>{"x", "mix", "square"}));
  EXPECT_GE(reports[0].stages.size(), 2U);
}

TEST(Chain, ResultsDoNotDependOnThreads) {
  const Party party;
  const int before = threads();
  const auto output_with = [&](int count) {
    set_threads(count);
    party.run();
    return read_file(party.path("output"), 1 << 24);
  };
  const auto one = output_with(1);
  const auto four = output_with(4);
  set_threads(before);
  EXPECT_EQ(one, four);
}

TEST(Client, SecretKeyFilesAreForTheirOwnerOnly) {
  const Party party;
  struct stat status {};
  ASSERT_EQ(stat(party.path("secret").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST(Client, RefusesToReplaceASecretKeyUnlessTold) {
  const Party party;
  const Client client = party.client();
  const auto before = read_file(party.path("secret"), 1 << 20);
  expect_error(ErrorKind::kInvalidArgument, "--force",
               [&] { client.make_keys(party.path("secret"), party.path("keys2")); });
  EXPECT_EQ(read_file(party.path("secret"), 1 << 20), before);
  EXPECT_FALSE(std::filesystem::exists(party.path("keys2")));
  client.make_keys(party.path("secret"), party.path("keys2"), /*overwrite=*/true);
  EXPECT_NE(read_file(party.path("secret"), 1 << 20), before);
}

TEST(Client, KeepsTheOldSecretKeyWhenTheNewKeysCannotAppear) {
  const Party party;
  const auto before = read_file(party.path("secret"), 1 << 20);
  const std::size_t entries = party.entries();
  // A folder takes the evaluation keys' place while they are made.
  const auto obstruct = [&](double, double) { std::filesystem::create_directory(party.path("keys2")); };
  expect_error(ErrorKind::kInvalidArgument, "keys2",
               [&] { party.client().make_keys(party.path("secret"), party.path("keys2"), true, obstruct); });
  EXPECT_EQ(read_file(party.path("secret"), 1 << 20), before);
  EXPECT_EQ(party.entries(), entries + 1);
}

TEST(Client, NothingElseTakesASecretKeysPlace) {
  const Party party;
  const Client client = party.client();
  const auto before = read_file(party.path("secret"), 1 << 20);
  const auto refused = [&](const std::function<void()>& action) {
    expect_error(ErrorKind::kInvalidArgument, "is a secret key and will not be replaced", action);
    EXPECT_EQ(read_file(party.path("secret"), 1 << 20), before);
  };
  const Server server = party.server();
  refused([&] { server.run(server.load_keys(party.path("keys")), party.path("input"), party.path("secret")); });
  refused([&] { client.make_keys(party.path("other"), party.path("secret")); });
  refused([&] {
    client.encrypt_file(client.load_secret(party.path("secret")), Party::inputs(), "inputs", 0, 1,
                        party.path("secret"));
  });
  refused([&] { write_npy(party.path("secret"), std::vector<std::int64_t>{1}, std::vector<float>{1}); });
  refused([&] { write_file_atomic(party.path("secret"), "text"); });
}

TEST(Client, SecretKeysSurviveTheirFile) {
  const Party party;
  const ClientSecret secret = read_secret_key(party.path("secret"));
  write_secret_key(party.path("copy"), secret);
  EXPECT_EQ(read_file(party.path("copy"), 1 << 20), read_file(party.path("secret"), 1 << 20));
  EXPECT_EQ(read_secret_key(party.path("copy")).key.coefficients(), secret.key.coefficients());
  int seen[3] = {};
  for (const std::int8_t c : secret.key.coefficients()) ++seen[c + 1];
  for (const int count : seen) EXPECT_GT(count, 200);  // of 1024, a third each
}

TEST(Client, RefusesInsecureBundlesUnlessTold) {
  const Party party;
  expect_error(ErrorKind::kSecurity, "128 bits", [&] { Client client(party.path("client")); });
}

TEST(Client, ChecksInputs) {
  const Party party;
  const Client client = party.client();
  const ClientSecret secret = client.load_secret(party.path("secret"));
  const auto encrypt = [&](const NpyArray& array, std::size_t first, std::size_t count) {
    return client.encrypt_file(secret, array, "in.npy", first, count, party.path("never"));
  };
  NpyArray wrong = Party::inputs();
  wrong.shape = {3, 4, 2};
  expect_error(ErrorKind::kMismatch, "[3, 4, 2], but the model's input has shape [1, 2, 4]",
               [&] { encrypt(wrong, 0, 1); });
  expect_error(ErrorKind::kInvalidArgument, "3 inputs", [&] { encrypt(Party::inputs(), 2, 2); });
  expect_error(ErrorKind::kInvalidArgument, "3 inputs", [&] { encrypt(Party::inputs(), 0, 0); });
  NpyArray infinite = Party::inputs();
  infinite.values[9] = std::numeric_limits<float>::quiet_NaN();
  expect_error(ErrorKind::kInvalidArgument, "input 1 of in.npy holds nan at position 1",
               [&] { encrypt(infinite, 0, 3); });
  NpyArray raw = Party::inputs();
  raw.values[20] = 255;
  expect_error(ErrorKind::kInvalidArgument, "reaches 255", [&] { encrypt(raw, 0, 3); });
  EXPECT_FALSE(std::filesystem::exists(party.path("never")));
  NpyArray large = Party::inputs();
  large.values[20] = 2;
  const EncryptReport report = encrypt(large, 1, 2);
  EXPECT_EQ(report.warnings.size(), 1U);
  EXPECT_EQ(report.largest, 2);
  expect_error(ErrorKind::kInvalidArgument, "expects 8", [&] { client.encrypt(secret, std::vector<float>(7)); });
}

TEST(Client, NormalisesAsTheBundleSays) {
  const Party party;
  compiler::ClientBundle bundle = testing::tiny_client(testing::tiny_server());
  bundle.normalisation = {.divisor = 255, .mean = {0.5, 0.25}, .deviation = {0.5}};
  compiler::write_bundle(party.path("client"), bundle);
  const Client client = party.client();
  const ClientSecret secret = client.load_secret(party.path("secret"));
  NpyArray raw{.shape = {2, 4}, .values = {0, 255, 128, 64, 0, 32, 200, 100}};
  client.encrypt_file(secret, raw, "raw", 0, 1, party.path("input"));
  party.run();
  std::vector<float> x;
  for (std::size_t i = 0; i < 8; ++i) x.push_back((raw.values[i] / 255 - (i < 4 ? 0.5F : 0.25F)) / 0.5F);
  const std::vector<double> expected = TinyNetwork{}(x);
  const NpyArray out = client.decrypt_file(secret, party.path("output"));
  for (std::size_t k = 0; k < expected.size(); ++k) EXPECT_NEAR(out.values[k], expected[k], kTolerance) << k;
}

// Slot vectors of period 8 repeat 64 times in 512 slots; their mean must be more precise than one repetition.
TEST(Client, AveragesRepetitions) {
  const Party party;
  party.run();
  const Client client = party.client();
  const ClientSecret secret = client.load_secret(party.path("secret"));
  const CiphertextFile file(party.path("output"));
  const ckks::Encoder encoder(secret.key.parameters_ptr());
  double one = 0, mean = 0;
  for (std::uint32_t i = 0; i < 3; ++i) {
    const auto c = file.read(client.parameters(), i);
    const std::vector<double> expected = TinyNetwork{}(Party::input(i));
    const std::vector<float> averaged = client.decrypt(secret, c);
    const auto slots = ckks::decrypt_slots(secret.key, encoder, c.front());
    for (std::size_t k = 0; k < expected.size(); ++k) {
      one += std::pow(slots[k].real() - expected[k], 2);
      mean += std::pow(averaged[k] - expected[k], 2);
    }
  }
  EXPECT_LT(mean, 0.5 * one);
}

class OtherKeys : public ::testing::Test {
 protected:
  Party party_;
  void SetUp() override { party_.client().make_keys(party_.path("secret2"), party_.path("keys2")); }
};

TEST_F(OtherKeys, OfTheSameModelAreRefusedByName) {
  const Server server = party_.server();
  expect_error(ErrorKind::kMismatch, "secret key", [&] {
    server.run(server.load_keys(party_.path("keys2")), party_.path("input"), party_.path("output"));
  });
  EXPECT_FALSE(std::filesystem::exists(party_.path("output")));
  party_.run();
  const Client client = party_.client();
  expect_error(ErrorKind::kMismatch, "the secret key given",
               [&] { client.decrypt_file(client.load_secret(party_.path("secret2")), party_.path("output")); });
}

TEST(OtherModel, IsRefusedByName) {
  const Party ours;
  TinyNetwork network;
  network.a[0] = 2;
  const Party theirs(network);
  const Server server = ours.server();
  expect_error(ErrorKind::kMismatch, "use files made from one compilation",
               [&] { server.load_keys(theirs.path("keys")); });
  expect_error(ErrorKind::kMismatch, theirs.path("input").string(),
               [&] { server.run(server.load_keys(ours.path("keys")), theirs.path("input"), ours.path("output")); });
  theirs.run();
  const Client client = ours.client();
  expect_error(ErrorKind::kMismatch, "model", [&] { client.load_secret(theirs.path("secret")); });
  expect_error(ErrorKind::kMismatch, "model",
               [&] { client.decrypt_file(client.load_secret(ours.path("secret")), theirs.path("output")); });
}

TEST(SwappedFiles, AreRefusedByName) {
  const Party party;
  party.run();
  const Server server = party.server();
  const ClientKeys keys = server.load_keys(party.path("keys"));
  const auto run_on = [&](const char* name) { server.run(keys, party.path(name), party.path("never")); };
  expect_error(ErrorKind::kMismatch, "encrypted output, expected an encrypted input", [&] { run_on("output"); });
  expect_error(ErrorKind::kMismatch, "evaluation keys, expected", [&] { run_on("keys"); });
  expect_error(ErrorKind::kSecurity, "SECRET KEY", [&] { run_on("secret"); });
  expect_error(ErrorKind::kSecurity, "SECRET KEY", [&] { server.load_keys(party.path("secret")); });
  expect_error(ErrorKind::kMismatch, "ciphertext", [&] { server.load_keys(party.path("input")); });
  expect_error(ErrorKind::kMismatch, "secret key", [&] { Server wrong(party.path("secret")); });
  expect_error(ErrorKind::kMismatch, "client bundle", [&] { Server wrong(party.path("client")); });
  expect_error(ErrorKind::kIo, "nowhere", [&] { Server wrong(party.path("nowhere")); });
  const Client client = party.client();
  expect_error(ErrorKind::kMismatch, "evaluation keys", [&] { client.load_secret(party.path("keys")); });
  expect_error(ErrorKind::kMismatch, "encrypted input, expected an encrypted output",
               [&] { client.decrypt_file(client.load_secret(party.path("secret")), party.path("input")); });
  EXPECT_FALSE(std::filesystem::exists(party.path("never")));
}

TEST(EvaluationKeys, ThatLackOneAreRefusedByName) {
  const Party party;
  const ClientSecret secret = read_secret_key(party.path("secret"));
  const EvaluationKeyFile file(party.path("keys"));
  ckks::KeyRequest more = testing::tiny_program().keys;
  more.galois.emplace_back(0, 2 * 1024 - 1);
  expect_error(ErrorKind::kMismatch, "lacks the Galois key 2047 of set 0",
               [&] { file.load(secret.key.parameters(), more); });
  ckks::KeyRequest fewer = testing::tiny_program().keys;
  fewer.galois.clear();
  const ckks::EvaluationKeys keys = file.load(secret.key.parameters(), fewer);
  EXPECT_TRUE(keys.galois.empty());
  EXPECT_EQ(keys.relinearisation.size(), 1U);
}

TEST(EvaluationKeys, FilesHoldOnlyTheUnseededHalf) {
  const Party party;
  const auto size = std::filesystem::file_size(party.path("keys"));
  const ClientSecret secret = read_secret_key(party.path("secret"));
  auto keys = EvaluationKeyFile(party.path("keys")).load(secret.key.parameters(), testing::tiny_program().keys);
  for (auto& [set, key] : keys.relinearisation) key.expand(secret.key.parameters());
  for (auto& [id, key] : keys.galois) key.expand(secret.key.parameters());
  EXPECT_LT(static_cast<double>(size), 0.6 * static_cast<double>(keys.bytes()));
}

}  // namespace
}  // namespace hearth::service
