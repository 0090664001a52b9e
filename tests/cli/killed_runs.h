#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <random>
#include <thread>

#include "base/file.h"
#include "tests/cli/shell.h"

namespace hearth::testing {

/// A residual network with ReLUs and two encrypted inputs, on a ring far too small to be secure; what an uninterrupted
/// run gives; and runs of it that are killed.
class KilledRuns {
 public:
  KilledRuns() {
    shell_.json(
        "compile models/digits_resnet.onnx --calibration models/digits_calibration.npy --insecure --log-n 11 -o "
        "\"$D/out\"");
    shell_.json("keygen \"$D/out/client.hearth\" -o \"$D/keys\" --insecure");
    shell_.json(
        "encrypt \"$D/out/client.hearth\" --insecure --key \"$D/keys/secret.key\" --input models/digits_images.npy "
        "--count 2 -o \"$D/input.ct\"");
    seconds_ = shell_.json(plain("expected.ct")).at("run_seconds").get<double>();
    expected_ = bytes("expected.ct");
  }

  const Shell& shell() const { return shell_; }
  /// Of an uninterrupted run, without loading.
  double seconds() const { return seconds_; }
  std::vector<std::byte> bytes(const std::string& name) const { return read_file(shell_ / name, 1 << 24); }

  static std::string plain(const std::string& output) {
    return "run \"$D/out/server.hearth\" --keys \"$D/keys/evaluation.key\" --input \"$D/input.ct\" -o \"$D/" + output +
           "\"";
  }
  static std::string kept(const std::string& folder) { return plain("output.ct") + " --checkpoint \"" + folder + "\""; }

  /// Starts the command on a folder for checkpoints and kills it after so long, or lets it end. Returns whether it was
  /// killed.
  bool killed_after(double seconds, const std::filesystem::path& folder) const {
    const std::string program = std::string(HEARTH_PROGRAMS) + "/hearth-run";
    const pid_t child = fork();
    if (child == 0) {
      if (!std::freopen("/dev/null", "w", stdout)) _exit(127);
      const auto path = [&](const char* name) { return (shell_ / name).string(); };
      execl(program.c_str(), program.c_str(), path("out/server.hearth").c_str(), "--keys",
            path("keys/evaluation.key").c_str(), "--input", path("input.ct").c_str(), "-o", path("output.ct").c_str(),
            "--checkpoint", folder.c_str(), "--json", "--quiet", nullptr);
      _exit(127);
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    kill(child, SIGKILL);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << status;
    return WIFSIGNALED(status);
  }

  /// Kills runs at this many random moments (some while they load, some when they already went on from a checkpoint),
  /// lets the last of each series end, and expects the bytes of an uninterrupted run. Returns how many series went on
  /// from progress.
  int sweep(int kills, unsigned seed, const std::filesystem::path& folder) const {
    std::mt19937 random(seed);
    int resumed = 0;
    for (int done = 0; done < kills;) {
      std::filesystem::remove(shell_ / "output.ct");
      const int series = 1 + static_cast<int>(random() % 3);
      for (int k = 0; k < series; ++k, ++done) {
        // Loading takes about as long as running.
        killed_after(std::uniform_real_distribution<>(0, 2 * seconds_)(random), folder);
      }
      const cli::Json json = shell_.json(kept(folder.string()) + (series == 2 ? " --threads 1" : ""));
      resumed += json.at("resumed_at").is_null() ? 0 : 1;
      EXPECT_EQ(bytes("output.ct"), expected_) << "after " << done << " kills";
      EXPECT_FALSE(std::filesystem::exists(folder));
    }
    return resumed;
  }

  const std::vector<std::byte>& expected() const { return expected_; }

 private:
  Shell shell_;
  double seconds_ = 0;
  std::vector<std::byte> expected_;
};

}  // namespace hearth::testing
