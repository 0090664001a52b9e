#include <gtest/gtest.h>

#include <cstdlib>

#include "compiler/program/program_bytes.h"
#include "tests/fuzz/rebuilt_container.h"
#include "tests/service/party.h"

// Files that were written once and must stay readable. They are also where fuzzing starts. After a
// deliberate change of a format: HEARTH_WRITE_GOLDEN=1 service_golden_test.
namespace hearth::service {
namespace {

using testing::TinyNetwork;
namespace fs = std::filesystem;

constexpr int kLogN = 4;
const std::vector<float> kInput{1, -1, 0.5, 0.25, 0, -0.5, 0.75, -0.25};

fs::path corpus(const std::string& name) { return fs::path("tests/corpus") / name / "golden"; }

compiler::ServerBundle server_bundle() { return testing::tiny_server({}, kLogN); }

std::vector<std::byte> bytes_of(const fs::path& path) { return read_file(path, 1 << 20); }

void write_sections(const std::string& name) {
  write_file_atomic(corpus(name).parent_path() / "sections", testing::section_list(bytes_of(corpus(name))));
}

/// The two sections of a program as tests/fuzz/fuzz_server_bundle.cpp reads them.
std::vector<std::byte> program_sections(const compiler::Program& program) {
  ByteWriter structure, weights;
  compiler::write_program(structure, weights, program);
  ByteWriter both;
  both.u32(static_cast<std::uint32_t>(structure.size()));
  both.bytes(structure.take());
  both.bytes(weights.take());
  return both.take();
}

/// A program whose matrix is kept as the layer it comes from.
compiler::Program layer_program() {
  compiler::Program program = server_bundle().program;
  auto& linear = std::get<compiler::LinearOp>(program.instructions[1].op);
  linear.map = testing::tiny_layer();
  linear.plan = ckks::plan_bsgs(compiler::shape_of(linear.map), 1 << (kLogN - 1));
  program.keys = compiler::required_keys(program, *ckks::Parameters::create(program.parameters));
  return program;
}

/// A program whose input is an image on a grid.
compiler::Program grid_program() {
  compiler::Program program = server_bundle().program;
  program.instructions[0].ciphertexts = 4;
  auto& linear = std::get<compiler::LinearOp>(program.instructions[1].op);
  linear.map = testing::tiny_grid_layer();
  linear.plan = ckks::plan_bsgs(compiler::shape_of(linear.map), 1 << (kLogN - 1));
  linear.bias = {};
  linear.channel_bias = {0.75};
  linear.margin = -3;
  program.keys = compiler::required_keys(program, *ckks::Parameters::create(program.parameters));
  return program;
}

fs::path grid_file() { return corpus("server_bundle").parent_path() / "grid"; }
fs::path layer_file() { return corpus("server_bundle").parent_path() / "layer"; }

void write_golden_files() {
  for (const char* const name :
       {"server_bundle", "client_bundle", "secret_key", "evaluation_keys", "ciphertext_file"}) {
    fs::create_directories(corpus(name).parent_path());
  }
  compiler::write_bundle(corpus("server_bundle"), server_bundle());
  compiler::write_bundle(corpus("client_bundle"), testing::tiny_client(server_bundle()));
  const Client client(corpus("client_bundle"), true);
  client.make_keys(corpus("secret_key"), corpus("evaluation_keys"), true);
  client.encrypt_file(client.load_secret(corpus("secret_key")), {.shape = {2, 4}, .values = kInput}, "", 0, 1,
                      corpus("ciphertext_file"));
  const Server server(corpus("server_bundle"));
  server.run(server.load_keys(corpus("evaluation_keys")), corpus("ciphertext_file"),
             corpus("ciphertext_file").parent_path() / "output");
  ByteWriter client_section;
  write_file_atomic(corpus("server_bundle").parent_path() / "sections", program_sections(server_bundle().program));
  write_file_atomic(layer_file(), program_sections(layer_program()));
  write_file_atomic(grid_file(), program_sections(grid_program()));
  compiler::write_client(client_section, testing::tiny_client(server_bundle()));
  write_file_atomic(corpus("client_bundle").parent_path() / "sections", client_section.take());
  for (const char* const name : {"secret_key", "evaluation_keys", "ciphertext_file"}) write_sections(name);
}

class Golden : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (std::getenv("HEARTH_WRITE_GOLDEN")) write_golden_files();
  }
  static void expect_answer(const NpyArray& out) {
    const std::vector<double> expected = TinyNetwork{}(kInput);
    ASSERT_EQ(out.values.size(), expected.size());
    for (std::size_t k = 0; k < expected.size(); ++k) EXPECT_NEAR(out.values[k], expected[k], 1e-4);
  }
  TemporaryFolder folder_;
};

TEST_F(Golden, BundlesAreWrittenAsEver) {
  compiler::write_bundle(folder_ / "server", server_bundle());
  compiler::write_bundle(folder_ / "client", testing::tiny_client(server_bundle()));
  EXPECT_EQ(bytes_of(folder_ / "server"), bytes_of(corpus("server_bundle")));
  EXPECT_EQ(bytes_of(folder_ / "client"), bytes_of(corpus("client_bundle")));
}

void expect_as_ever(const fs::path& file, const compiler::Program& expected) {
  const std::vector<std::byte> bytes = bytes_of(file);
  EXPECT_EQ(program_sections(expected), bytes);
  ByteReader lengths(bytes, "lengths");
  ByteReader structure(lengths.bytes(lengths.u32()), "program");
  ByteReader weights(lengths.bytes(lengths.remaining()), "weights");
  const auto parameters = ckks::Parameters::create(testing::tiny_spec(kLogN));
  const compiler::Program program = compiler::read_program(structure, weights, *parameters);
  compiler::check(program, *parameters);
  EXPECT_EQ(compiler::to_string(program), compiler::to_string(expected));
}

TEST_F(Golden, LayersAreWrittenAndReadAsEver) {
  expect_as_ever(layer_file(), layer_program());
  expect_as_ever(grid_file(), grid_program());
}

/// Whatever happens to a byte, reading ends in a program that is valid or in an error of a kind that says so.
TEST_F(Golden, DamagedGridsAreReadOrRefused) {
  const std::vector<std::byte> whole = bytes_of(grid_file());
  const auto parameters = ckks::Parameters::create(testing::tiny_spec(kLogN));
  int refused = 0;
  for (std::size_t at = 4; at < whole.size(); ++at) {
    for (const unsigned change : {1U, 0x80U, 0xffU}) {
      std::vector<std::byte> bytes = whole;
      bytes[at] ^= static_cast<std::byte>(change);
      try {
        ByteReader lengths(bytes, "lengths");
        ByteReader structure(lengths.bytes(lengths.u32()), "program");
        ByteReader weights(lengths.bytes(lengths.remaining()), "weights");
        compiler::check(compiler::read_program(structure, weights, *parameters), *parameters);
      } catch (const Error& error) {
        EXPECT_EQ(to_string(error.kind()), to_string(ErrorKind::kCorrupt)) << "byte " << at << ": " << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, static_cast<int>(whole.size()));
}

TEST_F(Golden, OldFilesStillWorkTogether) {
  const Client client(corpus("client_bundle"), true);
  const ClientSecret secret = client.load_secret(corpus("secret_key"));
  expect_answer(client.decrypt_file(secret, corpus("ciphertext_file").parent_path() / "output"));
  const Server server(corpus("server_bundle"));
  server.run(server.load_keys(corpus("evaluation_keys")), corpus("ciphertext_file"), folder_ / "output");
  expect_answer(client.decrypt_file(secret, folder_ / "output"));
}

}  // namespace
}  // namespace hearth::service
