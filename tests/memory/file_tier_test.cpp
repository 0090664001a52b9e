#include "memory/file_tier.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "tests/base/temporary_folder.h"
#include "tests/memory/tier_exercises.h"

namespace hearth::memory {
namespace {

using testing::Aligned;
using testing::Ends;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class FileTierOf : public ::testing::TestWithParam<Engine> {
 protected:
  std::unique_ptr<FileTier> make(std::uint64_t capacity = 16 * kMiB) const {
    return std::make_unique<FileTier>("file", folder_.path(), capacity, GetParam());
  }
  TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Engines, FileTierOf, ::testing::Values(Engine::kBest, Engine::kThreads),
                         [](const auto& which) { return which.param == Engine::kBest ? "Best" : "Threads"; });

TEST_P(FileTierOf, KeepsWhatIsWritten) {
  const auto tier = make();
  testing::round_trip(*tier, 16 * kMiB, kMiB);
  testing::round_trip(*tier, 4 * kMiB, 4096);
  testing::round_trip(*tier, 16 * kMiB, 16 * kMiB);
}

TEST_P(FileTierOf, RegisteredMemoryIsOnlyAHint) {
  const auto tier = make();
  testing::round_trip(*tier, 8 * kMiB, 128 << 10, /*registered=*/true);
  testing::round_trip(*tier, 8 * kMiB, 128 << 10, /*registered=*/true);
  testing::round_trip(*tier, 8 * kMiB, 128 << 10);
}

TEST_P(FileTierOf, WhatWasNeverWrittenReadsAsZeros) {
  const auto tier = make();
  Aligned memory(kMiB), zeros(kMiB);
  testing::fill(memory.span(), 1);
  std::memset(zeros.span().data(), 0, kMiB);
  transfer_now(*tier, {.direction = Direction::kRead, .offset = 5 * kMiB, .memory = memory.span()});
  EXPECT_TRUE(testing::equal(memory.span(), zeros.span()));
}

TEST_P(FileTierOf, RefusesBadTransfers) { testing::refuses_bad_transfers(*make()); }

TEST_P(FileTierOf, EndsMayStartOthersWhileTheTierIsDestroyed) { testing::ends_may_start(make()); }

TEST_P(FileTierOf, ManyThreadsMayStart) {
  const auto tier = make();
  Aligned out(8 * kMiB), in(8 * kMiB);
  testing::fill(out.span(), 3);
  const auto all = [&](Direction direction, Aligned& memory) {
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        Ends ends;
        for (std::size_t i = 0; i < 64; ++i) {
          const std::size_t at = t * kMiB + i * 16384;
          tier->start({.direction = direction, .offset = at, .memory = memory.part(at, 16384)}, ends.count());
        }
        ends.wait(64);
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  all(Direction::kWrite, out);
  all(Direction::kRead, in);
  EXPECT_TRUE(testing::equal(out.span(), in.span()));
}

TEST_P(FileTierOf, NothingIsSeenInTheFolder) {
  const auto tier = make();
  testing::round_trip(*tier, kMiB, 4096);
  EXPECT_EQ(folder_.entries(), 0U);
}

TEST_P(FileTierOf, NothingIsLeftByAKilledProcess) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto tier = make();
    Aligned memory(kMiB);
    transfer_now(*tier, {.direction = Direction::kWrite, .offset = 0, .memory = memory.span()});
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(folder_.entries(), 0U);
}

TEST_P(FileTierOf, SaysWhyThereIsNoFile) {
  expect_error(ErrorKind::kIo, "No such file", [&] { FileTier("file", folder_ / "missing", kMiB, GetParam()); });
  expect_error(ErrorKind::kResource, "File too large", [&] { make(std::uint64_t{1} << 62); });
  expect_error(ErrorKind::kResource, "File too large", [&] { make(~std::uint64_t{0}); });
  expect_error(ErrorKind::kInvalidArgument, "at least 4096 bytes", [&] { make(4095); });
}

TEST_P(FileTierOf, HasTheFiguresItWasGiven) {
  const SpeedPoint point{.bytes = 1, .latency = 2, .bandwidth = 3};
  const FileTier tier("nvme:/here", folder_.path(), 10'000, GetParam(), {.read = {point}, .write = {point}});
  EXPECT_EQ(tier.name(), "nvme:/here");
  EXPECT_EQ(tier.capacity(), 8192U);
  EXPECT_EQ(tier.alignment(), 4096U);
  EXPECT_GE(tier.depth(), 4U);
  EXPECT_EQ(tier.speed().latency(Direction::kRead, 1), 2);
  EXPECT_FALSE(tier.emulated());
  EXPECT_FALSE(GetParam() == Engine::kThreads && tier.uses_io_uring());
}

enum Outcome { kAsExpected = 0, kOtherwise = 1, kCannotTry = 2 };

/// In a process that sees a disk of 1 MiB, mounted where no other process sees it.
Outcome fill_small_disk(const std::filesystem::path& folder, Engine engine) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return kCannotTry;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kCannotTry;
  if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=1m") != 0) return kCannotTry;
  FileTier tier("small", folder, 16 * kMiB, engine);
  Aligned memory(kMiB / 2), back(kMiB / 2);
  testing::fill(memory.span(), 9);
  transfer_now(tier, {.direction = Direction::kWrite, .offset = 0, .memory = memory.span()});
  try {
    for (std::size_t at = kMiB; at < 4 * kMiB; at += kMiB / 2) {
      transfer_now(tier, {.direction = Direction::kWrite, .offset = at, .memory = memory.span()});
    }
    return kOtherwise;
  } catch (const Error& error) {
    const bool says_so = std::string(error.what()).find("No space left") != std::string::npos;
    if (error.kind() != ErrorKind::kResource || !says_so) return kOtherwise;
  }
  transfer_now(tier, {.direction = Direction::kRead, .offset = 0, .memory = back.span()});
  return testing::equal(memory.span(), back.span()) ? kAsExpected : kOtherwise;
}

TEST_P(FileTierOf, AFullDiskEndsTransfersAndKeepsWhatWasWritten) {
  const pid_t child = ::fork();
  if (child == 0) {
    Outcome outcome = kOtherwise;
    try {
      outcome = fill_small_disk(folder_.path(), GetParam());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    ::_exit(outcome);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kCannotTry) GTEST_SKIP() << "this process may not mount a small disk";
  EXPECT_EQ(WEXITSTATUS(status), kAsExpected);
}

/// A file of 8192 bytes for the engines alone, which must notice when it is shorter than they were told.
TEST_P(FileTierOf, AReadThatHitsTheEndOfTheFileFails) {
  const UnnamedFile file(folder_.path(), 8192, UnnamedFile::Caching::kDirect);
  const auto engine = GetParam() == Engine::kThreads ? make_thread_engine(file.descriptor(), "cut")
                                                     : make_ring_engine(file.descriptor(), "cut");
  if (!engine) GTEST_SKIP() << "this kernel refuses io_uring";
  Aligned memory(16384);
  Ends ends;
  engine->start({.direction = Direction::kRead, .offset = 0, .memory = memory.span()}, ends.count());
  expect_error(ErrorKind::kIo, "the file has become too short", [&] { ends.wait(1); });
}

TEST(FileTier, ErrorsOfTheSystemAreTyped) {
  const Transfer transfer{.direction = Direction::kWrite, .offset = 7, .memory = {}};
  const auto kind_of = [&](int code) {
    try {
      std::rethrow_exception(transfer_error("x", transfer, code));
    } catch (const Error& error) {
      return error.kind();
    }
  };
  EXPECT_EQ(kind_of(ENOSPC), ErrorKind::kResource);
  EXPECT_EQ(kind_of(EDQUOT), ErrorKind::kResource);
  EXPECT_EQ(kind_of(EFBIG), ErrorKind::kResource);
  EXPECT_EQ(kind_of(EIO), ErrorKind::kIo);
  EXPECT_EQ(kind_of(0), ErrorKind::kIo);
}

}  // namespace
}  // namespace hearth::memory
