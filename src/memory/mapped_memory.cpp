#include "memory/mapped_memory.h"

#include <numa.h>
#include <sys/mman.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "memory/unnamed_file.h"

namespace hearth::memory {
namespace {

namespace fs = std::filesystem;

void* map(std::uint64_t bytes, int flags, int descriptor) {
  return ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, descriptor, 0);
}

std::string nodes() {
  std::string text;
  for (int node = 0; node <= numa_max_node(); ++node) {
    if (numa_bitmask_isbitset(numa_all_nodes_ptr, static_cast<unsigned>(node))) text += fmt::format(" {}", node);
  }
  return text;
}

void check_node(int node, std::uint64_t bytes) {
  require(numa_available() >= 0, ErrorKind::kInvalidArgument,
          "NUMA node {} was asked for, but this kernel has no NUMA support", node);
  const bool there = node >= 0 && node <= numa_max_node() &&
                     numa_bitmask_isbitset(numa_all_nodes_ptr, static_cast<unsigned>(node)) != 0;
  require(there, ErrorKind::kInvalidArgument, "there is no NUMA node {} that this process may use; there are:{}", node,
          nodes());
  long long free = 0;
  const bool known = numa_node_size64(node, &free) >= 0;
  require(!known || bytes <= static_cast<std::uint64_t>(free), ErrorKind::kResource,
          "NUMA node {} has {} bytes free, {} were asked for", node, free, bytes);
}

}  // namespace

void MappedMemory::Releaser::operator()(Release* release) const {
  (*release)();
  delete release;
}

MappedMemory::MappedMemory(void* memory, std::uint64_t bytes, Release release, bool synchronous)
    : bytes_(static_cast<std::byte*>(memory), bytes),
      synchronous_(synchronous),
      release_(new Release(std::move(release))) {}

MappedMemory MappedMemory::of_file(const fs::path& folder, std::uint64_t bytes) {
  UnnamedFile file(folder, bytes, UnnamedFile::Caching::kKernel);
  file.reserve();  // a write to a mapping that finds no room kills the process
  void* memory = map(bytes, MAP_SHARED_VALIDATE | MAP_SYNC, file.descriptor());
  const bool synchronous = memory != MAP_FAILED;
  if (!synchronous) memory = map(bytes, MAP_SHARED, file.descriptor());
  const int code = errno;
  require(memory != MAP_FAILED, ErrorKind::kIo, "cannot map a file of {} bytes in {}: {}", bytes, folder.string(),
          std::generic_category().message(code));
  return {memory, bytes, [memory, bytes] { ::munmap(memory, bytes); }, synchronous};
}

MappedMemory MappedMemory::of_node(int node, std::uint64_t bytes) {
  check_node(node, bytes);
  void* const memory = numa_alloc_onnode(bytes, node);
  require(memory != nullptr, ErrorKind::kResource, "cannot allocate {} bytes on NUMA node {}", bytes, node);
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  return {memory, bytes, [memory, bytes] { numa_free(memory, bytes); }};
}

MappedMemory MappedMemory::anonymous(std::uint64_t bytes) {
  void* const memory = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  require(memory != MAP_FAILED, ErrorKind::kResource, "cannot map {} bytes of memory", bytes);
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  return {memory, bytes, [memory, bytes] { ::munmap(memory, bytes); }};
}

}  // namespace hearth::memory
