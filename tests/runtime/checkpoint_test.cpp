#include "runtime/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "base/file.h"
#include "tests/base/expect_error.h"
#include "tests/base/temporary_folder.h"
#include "tests/compiler/tiny_program.h"

// What a checkpoint folder holds, when it changes, and that nothing but a whole one of the same run is taken.
namespace hearth::runtime {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;
using ckks::Ciphertext;
using Tensor = std::vector<Ciphertext>;

/// x, a = f(x), b = g(a), c = b + a, d = c + c: a is needed for two more instructions. Only its shape matters.
compiler::Program program() {
  using namespace compiler;  // NOLINT: the program's vocabulary
  Program out;
  out.model = "tiny";
  out.parameters = testing::tiny_spec(4);
  const auto add = [&](const char* name, Op op, int level) {
    out.instructions.push_back({.name = name,
                                .op = std::move(op),
                                .ciphertexts = level == 1 ? 2 : 1,
                                .work_level = level,
                                .level = level,
                                .scale = 0x1p28 + level});
  };
  add("x", InputOp{}, 2);
  add("a", QuadraticOp{.x = 0}, 1);
  add("b", QuadraticOp{.x = 1}, 0);
  add("c", AddOp{.a = 2, .b = 1}, 0);
  add("d", AddOp{.a = 3, .b = 3}, 0);
  out.output = 4;
  return out;
}

RunIdentity identity() {
  RunIdentity out;
  out.model = "tiny";
  out.model_id = {1, 2, 3};
  out.parameters_id = 7;
  out.key_id = {4, 5, 6};
  out.keys = {std::byte{8}};
  out.input = {std::byte{9}};
  out.inputs = 2;
  out.program = "1.2.3";
  return out;
}

/// Without waiting for the disk.
void overwrite(const fs::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Bytes bytes_of(const Tensor& tensor) {
  ByteWriter out;
  for (const Ciphertext& c : tensor) {
    for (const ring::Poly& part : c.parts) {
      for (std::size_t i = 0; i < part.limbs(); ++i)
        out.span(std::span<const std::uint32_t>(part.limb(i), part.size()));
    }
  }
  return out.take();
}

constexpr CheckpointPolicy kAlways{.every = 0, .expected_seconds = 0, .worth = 0};

class CheckpointFolder : public ::testing::Test {
 protected:
  CheckpointFolder() : parameters_(ckks::Parameters::create(program_.parameters)) {}

  fs::path folder() const { return outer_ / "kept"; }
  fs::path path(const std::string& name) const { return folder() / name; }
  std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder())) out.insert(entry.path().filename().string());
    out.erase("lock");
    out.erase("made");
    out.erase("manifest.hearth");
    return out;
  }

  Checkpoint open(const RunIdentity& who = identity(), CheckpointPolicy policy = kAlways) const {
    return {folder(), who, program_, *parameters_, policy};
  }

  /// Something of the right shape, different for every input and instruction.
  Tensor value(std::uint32_t input, std::size_t instruction) const {
    const compiler::Instruction& ins = program_.instructions[instruction];
    Tensor out;
    for (int i = 0; i < ins.ciphertexts; ++i) {
      Ciphertext c{.parts = {}, .level = ins.level, .scale = ins.scale, .parameters_id = parameters_->id()};
      ring::Seed seed{};
      seed[0] = static_cast<std::uint8_t>(16 * input + instruction);
      for (std::uint64_t part = 0; part < 2; ++part) {
        c.parts.push_back(ring::sample_uniform(parameters_->ring(), parameters_->q_basis(ins.level), ring::Domain::kNtt,
                                               seed, 2 * static_cast<std::uint64_t>(i) + part));
      }
      out.push_back(std::move(c));
    }
    return out;
  }

  void save(Checkpoint& kept, std::size_t done) const {
    const std::uint32_t input = kept.input();
    std::map<std::size_t, Tensor> held;
    const ResultLookup look = [&](std::size_t i) -> const Tensor& { return held[i] = value(input, i); };
    std::vector<double> seconds;
    for (std::size_t i = 0; i < done; ++i) seconds.push_back(0.5 + static_cast<double>(input) + static_cast<double>(i));
    kept.save(done, seconds, look);
  }

  /// Input 0 done, and three instructions of input 1: an output and two live values.
  void fill() const {
    Checkpoint kept = open();
    save(kept, 5);
    save(kept, 3);
  }

  compiler::Program program_ = program();
  ckks::ParametersPtr parameters_;
  TemporaryFolder outer_;
};

TEST_F(CheckpointFolder, BeginsEmpty) {
  const Checkpoint kept = open();
  EXPECT_FALSE(kept.resumed());
  EXPECT_EQ(kept.input(), 0U);
  const RunState state = kept.state();
  EXPECT_EQ(state.next, 0U);
  ASSERT_EQ(state.values.size(), 1U);
  EXPECT_TRUE(state.values[0].empty()) << "the input is not stored";
}

TEST_F(CheckpointFolder, GivesBackWhatWasSaved) {
  fill();
  const Checkpoint kept = open();
  EXPECT_TRUE(kept.resumed());
  EXPECT_EQ(kept.input(), 1U);
  EXPECT_EQ(kept.seconds(), (std::vector<double>{1.5, 2.5, 3.5}));
  const RunState state = kept.state();
  EXPECT_EQ(state.next, 3U);
  ASSERT_EQ(state.values.size(), 2U);
  for (const std::size_t k : {0, 1}) {
    EXPECT_EQ(bytes_of(state.values[k]), bytes_of(value(1, k + 1)));
    EXPECT_EQ(state.values[k][0].scale, program_.instructions[k + 1].scale);
  }
  const Checkpoint::Output output = kept.output(0);
  EXPECT_EQ(bytes_of(output.value), bytes_of(value(0, 4)));
  EXPECT_EQ(output.seconds, (std::vector<double>{0.5, 1.5, 2.5, 3.5, 4.5}));
}

TEST_F(CheckpointFolder, WritesEveryValueOnceAndRemovesWhatIsNotNeeded) {
  Checkpoint kept = open();
  save(kept, 1);
  EXPECT_EQ(names(), std::set<std::string>{}) << "the input needs no copy";
  save(kept, 2);
  EXPECT_EQ(names(), (std::set<std::string>{"value-0-1.hearth"}));
  const auto written = fs::last_write_time(path("value-0-1.hearth"));
  save(kept, 3);
  EXPECT_EQ(names(), (std::set<std::string>{"value-0-1.hearth", "value-0-2.hearth"}));
  EXPECT_EQ(fs::last_write_time(path("value-0-1.hearth")), written);
  save(kept, 4);
  EXPECT_EQ(names(), (std::set<std::string>{"value-0-3.hearth"}));
  save(kept, 5);
  EXPECT_EQ(names(), (std::set<std::string>{"output-0.hearth"}));
  save(kept, 2);
  EXPECT_EQ(names(), (std::set<std::string>{"output-0.hearth", "value-1-1.hearth"}));
  EXPECT_EQ(kept.cost().saves, 5U);
  save(kept, 5);
  EXPECT_EQ(kept.input(), 2U);
  kept.remove();
  EXPECT_FALSE(fs::exists(folder())) << "it was made for this run";
}

TEST_F(CheckpointFolder, LeavesAFolderThatWasThereAndForeignFiles) {
  fs::create_directory(folder());
  write_file_atomic(path("notes.txt"), std::string_view("mine"));
  {
    Checkpoint kept = open();
    save(kept, 5);
  }
  Checkpoint again = open();
  again.remove();
  EXPECT_EQ(names(), (std::set<std::string>{"notes.txt"}));
  EXPECT_FALSE(fs::exists(path("lock")));
  EXPECT_FALSE(fs::exists(path("manifest.hearth")));
}

TEST_F(CheckpointFolder, IsKnownAsMadeForTheRunFromTheFirstMoment) {
  open();
  fs::remove(path("manifest.hearth"));  // as if the run had been killed before it wrote one
  open().remove();
  EXPECT_FALSE(fs::exists(folder()));
}

TEST_F(CheckpointFolder, SavesWhatIsWorthIt) {
  const auto saves_of = [&](const CheckpointPolicy& policy) {
    Checkpoint kept = open(identity(), policy);
    save(kept, 2);
    save(kept, 3);
    const std::size_t saves = kept.cost().saves;
    save(kept, 5);
    EXPECT_EQ(kept.cost().saves, saves + 1) << "finished inputs are always kept";
    kept.remove();
    return saves;
  };
  EXPECT_EQ(saves_of(kAlways), 2U);
  EXPECT_EQ(saves_of({.every = 0, .expected_seconds = 1000, .worth = 0}), 0U) << "less than a second of work";
  EXPECT_EQ(saves_of({.every = 0, .expected_seconds = 0, .worth = 1e6}), 1U) << "the first cost more than was won";
  EXPECT_EQ(saves_of({.every = 1000, .expected_seconds = 0, .worth = 0}), 0U);
}

TEST_F(CheckpointFolder, IsForOneAtATime) {
  const Checkpoint kept = open();
  expect_error(ErrorKind::kResource, "in use by another process", [&] { open(); });
}

TEST_F(CheckpointFolder, RemovesWhatAKilledRunLeft) {
  fill();
  for (const char* const name : {"value-0-3.hearth", ".value-1-3.hearth.99-1.tmp", ".manifest.hearth.99-2.tmp"}) {
    write_file_atomic(path(name), std::string_view("half"));
  }
  open();
  EXPECT_EQ(names(), (std::set<std::string>{"output-0.hearth", "value-1-1.hearth", "value-1-2.hearth"}));
}

TEST_F(CheckpointFolder, OfAnotherRunIsRefused) {
  fill();
  const auto refused = [&](ErrorKind kind, const std::string& part, auto&& change) {
    RunIdentity other = identity();
    change(other);
    expect_error(kind, part, [&] { open(other); });
    expect_error(kind, "delete the folder", [&] { open(other); });
    expect_error(kind, "manifest.hearth", [&] { open(other); });
  };
  refused(ErrorKind::kMismatch, "of model", [](RunIdentity& i) { i.model_id[0] = 0; });
  refused(ErrorKind::kMismatch, "of model", [](RunIdentity& i) { i.parameters_id = 0; });
  refused(ErrorKind::kMismatch, "secret key", [](RunIdentity& i) { i.key_id[0] = 0; });
  refused(ErrorKind::kMismatch, "evaluation keys", [](RunIdentity& i) { i.keys = {}; });
  refused(ErrorKind::kMismatch, "another file of encrypted inputs", [](RunIdentity& i) { i.input = {}; });
  refused(ErrorKind::kMismatch, "another file of encrypted inputs", [](RunIdentity& i) { i.inputs = 3; });
  refused(ErrorKind::kUnsupported, "written by Hearth 1.2.3", [](RunIdentity& i) { i.program = "1.2.4"; });
  EXPECT_TRUE(open().resumed()) << "refusing changes nothing";
}

TEST_F(CheckpointFolder, OfAnotherProgramIsRefused) {
  fill();
  program_.instructions.push_back(program_.instructions.back());
  expect_error(ErrorKind::kCorrupt, "a program of 5 instructions", [&] { open(); });
  program_.instructions.pop_back();
  std::get<compiler::AddOp>(program_.instructions[3].op).b = 2;
  expect_error(ErrorKind::kCorrupt, "has other values", [&] { open(); });
}

/// Every byte of every file, one after the other.
TEST_F(CheckpointFolder, DamageIsRefused) {
  fill();
  for (const std::string name : {"manifest.hearth", "value-1-1.hearth", "value-1-2.hearth", "output-0.hearth"}) {
    const Bytes good = read_file(path(name), 1 << 20);
    const auto refused = [&](const Bytes& bad, std::size_t at) {
      overwrite(path(name), bad);
      try {
        open();
        ADD_FAILURE() << name << ", byte " << at;
      } catch (const Error& error) {
        EXPECT_TRUE(error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kUnsupported) << error.what();
        EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
        EXPECT_NE(std::string(error.what()).find("delete the folder"), std::string::npos) << error.what();
      }
    };
    for (std::size_t at = 0; at < good.size(); ++at) {
      Bytes bad = good;
      bad[at] ^= static_cast<std::byte>(1 << at % 8);
      refused(bad, at);
    }
    std::vector<std::size_t> cuts{0, 1, 55, 56, good.size() - 1};
    const ContainerReader container(good);
    for (const SectionInfo& section : container.sections()) {
      cuts.push_back(static_cast<std::size_t>(section.offset));
      cuts.push_back(static_cast<std::size_t>(section.offset + section.length / 2));
      cuts.push_back(static_cast<std::size_t>(section.offset + section.length));
    }
    for (const std::size_t cut : cuts)
      refused(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(cut)), cut);
    overwrite(path(name), good);
  }
  EXPECT_TRUE(open().resumed());
}

TEST_F(CheckpointFolder, SwappedAndMissingFilesAreRefused) {
  fill();
  const Bytes good = read_file(path("value-1-2.hearth"), 1 << 20);
  fs::copy_file(path("output-0.hearth"), path("value-1-2.hearth"), fs::copy_options::overwrite_existing);
  expect_error(ErrorKind::kCorrupt, "value-1-2.hearth is not the file that", [&] { open(); });
  fs::remove(path("value-1-2.hearth"));
  expect_error(ErrorKind::kCorrupt, "value-1-2.hearth is missing", [&] { open(); });
  write_file_atomic(path("value-1-2.hearth"), good);
  EXPECT_TRUE(open().resumed());
}

/// Whatever stands behind right checksums is read safely or refused.
TEST_F(CheckpointFolder, ManifestsAreReadAsHostile) {
  fill();
  const Bytes good = read_file(path("manifest.hearth"), 1 << 20);
  const ContainerReader in(good);
  std::mt19937 random(5);
  int refused = 0;
  for (int attempt = 0; attempt < 500; ++attempt) {
    ContainerWriter out(FileKind::kCheckpoint);
    const std::size_t victim = random() % in.sections().size();
    for (std::size_t s = 0; s < in.sections().size(); ++s) {
      const auto data = in.read_section(in.sections()[s]);
      Bytes section(data.span().begin(), data.span().end());
      if (s == victim) section[random() % section.size()] ^= static_cast<std::byte>(1 << random() % 8);
      out.add_section(in.sections()[s].tag, section);
    }
    overwrite(path("manifest.hearth"), out.finish());
    try {
      open();
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 200);
}

/// A file size limit makes writing fail as a full disk does.
TEST_F(CheckpointFolder, AFullDiskLeavesTheLastCheckpoint) {
  fill();
  {
    Checkpoint kept = open();
    struct rlimit before {};
    getrlimit(RLIMIT_FSIZE, &before);
    const auto old = std::signal(SIGXFSZ, SIG_IGN);
    struct rlimit small = before;
    small.rlim_cur = 200;
    setrlimit(RLIMIT_FSIZE, &small);
    expect_error(ErrorKind::kIo, "the one before it is still in", [&] { save(kept, 4); });
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old);
  }
  EXPECT_EQ(names(), (std::set<std::string>{"output-0.hearth", "value-1-1.hearth", "value-1-2.hearth"}));
  Checkpoint kept = open();
  EXPECT_EQ(kept.seconds().size(), 3U);
  save(kept, 4);
  EXPECT_EQ(names(), (std::set<std::string>{"output-0.hearth", "value-1-3.hearth"}));
}

TEST(LiveValues, AreWhatLaterInstructionsRead) {
  const compiler::Program p = program();
  using Indices = std::vector<std::size_t>;
  EXPECT_EQ(live_values(p, 0), (Indices{0}));
  EXPECT_EQ(live_values(p, 1), (Indices{0}));
  EXPECT_EQ(live_values(p, 2), (Indices{1}));
  EXPECT_EQ(live_values(p, 3), (Indices{1, 2}));
  EXPECT_EQ(live_values(p, 4), (Indices{3}));
  EXPECT_EQ(live_values(p, 5), (Indices{4}));
}

}  // namespace
}  // namespace hearth::runtime
