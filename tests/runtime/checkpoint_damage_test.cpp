#include <random>

#include "tests/runtime/checkpoint_folder.h"

// Nothing but a whole checkpoint of the same run is taken.
namespace hearth::runtime {
namespace {

namespace fs = std::filesystem;
using namespace testing;  // NOLINT: the folder and what is in it

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

}  // namespace
}  // namespace hearth::runtime
