#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace hearth {

/// Reads a whole file (or a pipe, until its end). Throws Error(kIo) if it cannot be opened or read, Error(kResource) if
/// it holds more than `max_bytes`. Thread safe.
std::vector<std::byte> read_file(const std::filesystem::path& path, std::uint64_t max_bytes);

/// What a new file may take the place of.
enum class Replace {
  kAllButSecrets,  ///< anything except a secret key of Hearth: nothing can bring that back
  kAnything
};

/// Puts `data` at `path` so that at any time, even after a crash, `path` holds either what it held before or all of
/// `data`. kSecret: only the owner may read it (mode 0600). Throws Error(kIo), and Error(kInvalidArgument) as
/// AtomicFile does. Thread safe.
void write_file_atomic(const std::filesystem::path& path, std::span<const std::byte> data,
                       Secrecy secrecy = Secrecy::kPublic);
void write_file_atomic(const std::filesystem::path& path, std::string_view text, Secrecy secrecy = Secrecy::kPublic);

/// Makes what was created, renamed or removed in `folder` survive a crash. Some file systems cannot; that is no error.
void sync_folder(const std::filesystem::path& folder);

/// Removes all files in the making (AtomicFile). Only for signal handlers of a process that ends right after: safe
/// there, whatever other threads do; the files can be written to but not committed any more.
void remove_unfinished_files() noexcept;

/// A file in the making beside its final path; it takes that path's place at commit() and vanishes without it. Throws
/// Error(kIo) naming the path, Error(kInvalidArgument) if the path is there but not a regular file, or may not be
/// replaced; commit() looks again. One thread at a time.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path, Secrecy secrecy = Secrecy::kPublic,
                      Replace replace = Replace::kAllButSecrets);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(std::span<const std::byte> data);
  /// Overwrites bytes that were appended before.
  void overwrite(std::uint64_t offset, std::span<const std::byte> data);
  std::uint64_t size() const { return size_; }
  /// Makes the content durable and visible at the path. Nothing may be written after.
  void commit();
  /// Only the first half of commit(): makes the content durable, so that little is left that could fail.
  void sync();
  const std::filesystem::path& path() const { return path_; }

 private:
  void write_at(std::uint64_t offset, std::span<const std::byte> data);

  std::filesystem::path path_, temporary_;
  Replace replace_;
  char* listed_ = nullptr;  // the temporary's name as remove_unfinished_files knows it
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// A regular file open for reading at any offset. Thread safe.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const { return size_; }  ///< when it was opened
  /// Fills `out`; Error(kCorrupt) if the file has meanwhile become too short.
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace hearth
