#pragma once

#include <filesystem>

namespace hearth {

/// Keeps a folder for one process at a time: holds a lock (flock) on the file "lock" in it, which the system takes back
/// when the process ends, however that happens. One thread at a time.
class FolderLock {
 public:
  static constexpr const char* kName = "lock";

  /// Of a folder that is there. Error(kResource) while another process (or object) holds it, Error(kIo).
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Removes the file; whoever comes next makes another, so only when nothing in the folder is needed any more.
  void remove() noexcept;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace hearth
