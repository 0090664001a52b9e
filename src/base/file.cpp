#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "base/container.h"
#include "base/error.h"

namespace hearth {
namespace {

namespace fs = std::filesystem;

/// The largest piece given to one system call, which may cut at 2^31 bytes.
constexpr std::size_t kPiece = std::size_t{1} << 30;

[[noreturn]] void fail_io(const char* what, const fs::path& path) {
  const int code = errno;
  fail(ErrorKind::kIo, "cannot {} {}: {}", what, path.string(), std::generic_category().message(code));
}

template <typename Call>
auto retry(Call&& call) {
  while (true) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

int open_to_read(const fs::path& path) {
  const int descriptor = retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (descriptor < 0) fail_io("open", path);
  return descriptor;
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { ::close(value_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

struct stat status_of(int descriptor, const fs::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_io("examine", path);
  require(!S_ISDIR(status.st_mode), ErrorKind::kIo, "cannot read {}: it is a folder", path.string());
  return status;
}

/// Names of temporaries, for remove_unfinished_files. Whoever takes a name out owns it: the file that put it there, or
/// a signal handler, which leaves it allocated. Beyond the table's size names are not kept.
std::array<std::atomic<char*>, 64> unfinished;
static_assert(std::atomic<char*>::is_always_lock_free, "used by signal handlers");

char* list_unfinished(const fs::path& path) {
  char* const name = ::strdup(path.c_str());
  if (!name) return nullptr;
  for (auto& entry : unfinished) {
    char* expected = nullptr;
    if (entry.compare_exchange_strong(expected, name)) return name;
  }
  std::free(name);
  return nullptr;
}

void forget_unfinished(char* name) {
  if (!name) return;
  for (auto& entry : unfinished) {
    char* expected = name;
    if (entry.compare_exchange_strong(expected, nullptr)) return std::free(name);
  }
}

void check_replaceable(const fs::path& path, Replace replace) {
  std::error_code ignored;
  const fs::file_status present = fs::status(path, ignored);
  if (!fs::exists(present)) return;
  require(fs::is_regular_file(present), ErrorKind::kInvalidArgument,
          "{} is not a regular file and will not be replaced: choose another path", path.string());
  require(replace == Replace::kAnything || !is_secret_key_file(path), ErrorKind::kInvalidArgument,
          "{} is a secret key and will not be replaced: choose another path", path.string());
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

}  // namespace

std::vector<std::byte> read_file(const fs::path& path, std::uint64_t max_bytes) {
  const Descriptor file(open_to_read(path));
  const struct stat status = status_of(file.get(), path);
  const auto expected = static_cast<std::uint64_t>(std::max<off_t>(status.st_size, 0));
  require(expected <= max_bytes, ErrorKind::kResource, "{} has {} bytes, at most {} are accepted", path.string(),
          expected, max_bytes);
  std::vector<std::byte> out(static_cast<std::size_t>(expected));
  std::size_t size = 0;
  // One byte more than expected is asked for, since only an empty read proves the end.
  while (true) {
    if (size == out.size()) out.resize(size + (size == expected ? 1 : std::max<std::size_t>(size, 4096)));
    const ssize_t got =
        retry([&] { return ::read(file.get(), out.data() + size, std::min(out.size() - size, kPiece)); });
    if (got < 0) fail_io("read", path);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
    require(size <= max_bytes, ErrorKind::kResource, "{} has more than the {} bytes accepted", path.string(),
            max_bytes);
  }
  out.resize(size);
  return out;
}

void write_file_atomic(const fs::path& path, std::span<const std::byte> data, Secrecy secrecy) {
  AtomicFile file(path, secrecy);
  file.append(data);
  file.commit();
}

void write_file_atomic(const fs::path& path, std::string_view text, Secrecy secrecy) {
  write_file_atomic(path, std::as_bytes(std::span(text)), secrecy);
}

void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  static_cast<void>(::fsync(descriptor));
  ::close(descriptor);
}

void remove_unfinished_files() noexcept {
  for (auto& entry : unfinished) {
    if (const char* const name = entry.exchange(nullptr)) ::unlink(name);
  }
}

AtomicFile::AtomicFile(fs::path path, Secrecy secrecy, Replace replace) : path_(std::move(path)), replace_(replace) {
  check_replaceable(path_, replace_);
  static std::atomic<unsigned> counter{0};
  const mode_t mode = secrecy == Secrecy::kSecret ? 0600 : 0666;
  constexpr int kAttempts = 1000;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    temporary_ =
        folder_of(path_) / fmt::format(".{}.{}-{}.tmp", path_.filename().string(), ::getpid(), counter.fetch_add(1));
    listed_ = list_unfinished(temporary_);  // before it exists: a signal may come at any time
    descriptor_ = retry([&] { return ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode); });
    if (descriptor_ >= 0) return;
    const int code = errno;
    forget_unfinished(std::exchange(listed_, nullptr));
    errno = code;
    if (code != EEXIST) break;
  }
  fail_io("write", path_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
  forget_unfinished(listed_);
}

void AtomicFile::append(std::span<const std::byte> data) {
  write_at(size_, data);
  size_ += data.size();
}

void AtomicFile::overwrite(std::uint64_t offset, std::span<const std::byte> data) {
  require(offset <= size_ && data.size() <= size_ - offset, ErrorKind::kInternal,
          "overwriting bytes {} to {} of a file of {}", offset, offset + data.size(), size_);
  write_at(offset, data);
}

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> data) {
  require(descriptor_ >= 0, ErrorKind::kInternal, "writing to {} after it was committed", path_.string());
  while (!data.empty()) {
    const ssize_t written = retry(
        [&] { return ::pwrite(descriptor_, data.data(), std::min(data.size(), kPiece), static_cast<off_t>(offset)); });
    if (written < 0) fail_io("write", path_);
    offset += static_cast<std::uint64_t>(written);
    data = data.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::sync() {
  require(descriptor_ >= 0, ErrorKind::kInternal, "{} was committed twice", path_.string());
  if (retry([&] { return ::fsync(descriptor_); }) != 0) fail_io("write", path_);
}

void AtomicFile::commit() {
  sync();
  check_replaceable(path_, replace_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_io("replace", path_);
  ::close(std::exchange(descriptor_, -1));
  forget_unfinished(std::exchange(listed_, nullptr));
  sync_folder(folder_of(path_));
}

InputFile::InputFile(fs::path path) : path_(std::move(path)), descriptor_(open_to_read(path_)) {
  struct stat status {};
  const bool regular = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular) ::close(std::exchange(descriptor_, -1));
  require(regular, ErrorKind::kIo, "cannot read {}: it is not a regular file", path_.string());
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = retry(
        [&] { return ::pread(descriptor_, out.data(), std::min(out.size(), kPiece), static_cast<off_t>(offset)); });
    if (got < 0) fail_io("read", path_);
    require(got > 0, ErrorKind::kCorrupt, "{} is cut short: {} bytes expected at offset {}, none left", path_.string(),
            out.size(), offset);
    offset += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace hearth
