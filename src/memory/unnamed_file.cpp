#include "memory/unnamed_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <limits>
#include <string>
#include <system_error>

#include "base/error.h"

namespace hearth::memory {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlock = 4096;

[[noreturn]] void fail_file(const fs::path& folder, const char* what, std::uint64_t bytes, int code) {
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  fail(full ? ErrorKind::kResource : ErrorKind::kIo, "cannot {} a file of {} bytes in {}: {}", what, bytes,
       folder.string(), std::generic_category().message(code));
}

/// -1 and errno where the file system has no unnamed files.
int open_unnamed(const fs::path& folder) { return ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600); }

/// For file systems without O_TMPFILE: the name lives for a moment only.
int open_and_unlink(const fs::path& folder) {
  std::string name = (folder / ".hearth-tier-XXXXXX").string();
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor >= 0) ::unlink(name.c_str());
  return descriptor;
}

bool set_direct(int descriptor, bool direct) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  return flags >= 0 && ::fcntl(descriptor, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

/// Some file systems accept the flag and refuse the transfers, or want them aligned to more.
bool direct_reads_work(int descriptor) {
  alignas(kBlock) std::byte block[kBlock];
  return ::pread(descriptor, block, kBlock, 0) == static_cast<ssize_t>(kBlock);
}

}  // namespace

UnnamedFile::UnnamedFile(const fs::path& folder, std::uint64_t bytes, Caching caching)
    : folder_(folder), bytes_(bytes) {
  descriptor_ = open_unnamed(folder);
  // EISDIR and ENOENT are what kernels and file systems that do not know the flag answer.
  if (descriptor_ < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL)) {
    descriptor_ = open_and_unlink(folder);
  }
  if (descriptor_ < 0) fail_file(folder, "make", bytes, errno);
  const bool fits = bytes <= static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (!fits || ::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) {
    const int code = fits ? errno : EFBIG;
    ::close(descriptor_);
    fail_file(folder, "make", bytes, code == EINVAL ? EFBIG : code);
  }
  if (caching == Caching::kKernel || !set_direct(descriptor_, true)) return;
  direct_ = direct_reads_work(descriptor_);
  if (!direct_) set_direct(descriptor_, false);
}

UnnamedFile::~UnnamedFile() { ::close(descriptor_); }

void UnnamedFile::reserve() {
  int code = 0;
  do {
    code = ::fallocate(descriptor_, 0, 0, static_cast<off_t>(bytes_)) == 0 ? 0 : errno;
  } while (code == EINTR);
  if (code != 0) fail_file(folder_, "reserve the room for", bytes_, code);
}

}  // namespace hearth::memory
