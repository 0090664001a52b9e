#include "base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace hearth {
namespace {

std::string message_of(int code) { return std::generic_category().message(code); }

/// Whether the path still leads to the open file: its owner may have removed it just before the lock was ours.
bool leads_to(const std::filesystem::path& path, int descriptor) {
  struct stat named {
  }, open{};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(descriptor, &open) == 0 && named.st_ino == open.st_ino &&
         named.st_dev == open.st_dev;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) : path_(folder / kName) {
  while (true) {
    const int descriptor = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    require(descriptor >= 0, ErrorKind::kIo, "cannot write {}: {}", path_.string(), message_of(errno));
    const int code = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (code == 0 && leads_to(path_, descriptor)) {
      descriptor_ = descriptor;
      return;
    }
    ::close(descriptor);
    require(code != EWOULDBLOCK, ErrorKind::kResource,
            "{} is in use by another process: wait for its end, or choose another folder", folder.string());
    require(code == 0 || code == EINTR, ErrorKind::kIo, "cannot lock {}: {}", path_.string(), message_of(code));
  }
}

FolderLock::~FolderLock() { ::close(descriptor_); }

void FolderLock::remove() noexcept { ::unlink(path_.c_str()); }

}  // namespace hearth
