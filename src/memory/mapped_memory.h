#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>

namespace hearth::memory {

/// Memory that is not the process's ordinary DRAM, or stands in for such. Owns it. Zeros at first.
class MappedMemory {
 public:
  /// A file without a name in this folder, mapped: straight to the device on DAX file systems (synchronous() is then
  /// true), through the page cache elsewhere. Its room is taken at once: Error(kResource) where there is not enough,
  /// Error(kIo) where the folder cannot hold such a file.
  static MappedMemory of_file(const std::filesystem::path& folder, std::uint64_t bytes);
  /// Memory of one NUMA node. Error(kInvalidArgument) where there is no such node or no NUMA at all, Error(kResource)
  /// where its free memory is less.
  static MappedMemory of_node(int node, std::uint64_t bytes);
  /// Ordinary memory outside Hearth's accounts, to stand in for a device. Error(kResource).
  static MappedMemory anonymous(std::uint64_t bytes);

  std::span<std::byte> bytes() const { return bytes_; }
  bool synchronous() const { return synchronous_; }

 private:
  using Release = std::function<void()>;
  struct Releaser {
    void operator()(Release* release) const;
  };
  MappedMemory(void* memory, std::uint64_t bytes, Release release, bool synchronous = false);

  std::span<std::byte> bytes_;
  bool synchronous_;
  std::unique_ptr<Release, Releaser> release_;
};

}  // namespace hearth::memory
