#include <gtest/gtest.h>

#include <atomic>

#include "base/file.h"
#include "tests/base/expect_error.h"
#include "tests/service/party.h"

// A batch that is ended at every place where it can be, and goes on.
namespace hearth::service {
namespace {

namespace fs = std::filesystem;
using testing::Party;

class KeptRuns : public ::testing::Test {
 protected:
  KeptRuns() {
    // Without a prediction no instruction is too short for a checkpoint.
    compiler::ServerBundle bundle = testing::tiny_server();
    bundle.prediction = {};
    compiler::write_bundle(party_.path("server"), bundle);
    party_.run();
    fs::rename(party_.path("output"), party_.path("expected"));
  }

  std::vector<std::byte> bytes(const char* name) const { return read_file(party_.path(name), 1 << 24); }
  Checkpointing keeping() const { return {.folder = party_.path("kept"), .every = 0, .resumed = {}}; }

  KeptRun run(const std::function<void()>& checkpoint = {}, std::vector<runtime::RunReport>* reports = nullptr) const {
    const Server server = party_.server();
    return server.run_kept(server.load_keys(party_.path("keys")), party_.path("input"), party_.path("output"),
                           keeping(), reports, {}, checkpoint);
  }

  struct Stop {};
  /// Ends the run at the so many-th chance.
  void stop_at(int limit) const {
    std::atomic<int> calls = 0;
    EXPECT_THROW(run([&] {
                   if (++calls >= limit) throw Stop{};
                 }),
                 Stop);
  }

  Party party_;
};

TEST_F(KeptRuns, GiveTheSameBytesAndLeaveNothing) {
  const std::size_t before = party_.entries();
  std::vector<runtime::RunReport> reports;
  const KeptRun kept = run({}, &reports);
  EXPECT_FALSE(kept.resumed);
  EXPECT_GE(kept.cost.saves, 3U);
  EXPECT_EQ(bytes("output"), bytes("expected"));
  EXPECT_EQ(party_.entries(), before + 1);
  EXPECT_EQ(reports.size(), 3U);
}

TEST_F(KeptRuns, GoOnWhereverTheyWereEnded) {
  int chances = 0;
  run([&] { ++chances; });
  ASSERT_GT(chances, 9);
  const std::size_t before = party_.entries();
  std::uint32_t latest = 0;
  for (int limit = 1; limit < chances; ++limit) {
    fs::remove(party_.path("output"));
    stop_at(limit);
    EXPECT_EQ(party_.entries(), before) << "the folder, and no output";
    std::vector<runtime::RunReport> reports;
    const KeptRun kept = run({}, &reports);
    EXPECT_EQ(bytes("output"), bytes("expected")) << limit;
    EXPECT_EQ(party_.entries(), before);
    ASSERT_EQ(reports.size(), 3U);
    for (const auto& report : reports) EXPECT_EQ(report.stages.size(), 3U);
    if (kept.resumed) latest = std::max(latest, kept.resumed->input);
  }
  EXPECT_EQ(latest, 2U) << "finished inputs are not run again";
}

TEST_F(KeptRuns, AreNotMixedUp) {
  stop_at(8);
  Party other;
  fs::copy_file(other.path("keys"), party_.path("keys"), fs::copy_options::overwrite_existing);
  fs::copy_file(other.path("input"), party_.path("input"), fs::copy_options::overwrite_existing);
  expect_error(ErrorKind::kMismatch, "secret key", [&] { run(); });
  EXPECT_TRUE(fs::exists(party_.path("kept") / "manifest.hearth"));
}

TEST_F(KeptRuns, RefuseAnotherInputOfTheSameClient) {
  stop_at(8);
  const Client client = party_.client();
  client.encrypt_file(client.load_secret(party_.path("secret")), Party::inputs(), "inputs", 0, 3, party_.path("input"));
  expect_error(ErrorKind::kMismatch, "another file of encrypted inputs", [&] { run(); });
}

TEST_F(KeptRuns, AnOutputThatCannotBeWrittenIsRefusedFirst) {
  fs::remove(party_.path("output"));
  fs::create_directory(party_.path("output"));
  expect_error(ErrorKind::kInvalidArgument, "not a regular file", [&] { run(); });
  EXPECT_FALSE(fs::exists(party_.path("kept")));
}

}  // namespace
}  // namespace hearth::service
