#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "cli/common/process.h"

// Memory limits by the operating system, for comparison. Linux, as root.
namespace hearth::bench {

/// A swap file, in use until the end of the scope. Error(kResource) if that cannot be.
class SwapFile {
 public:
  SwapFile(std::filesystem::path path, std::uint64_t bytes) : path_(std::move(path)) {
    const std::string make =
        fmt::format("umask 077 && fallocate -l {} \"$0\" && mkswap \"$0\" >/dev/null && swapon \"$0\"", bytes);
    if (cli::run_process("/bin/sh", {"-c", make, path_.string()}).exit_code == 0) return;
    remove();
    fail(ErrorKind::kResource, "no swap file of {} MiB could be taken into use at {}", bytes >> 20, path_.string());
  }
  ~SwapFile() {
    try {
      const int code = cli::run_process("/bin/sh", {"-c", "swapoff \"$0\"", path_.string()}).exit_code;
      if (code != 0) fmt::print(stderr, "{} is still in use: swapoff failed\n", path_.string());
    } catch (const std::exception& error) {
      fmt::print(stderr, "{} is still in use: {}\n", path_.string(), error.what());
    }
    remove();
  }
  SwapFile(const SwapFile&) = delete;
  SwapFile& operator=(const SwapFile&) = delete;

 private:
  void remove() const noexcept {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }

  std::filesystem::path path_;
};

/// A memory cgroup (version 1 or 2) below another, without a limit for swap; removed at the end of the scope, when all
/// its processes must have ended. Error(kResource) if that cannot be.
class MemoryGroup {
 public:
  MemoryGroup(const std::filesystem::path& parent, std::uint64_t bytes)
      : path_(parent / fmt::format("hearth-bench-{}", ::getpid())) {
    std::error_code error;
    std::filesystem::create_directory(path_, error);
    require(!error, ErrorKind::kResource, "no cgroup can be made at {}: {}", path_.string(), error.message());
    for (const char* limit : {"memory.max", "memory.limit_in_bytes"}) {
      if (std::filesystem::exists(path_ / limit) && write(limit, std::to_string(bytes))) return;
    }
    remove();
    fail(ErrorKind::kResource, "{} does not limit memory", parent.string());
  }
  ~MemoryGroup() { remove(); }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;

  /// A process that writes its number there is in the group, and so are those it starts.
  std::string processes() const { return (path_ / "cgroup.procs").string(); }

 private:
  bool write(const char* file, const std::string& text) const {
    std::ofstream out(path_ / file);
    out << text;
    return static_cast<bool>(out.flush());
  }
  /// A killed process may take a moment to leave.
  void remove() const noexcept {
    for (int i = 0; i < 100 && ::rmdir(path_.c_str()) != 0 && errno == EBUSY; ++i) ::usleep(20000);
  }

  std::filesystem::path path_;
};

}  // namespace hearth::bench
