#include <sys/mount.h>

#include "base/folder_lock.h"
#include "runtime/checkpoint_files.h"
#include "tests/cli/killed_runs.h"

// Runs with checkpoints that end suddenly: what the same command makes of it, as separate processes over files.
namespace hearth {
namespace {

namespace fs = std::filesystem;
using testing::KilledRuns;
using testing::Outcome;

class CheckpointKill : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { runs_ = new KilledRuns; }
  static void TearDownTestSuite() { delete runs_; }

  /// A killed run's folder with progress in it.
  static void leave_progress(const fs::path& folder) {
    for (double seconds = 0.2 * runs_->seconds(); !has_value(folder); seconds *= 1.3) {
      fs::remove_all(folder);
      ASSERT_LT(seconds, 60);
      runs_->killed_after(seconds, folder);
    }
  }
  static bool has_value(const fs::path& folder) { return !value_in(folder).empty(); }
  /// A value that the manifest names: a run may have been killed between writing one and saying so.
  static fs::path value_in(const fs::path& folder) {
    if (!fs::exists(folder / "manifest.hearth")) return {};
    const auto live = runtime::read_manifest(ContainerReader(folder / "manifest.hearth")).live;
    if (live.empty()) return {};
    return folder / ("value-" + std::to_string(live[0].input) + "-" + std::to_string(live[0].instruction) + ".hearth");
  }

  static KilledRuns* runs_;
};

KilledRuns* CheckpointKill::runs_ = nullptr;

TEST_F(CheckpointKill, ResumedRunsGiveTheSameBits) {
  runs_->sweep(5, 1, runs_->shell() / "kept");
  const cli::Json whole = runs_->shell().json(KilledRuns::kept("$D/kept"));
  EXPECT_TRUE(whole.at("resumed_at").is_null());
  EXPECT_GE(whole.at("checkpoints").at("count").get<int>(), 2);
  EXPECT_EQ(runs_->bytes("output.ct"), runs_->expected());
}

TEST_F(CheckpointKill, SaysWhereItGoesOn) {
  const fs::path folder = runs_->shell() / "said";
  leave_progress(folder);
  const Outcome outcome = runs_->shell().hearth(KilledRuns::kept("$D/said"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(outcome.err.starts_with("hearth: resumed at layer ")) << outcome.err;
  EXPECT_NE(outcome.out.find("\nresumed "), std::string::npos) << outcome.out;
  EXPECT_EQ(runs_->bytes("output.ct"), runs_->expected());
}

TEST_F(CheckpointKill, DamageAndOtherRunsAreRefused) {
  const auto& shell = runs_->shell();
  const fs::path folder = shell / "damaged";
  leave_progress(folder);
  fs::copy(folder, shell / "whole", fs::copy_options::recursive);
  shell.json(
      "encrypt \"$D/out/client.hearth\" --insecure --key \"$D/keys/secret.key\" --input models/digits_images.npy "
      "--count 2 -o \"$D/other.ct\"");
  shell.refuses(
      "run \"$D/out/server.hearth\" --keys \"$D/keys/evaluation.key\" --input \"$D/other.ct\" -o \"$D/never.ct\" "
      "--checkpoint \"$D/whole\"",
      "whole/manifest.hearth is the checkpoint of a run on another file of encrypted inputs; delete the folder");
  const fs::path value = value_in(folder);
  shell.run("printf x | dd of=\"" + value.string() + "\" bs=1 seek=300 conv=notrunc");
  shell.refuses(KilledRuns::kept("$D/damaged"), value.filename().string() + " is damaged");
  shell.run("head -c 200 \"$D/whole/manifest.hearth\" >\"$D/damaged/manifest.hearth\"");
  shell.refuses(KilledRuns::kept("$D/damaged"), "manifest.hearth (checkpoint) is cut short");
  EXPECT_FALSE(shell.exists("never.ct"));
  EXPECT_EQ(shell.hearth("inspect \"$D/whole/manifest.hearth\"").code, 0);
  shell.json(KilledRuns::kept("$D/whole"));
  EXPECT_EQ(runs_->bytes("output.ct"), runs_->expected()) << "refusing changed nothing";
}

TEST_F(CheckpointKill, AnotherProcessHasToWait) {
  const auto& shell = runs_->shell();
  fs::create_directory(shell / "locked");
  const FolderLock held(shell / "locked");
  shell.refuses(KilledRuns::kept("$D/locked"), "locked is in use by another process");
}

/// Files may not grow beyond a kibibyte, which is as if the disk were full: the first value does not fit.
TEST_F(CheckpointKill, AFullDiskEndsTheRunAndTheNextGoesOn) {
  const auto& shell = runs_->shell();
  const fs::path folder = shell / "full";
  leave_progress(folder);
  const auto limited = [&](const std::string& command) {
    return shell.run("trap '' XFSZ; ulimit -f 2; " + std::string(HEARTH_PROGRAMS) + "/hearth " + command);
  };
  // The output is probed with its head only; nothing of it is written before the folder holds everything.
  const Outcome outcome = limited(KilledRuns::kept("$D/full"));
  EXPECT_EQ(outcome.code, cli::kFailure) << outcome.out;
  EXPECT_NE(outcome.err.find("File too large"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("make room, and the same command goes on from there"), std::string::npos) << outcome.err;
  const cli::Json json = shell.json(KilledRuns::kept("$D/full"));
  EXPECT_FALSE(json.at("resumed_at").is_null());
  EXPECT_EQ(runs_->bytes("output.ct"), runs_->expected());
  EXPECT_FALSE(fs::exists(folder));
}

/// A real one, where this may be mounted.
TEST_F(CheckpointKill, AFullFileSystemEndsTheRunAndTheNextGoesOn) {
  const auto& shell = runs_->shell();
  const fs::path folder = shell / "mounted";
  fs::create_directory(folder);
  if (mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=20k") != 0) GTEST_SKIP() << "skipped: may not mount";
  const Outcome full = shell.hearth(KilledRuns::kept("$D/mounted"));
  EXPECT_EQ(full.code, cli::kFailure);
  EXPECT_NE(full.err.find("No space left on device"), std::string::npos) << full.err;
  EXPECT_NE(full.err.find("make room"), std::string::npos) << full.err;
  EXPECT_EQ(mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
  EXPECT_EQ(shell.hearth(KilledRuns::kept("$D/mounted")).code, 0);
  EXPECT_EQ(runs_->bytes("output.ct"), runs_->expected());
  EXPECT_TRUE(fs::is_empty(folder)) << "it was there before, so it stays";
  umount(folder.c_str());
}

}  // namespace
}  // namespace hearth
