#include "compiler/program/bundle.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "base/container.h"
#include "ckks/serialize.h"
#include "compiler/program/program_bytes.h"
#include "tests/base/expect_error.h"
#include "tests/base/temporary_folder.h"
#include "tests/compiler/tiny_program.h"

namespace hearth::compiler {
namespace {

using testing::tiny_client;
using testing::tiny_program;
using testing::tiny_server;
using Bytes = std::vector<std::byte>;

Bytes file_bytes(const std::filesystem::path& path) { return read_file(path, 1 << 24); }

/// Uses every operation and every field.
Program every_operation() {
  const auto parameters = ckks::Parameters::create(testing::tiny_spec());
  Program program = tiny_program();
  auto& list = program.instructions;
  auto& linear = std::get<LinearOp>(list[1].op);
  const int slots = static_cast<int>(parameters->slots());
  std::get<ckks::LinearMap>(linear.map).blocks = {{{0, 0}, {{0, {1, 2}}, {slots - 1, {0.5}}}}};
  linear.plan = {.step = 2, .babies = {0, slots - 1}, .giants = {0}, .offset = 1};
  linear.folds = {4, 2};
  list[1].scale = list[0].scale;
  const double scale = list[2].scale;
  list[2].scale = 2 * scale;
  list[2].op = QuadraticOp{.x = 1, .linear = 0.5, .constant = -0.25, .scale_factor = 2, .negate = true};
  list.push_back({"product", MultiplyOp{.a = 1, .b = 1}, 1, 1, 0, scale});
  list.push_back({"difference", AddOp{.a = 3, .b = 3, .subtract = true}, 1, 0, 0, scale});
  list.push_back({"cubic", PolynomialOp{.x = 0, .coefficients = {0.5, 1, 0, -2}}, 1, 2, 0, scale});
  list.push_back({"shift", AddPlainOp{.x = 4, .constants = {{1, 2, 3, 4}}}, 1, 0, 0, scale});
  list.push_back({"join", JoinOp{.parts = {{6, 0}, {3, 0}}}, 2, 0, 0, scale});
  LinearOp layer = linear;
  layer.map = testing::tiny_layer();
  layer.plan = ckks::plan_bsgs(shape_of(layer.map), slots);
  layer.folds.clear();
  layer.bias.clear();
  list.push_back({"layer", layer, 1, 2, 1, list[0].scale});
  program.output = 7;
  program.keys = required_keys(program, *parameters);
  check(program, *parameters);
  return program;
}

struct ProgramText {
  explicit ProgramText(const Program& program) {
    ByteWriter a, b;
    write_program(a, b, program);
    structure = a.take();
    weights = b.take();
  }
  Bytes structure, weights;
  bool operator==(const ProgramText&) const = default;
};

Program parse(const ProgramText& text, const ckks::Parameters& parameters) {
  ByteReader structure(text.structure, "program"), weights(text.weights, "weights");
  Program program = read_program(structure, weights, parameters);
  check(program, parameters);
  return program;
}

TEST(ProgramBytes, ReadingGivesWhatWasWritten) {
  const auto parameters = ckks::Parameters::create(testing::tiny_spec());
  const Program program = every_operation();
  const Program copy = parse(ProgramText(program), *parameters);
  EXPECT_EQ(to_string(copy), to_string(program));
  EXPECT_EQ(ProgramText(copy), ProgramText(program));
  const auto& before = std::get<LinearOp>(program.instructions[1].op);
  const auto& after = std::get<LinearOp>(copy.instructions[1].op);
  EXPECT_EQ(std::get<ckks::LinearMap>(after.map).blocks, std::get<ckks::LinearMap>(before.map).blocks);
  EXPECT_EQ(after.bias, before.bias);
  EXPECT_EQ(after.plan.offset, 1);
  EXPECT_EQ(after.plan.babies, before.plan.babies);
  EXPECT_EQ(after.folds, before.folds);
  EXPECT_EQ(std::get<PolynomialOp>(copy.instructions[5].op).coefficients, (std::vector<double>{0.5, 1, 0, -2}));
  EXPECT_EQ(std::get<AddPlainOp>(copy.instructions[6].op).constants, (std::vector<std::vector<double>>{{1, 2, 3, 4}}));
  using Layer = std::shared_ptr<const LayerMatrix>;
  const auto& layer_before = std::get<Layer>(std::get<LinearOp>(program.instructions[8].op).map);
  const auto& layer_after = std::get<Layer>(std::get<LinearOp>(copy.instructions[8].op).map);
  EXPECT_EQ(layer_after->layer(), layer_before->layer());
  EXPECT_EQ(*layer_after->in(), *layer_before->in());
  EXPECT_EQ(*layer_after->out(), *layer_before->out());
  EXPECT_EQ(layer_after->shape().diagonals.size(), layer_before->shape().diagonals.size());
}

/// Forged scales once came to light in the middle of a run only, as an internal error.
TEST(ProgramCheck, ScalesMustFollowFromOperands) {
  const auto parameters = ckks::Parameters::create(testing::tiny_spec());
  for (const std::size_t i : {1, 2, 3, 6}) {
    Program forged = every_operation();
    forged.instructions[i].scale *= 1.001;
    EXPECT_THROW(check(forged, *parameters), Error) << "instruction " << i;
  }
}

TEST(ProgramBytes, DiagonalsAreRoundedToFloatOnce) {
  const auto parameters = ckks::Parameters::create(testing::tiny_spec());
  Program program = tiny_program();
  const auto map_of = [](Program & p) -> auto& {
    return std::get<ckks::LinearMap>(std::get<LinearOp>(p.instructions[1].op).map).blocks.at({0, 0}).at(0);
  };
  auto& diagonal = map_of(program);
  diagonal[0] = 1.0 / 3;
  Program copy = parse(ProgramText(program), *parameters);
  EXPECT_EQ(map_of(copy)[0], static_cast<double>(static_cast<float>(1.0 / 3)));
  EXPECT_EQ(model_id(copy), model_id(program));
  diagonal[0] = 1e300;
  expect_error(ErrorKind::kInvalidArgument, "float32", [&] { ProgramText text(program); });
}

// Checksums do not stop an attacker, so a parser must survive any bytes behind them.
TEST(ProgramBytes, AnyDamagedByteIsReadSafelyOrRefused) {
  const auto parameters = ckks::Parameters::create(testing::tiny_spec());
  const ProgramText good(every_operation());
  int refused = 0, read = 0;
  const auto attempt = [&](const ProgramText& text) {
    try {
      parse(text, *parameters);
      ++read;
    } catch (const Error& error) {
      EXPECT_EQ(to_string(error.kind()), to_string(ErrorKind::kCorrupt)) << error.what();
      ++refused;
    }
  };
  for (std::size_t i = 0; i < good.structure.size(); ++i) {
    for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      ProgramText bad = good;
      bad.structure[i] = static_cast<std::byte>(value);
      attempt(bad);
    }
  }
  for (std::size_t i = 0; i < good.weights.size(); ++i) {
    ProgramText bad = good;
    bad.weights[i] = std::byte{0xff};
    attempt(bad);
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(read, 0);  // names and weights may be anything
}

TEST(ProgramBytes, EveryTruncationIsRefused) {
  const auto parameters = ckks::Parameters::create(testing::tiny_spec());
  const ProgramText good(every_operation());
  for (std::size_t i = 0; i < good.structure.size(); ++i) {
    ProgramText bad = good;
    bad.structure.resize(i);
    EXPECT_THROW(parse(bad, *parameters), Error) << i;
  }
  for (std::size_t i = 0; i < good.weights.size(); ++i) {
    ProgramText bad = good;
    bad.weights.resize(i);
    EXPECT_THROW(parse(bad, *parameters), Error) << i;
  }
  ProgramText longer = good;
  longer.weights.push_back(std::byte{0});
  expect_error(ErrorKind::kCorrupt, "too many", [&] { parse(longer, *parameters); });
}

TEST(ServerBundle, RoundTripKeepsEverything) {
  const TemporaryFolder folder;
  ServerBundle bundle = tiny_server();
  bundle.program = every_operation();
  bundle.prediction.instruction_seconds.assign(bundle.program.instructions.size(), 0.5);
  bundle.model_id = model_id(bundle.program);
  write_bundle(folder / "a", bundle);
  const ServerBundle copy = read_server_bundle(folder / "a");
  EXPECT_EQ(copy.model_id, bundle.model_id);
  EXPECT_EQ(to_string(copy.program), to_string(bundle.program));
  EXPECT_EQ(copy.prediction.seconds, bundle.prediction.seconds);
  EXPECT_EQ(copy.prediction.instruction_seconds, bundle.prediction.instruction_seconds);
  EXPECT_EQ(copy.prediction.moved_bytes, bundle.prediction.moved_bytes);
  EXPECT_EQ(copy.prediction.log_n, bundle.prediction.log_n);
  EXPECT_EQ(copy.program.parameters.levels, bundle.program.parameters.levels);
  write_bundle(folder / "b", copy);
  EXPECT_EQ(file_bytes(folder / "a"), file_bytes(folder / "b"));
}

TEST(ClientBundle, RoundTripKeepsEverything) {
  const TemporaryFolder folder;
  ClientBundle bundle = tiny_client(tiny_server());
  bundle.input_layout.places[3] = {-1, 0};
  bundle.normalisation = {.divisor = 255, .mean = {0.5, 0.25}, .deviation = {0.125}};
  write_bundle(folder / "a", bundle);
  const ClientBundle copy = read_client_bundle(folder / "a");
  EXPECT_EQ(copy.model, bundle.model);
  EXPECT_EQ(copy.model_id, bundle.model_id);
  EXPECT_EQ(copy.keys.galois, bundle.keys.galois);
  EXPECT_EQ(copy.keys.relinearisation_sets, bundle.keys.relinearisation_sets);
  EXPECT_EQ(copy.input_shape, bundle.input_shape);
  EXPECT_EQ(copy.output_shape, bundle.output_shape);
  EXPECT_EQ(copy.input_layout, bundle.input_layout);
  EXPECT_EQ(copy.output_layout, bundle.output_layout);
  EXPECT_EQ(copy.normalisation, bundle.normalisation);
  EXPECT_EQ(copy.image_resize, bundle.image_resize);
  EXPECT_EQ(copy.classes, bundle.classes);
  EXPECT_EQ(copy.input_level, bundle.input_level);
  EXPECT_EQ(copy.input_scale, bundle.input_scale);
  EXPECT_EQ(copy.input_bound, bundle.input_bound);
  EXPECT_EQ(copy.output_level, bundle.output_level);
  EXPECT_EQ(copy.output_scale, bundle.output_scale);
  EXPECT_EQ(copy.output_bound, bundle.output_bound);
  EXPECT_EQ(copy.prediction.output_error, bundle.prediction.output_error);
  write_bundle(folder / "b", copy);
  EXPECT_EQ(file_bytes(folder / "a"), file_bytes(folder / "b"));
}

template <typename Read>
void expect_hardened(const Bytes& good, Read&& read) {
  for (std::size_t size = 0; size < good.size(); size += 7) {
    EXPECT_THROW(read(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))), Error) << size;
  }
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    Bytes bad = good;
    bad[random() % bad.size()] ^= static_cast<std::byte>(1 << random() % 8);
    EXPECT_THROW(read(bad), Error) << i;
  }
}

TEST(ServerBundle, TruncatedAndFlippedFilesAreRefused) {
  const TemporaryFolder folder;
  write_bundle(folder / "a", tiny_server());
  expect_hardened(file_bytes(folder / "a"), [](const Bytes& bytes) { read_server_bundle(bytes); });
}

TEST(ClientBundle, TruncatedAndFlippedFilesAreRefused) {
  const TemporaryFolder folder;
  write_bundle(folder / "a", tiny_client(tiny_server()));
  expect_hardened(file_bytes(folder / "a"), [](const Bytes& bytes) { read_client_bundle(bytes); });
}

TEST(ClientBundle, MoreInputCiphertextsThanElementsAreRefusedBeforeAClientMakesThem) {
  const auto parameters = ckks::Parameters::create(testing::tiny_spec());
  ClientBundle bundle = tiny_client(tiny_server());
  bundle.input_layout.ciphertexts = kMaxTensorCiphertexts;
  ByteWriter out;
  write_client(out, bundle);
  const Bytes bytes = out.take();
  ByteReader in(bytes, "client");
  expect_error(ErrorKind::kCorrupt, "8 elements", [&] { read_client(in, *parameters, bundle); });
}

/// Reads what was written of a client bundle.
ClientBundle reread(const ClientBundle& bundle) {
  const auto parameters = ckks::Parameters::create(testing::tiny_spec());
  ByteWriter out;
  write_client(out, bundle);
  const Bytes bytes = out.take();
  ByteReader in(bytes, "client");
  ClientBundle copy;
  read_client(in, *parameters, copy);
  return copy;
}

TEST(ClientBundle, NamesOfClassesMayBeLeftOut) {
  ClientBundle bundle = tiny_client(tiny_server());
  bundle.classes.clear();
  bundle.image_resize = 0;
  EXPECT_EQ(reread(bundle).classes, bundle.classes);
  EXPECT_EQ(reread(bundle).image_resize, 0);
}

/// Bundles come from the server's side, and names go to the client's terminal.
TEST(ClientBundle, NamesOfClassesAreCheckedForTheirNumberLengthAndCharacters) {
  const auto refused = [](const std::string& part, const std::function<void(ClientBundle&)>& change) {
    ClientBundle bundle = tiny_client(tiny_server());
    change(bundle);
    expect_error(ErrorKind::kCorrupt, part, [&] { reread(bundle); });
  };
  refused("names 7 classes for 8 outputs", [](ClientBundle& b) { b.classes.pop_back(); });
  refused("names 9 classes for 8 outputs", [](ClientBundle& b) { b.classes.emplace_back("mole"); });
  refused("class 2", [](ClientBundle& b) { b.classes[2] = "\x1b[2J"; });
  refused("class 7", [](ClientBundle& b) { b.classes[7] = "\xff"; });
  refused("string", [](ClientBundle& b) { b.classes[0] = std::string(kMaxClassName + 1, 'a'); });
  refused("size of images", [](ClientBundle& b) { b.image_resize = -1; });
  refused("size of images", [](ClientBundle& b) { b.image_resize = kMaxImageResize + 1; });
}

/// The client section with any byte changed, in a container whose checksums are right.
TEST(ClientBundle, AnyDamagedByteBehindTheChecksumsIsReadSafelyOrRefused) {
  const auto parameters = ckks::Parameters::create(testing::tiny_spec());
  ByteWriter out;
  write_client(out, tiny_client(tiny_server()));
  const Bytes good = out.take();
  int refused = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int value : {0x00, 0x7f, 0x80, 0xff}) {
      Bytes bad = good;
      bad[i] = static_cast<std::byte>(value);
      ByteReader in(bad, "client");
      ClientBundle bundle;
      try {
        read_client(in, *parameters, bundle);
        EXPECT_EQ(bundle.input_layout.places.size(), 8U);
        for (const Place& place : bundle.input_layout.places) EXPECT_LT(place.slot, bundle.input_layout.period);
      } catch (const Error& error) {
        EXPECT_EQ(to_string(error.kind()), to_string(ErrorKind::kCorrupt)) << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 100);
}

/// Bundles of older versions had less in them.
TEST(Bundles, OlderVersionsAreRefused) {
  const TemporaryFolder folder;
  write_bundle(folder / "server", tiny_server());
  write_bundle(folder / "client", tiny_client(tiny_server()));
  const auto aged = [](Bytes bytes, std::uint8_t version) {
    constexpr std::size_t kVersionAt = 8, kHeader = 40;  // docs/format_container.md
    bytes[kVersionAt] = std::byte{version};
    const Checksum sum = checksum_of(std::span(bytes).first(kHeader));
    std::ranges::copy(sum, bytes.begin() + kHeader);
    return bytes;
  };
  for (const std::uint8_t version : {std::uint8_t{1}, std::uint8_t{2}}) {
    const Bytes server = aged(file_bytes(folder / "server"), version);
    const Bytes client = aged(file_bytes(folder / "client"), version);
    expect_error(ErrorKind::kUnsupported, "compile the model again", [&] { read_server_bundle(server); });
    expect_error(ErrorKind::kUnsupported, "compile the model again", [&] { read_client_bundle(client); });
  }
}

TEST(ServerBundle, PredictedTimesBelongToItsInstructions) {
  const TemporaryFolder folder;
  ServerBundle bundle = tiny_server();
  bundle.prediction.instruction_seconds = {0.5};
  write_bundle(folder / "few", bundle);
  expect_error(ErrorKind::kCorrupt, "times of 1 instructions, its program has 3",
               [&] { read_server_bundle(folder / "few"); });
  bundle.prediction.instruction_seconds = {0.5, -0.5, 0.25};
  write_bundle(folder / "negative", bundle);
  expect_error(ErrorKind::kCorrupt, "negative time", [&] { read_server_bundle(folder / "negative"); });
  bundle.prediction.instruction_seconds.clear();
  write_bundle(folder / "none", bundle);
  EXPECT_TRUE(read_server_bundle(folder / "none").prediction.instruction_seconds.empty());
}

TEST(ServerBundle, TheIdMustBeThatOfTheProgram) {
  const TemporaryFolder folder;
  ServerBundle bundle = tiny_server();
  bundle.model_id[0] ^= 1;
  expect_error(ErrorKind::kInvalidArgument, "id of another program", [&] { write_bundle(folder / "a", bundle); });
  EXPECT_EQ(folder.entries(), 0U);
}

/// Copies a container, giving `edit` the chance to change or drop (return false) every section.
Bytes edited(const Bytes& from, const std::function<bool(SectionTag, Bytes&)>& edit,
             const std::function<void(ContainerWriter&)>& append = {}) {
  const ContainerReader in(from);
  ContainerWriter out(in.kind());
  for (const SectionInfo& section : in.sections()) {
    const auto data = in.read_section(section);
    Bytes bytes(data.span().begin(), data.span().end());
    if (edit(section.tag, bytes)) out.add_section(section.tag, bytes);
  }
  if (append) append(out);
  return out.finish();
}

TEST(ServerBundle, ForgedWeightsOrIdsAreRefused) {
  const TemporaryFolder folder;
  write_bundle(folder / "a", tiny_server());
  const Bytes good = file_bytes(folder / "a");
  for (const char* const tag : {"WGHT", "MDID", "PROG"}) {
    const Bytes bad = edited(good, [&](SectionTag section, Bytes& bytes) {
      if (to_string_tag(section) == tag) bytes[0] ^= std::byte{1};
      return true;
    });
    expect_error(ErrorKind::kCorrupt, "model id", [&] { read_server_bundle(bad); });
  }
}

TEST(ServerBundle, CannotCarryASecret) {
  const TemporaryFolder folder;
  write_bundle(folder / "server", tiny_server());
  write_bundle(folder / "client", tiny_client(tiny_server()));
  const auto keep = [](SectionTag, Bytes&) { return true; };
  const auto append = [](ContainerWriter& out) { out.add_section(section_tag("TERN"), Bytes(256)); };
  const Bytes server = edited(file_bytes(folder / "server"), keep, append);
  expect_error(ErrorKind::kCorrupt, "TERN", [&] { read_server_bundle(server); });
  const Bytes client = edited(file_bytes(folder / "client"), keep, append);
  expect_error(ErrorKind::kCorrupt, "TERN", [&] { read_client_bundle(client); });
  const Bytes less =
      edited(file_bytes(folder / "server"), [](SectionTag tag, Bytes&) { return tag != section_tag("WGHT"); });
  expect_error(ErrorKind::kCorrupt, "expected exactly", [&] { read_server_bundle(less); });
}

TEST(Bundles, AreToldApart) {
  const TemporaryFolder folder;
  write_bundle(folder / "server", tiny_server());
  write_bundle(folder / "client", tiny_client(tiny_server()));
  expect_error(ErrorKind::kMismatch, "client bundle", [&] { read_server_bundle(folder / "client"); });
  expect_error(ErrorKind::kMismatch, "server bundle", [&] { read_client_bundle(folder / "server"); });
  expect_error(ErrorKind::kIo, "nothing", [&] { read_client_bundle(folder / "nothing"); });
}

TEST(Bundles, ParametersBelowTheirSecurityAreRefused) {
  const TemporaryFolder folder;
  ClientBundle bundle = tiny_client(tiny_server());
  bundle.parameters.security = ckks::Security::kBits128;
  bundle.parameters.log_n = 11;
  write_bundle(folder / "a", bundle);
  expect_error(ErrorKind::kSecurity, (folder / "a").string(), [&] { read_client_bundle(folder / "a"); });
}

}  // namespace
}  // namespace hearth::compiler
