#pragma once

#include <cstdint>
#include <filesystem>

namespace hearth::memory {

/// A file without a name, only for its owner: it vanishes with this object, and also when the process is killed. Reads
/// of what was never written give zeros. Not movable, so that others may hold its descriptor.
class UnnamedFile {
 public:
  enum class Caching {
    kKernel,  ///< reads and writes go through the page cache
    kDirect   ///< they pass it by where the file system allows it: see direct()
  };

  /// Of `bytes` bytes, which take no room until they are written. Error(kIo) if the folder is missing or nothing can be
  /// made there, Error(kResource) if the file system cannot hold files of that size.
  UnnamedFile(const std::filesystem::path& folder, std::uint64_t bytes, Caching caching);
  ~UnnamedFile();
  UnnamedFile(const UnnamedFile&) = delete;
  UnnamedFile& operator=(const UnnamedFile&) = delete;

  int descriptor() const { return descriptor_; }
  /// Whether the page cache is passed by (O_DIRECT); transfers are then aligned to 4096 bytes.
  bool direct() const { return direct_; }
  /// Takes all the room at once, so that no write fails later. Error(kResource) where there is not enough.
  void reserve();

 private:
  std::filesystem::path folder_;
  std::uint64_t bytes_;
  int descriptor_ = -1;
  bool direct_ = false;
};

}  // namespace hearth::memory
