#include <stdlib.h>

#include "tests/cli/killed_runs.h"

// Fifty kills: on the disk, where flushing takes a good part of the time, and in memory, where nearly every instruction
// gets a checkpoint.
namespace hearth {
namespace {

TEST(CheckpointKillSlow, FiftyKillsAtRandomMoments) {
  const testing::KilledRuns runs;
  EXPECT_GE(runs.sweep(25, 2, runs.shell() / "kept"), 3) << "some kills come late enough to leave progress";
  if (std::filesystem::exists("/dev/shm")) setenv("TMPDIR", "/dev/shm", 1);
  const TemporaryFolder memory;
  EXPECT_GE(runs.sweep(25, 3, memory / "kept"), 3);
}

}  // namespace
}  // namespace hearth
