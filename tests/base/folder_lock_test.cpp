#include "base/folder_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "base/file.h"
#include "expect_error.h"
#include "temporary_folder.h"

namespace hearth {
namespace {

TEST(FolderLock, IsForOneAtATime) {
  const TemporaryFolder folder;
  std::optional<FolderLock> first(std::in_place, folder.path());
  expect_error(ErrorKind::kResource, "in use by another process", [&] { FolderLock second(folder.path()); });
  first.reset();
  const FolderLock third(folder.path());
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(FolderLock, EndsWithItsProcess) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock held(folder.path());
    _exit(0);  // without destructors
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  const FolderLock next(folder.path());
}

TEST(FolderLock, IsNoneOnceRemoved) {
  const TemporaryFolder folder;
  FolderLock first(folder.path());
  first.remove();
  EXPECT_EQ(folder.entries(), 0U);
  const FolderLock second(folder.path());
  expect_error(ErrorKind::kResource, "in use", [&] { FolderLock third(folder.path()); });
}

TEST(FolderLock, NeedsAFolder) {
  const TemporaryFolder folder;
  expect_error(ErrorKind::kIo, "nothing", [&] { FolderLock lock(folder / "nothing"); });
  write_file_atomic(folder / "file", std::string_view("text"));
  expect_error(ErrorKind::kIo, "file", [&] { FolderLock lock(folder / "file"); });
}

}  // namespace
}  // namespace hearth
