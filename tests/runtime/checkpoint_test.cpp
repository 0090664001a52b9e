#include "runtime/checkpoint.h"

#include <sys/resource.h>

#include <csignal>

#include "tests/runtime/checkpoint_folder.h"

// What a checkpoint folder holds, and when it changes.
namespace hearth::runtime {
namespace {

namespace fs = std::filesystem;
using namespace testing;  // NOLINT: the folder and what is in it

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

/// The bytes are those that docs/format_checkpoint.md describes.
TEST_F(CheckpointFolder, WritesTheGoldenFiles) {
  fill();
  EXPECT_EQ(read_file(path("manifest.hearth"), 1 << 20), read_file("tests/corpus/checkpoint/manifest", 1 << 20));
  EXPECT_EQ(read_file(path("value-1-2.hearth"), 1 << 20), read_file("tests/corpus/checkpoint/value", 1 << 20));
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
