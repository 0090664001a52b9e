#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <thread>

#include "expect_error.h"
#include "temporary_folder.h"

namespace hearth {
namespace {

std::vector<std::byte> numbered(std::size_t size) {
  std::vector<std::byte> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 7);
  return out;
}

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_mode & 0777;
}

TEST(File, RoundTripsAllSizes) {
  const TemporaryFolder folder;
  for (const std::size_t size : {0U, 1U, 4095U, 4096U, 4097U, 1'000'000U}) {
    write_file_atomic(folder / "file", numbered(size));
    EXPECT_EQ(read_file(folder / "file", size), numbered(size));
  }
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(File, RefusesMoreThanTheLimit) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "file", numbered(100));
  expect_error(ErrorKind::kResource, "100 bytes, at most 99", [&] { read_file(folder / "file", 99); });
}

TEST(File, ReadsPipesUpToTheLimit) {
  const TemporaryFolder folder;
  const auto path = folder / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  for (const std::uint64_t limit : {10'000U, 9'999U}) {
    std::thread writer([&] {
      std::ofstream out(path, std::ios::binary);
      const std::string text(10'000, 'x');
      out.write(text.data(), static_cast<std::streamsize>(text.size()));
    });
    if (limit == 10'000U) {
      EXPECT_EQ(read_file(path, limit).size(), 10'000U);
    } else {
      expect_error(ErrorKind::kResource, "more than the 9999 bytes", [&] { read_file(path, limit); });
    }
    writer.join();
  }
}

TEST(File, NamesWhatCannotBeRead) {
  const TemporaryFolder folder;
  expect_error(ErrorKind::kIo, (folder / "nothing").string(), [&] { read_file(folder / "nothing", 10); });
  expect_error(ErrorKind::kIo, "it is a folder", [&] { read_file(folder.path(), 10); });
  expect_error(ErrorKind::kIo, "not a regular file", [&] { InputFile file(folder.path()); });
}

TEST(File, SecretsAreForTheOwnerOnly) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "secret", numbered(3));
  write_file_atomic(folder / "secret", numbered(3), Secrecy::kSecret);
  EXPECT_EQ(mode_of(folder / "secret"), 0600U);
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "file", "before");
  {
    AtomicFile file(folder / "file");
    file.append(numbered(10));
    EXPECT_EQ(folder.entries(), 2U);
    EXPECT_EQ(read_file(folder / "file", 100).size(), 6U);
  }
  EXPECT_EQ(folder.entries(), 1U);
  EXPECT_EQ(read_file(folder / "file", 100).size(), 6U);
}

TEST(AtomicFile, OverwritesOnlyWhatIsThere) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "file");
  file.append(numbered(10));
  file.overwrite(8, std::vector<std::byte>{std::byte{1}, std::byte{2}});
  expect_error(ErrorKind::kInternal, "overwriting", [&] { file.overwrite(9, std::vector<std::byte>(2)); });
  file.commit();
  auto expected = numbered(10);
  expected[8] = std::byte{1};
  expected[9] = std::byte{2};
  EXPECT_EQ(read_file(folder / "file", 10), expected);
  expect_error(ErrorKind::kInternal, "after it was committed", [&] { file.append(numbered(1)); });
}

TEST(AtomicFile, AProcessThatEndsEarlyCanRemoveItsTemporaries) {
  const TemporaryFolder folder;
  std::vector<std::unique_ptr<AtomicFile>> files;
  for (int i = 0; i < 5; ++i) {
    files.push_back(std::make_unique<AtomicFile>(folder / std::to_string(i)));
    files.back()->append(numbered(10));
  }
  files[1]->commit();
  files[3].reset();
  EXPECT_EQ(folder.entries(), 4U);
  remove_unfinished_files();
  EXPECT_EQ(folder.entries(), 1U);
  EXPECT_TRUE(std::filesystem::exists(folder / "1"));
  expect_error(ErrorKind::kIo, "cannot replace", [&] { files[0]->commit(); });
}

TEST(AtomicFile, RefusesToReplaceWhatIsNoFile) {
  const TemporaryFolder folder;
  expect_error(ErrorKind::kInvalidArgument, "not a regular file", [&] { write_file_atomic(folder.path(), "text"); });
  expect_error(ErrorKind::kInvalidArgument, "/dev/null", [&] { write_file_atomic("/dev/null", "text"); });
}

TEST(AtomicFile, SaysWhyAFolderIsMissing) {
  const TemporaryFolder folder;
  expect_error(ErrorKind::kIo, "No such file", [&] { write_file_atomic(folder / "missing/file", "text"); });
}

TEST(InputFile, NoticesWhenTheFileShrinks) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "file", numbered(100));
  const InputFile file(folder / "file");
  std::vector<std::byte> part(20);
  file.read(50, part);
  EXPECT_EQ(part[0], numbered(51)[50]);
  ASSERT_EQ(::truncate((folder / "file").c_str(), 60), 0);
  expect_error(ErrorKind::kCorrupt, "cut short", [&] { file.read(50, part); });
}

}  // namespace
}  // namespace hearth
