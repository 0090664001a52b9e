#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/container.h"

namespace hearth::testing {

/// The container that a fuzzer meant: data that starts with "HEARTH" as it is, anything else as a list of sections
/// (tag, u32 length, payload), the last one cut to what is there, put into a container with right checksums.
inline std::vector<std::byte> rebuilt_container(FileKind kind, std::span<const std::byte> data) {
  if (data.size() >= 6 && std::memcmp(data.data(), "HEARTH", 6) == 0) return {data.begin(), data.end()};
  ContainerWriter out(kind);
  while (data.size() >= 8) {
    std::uint32_t tag = 0, length = 0;
    std::memcpy(&tag, data.data(), 4);
    std::memcpy(&length, data.data() + 4, 4);
    data = data.subspan(8);
    const std::size_t size = std::min<std::size_t>(length, data.size());
    out.add_section(tag, data.first(size));
    data = data.subspan(size);
  }
  return out.finish();
}

/// The list of sections that rebuilt_container turns back into this container.
inline std::vector<std::byte> section_list(std::span<const std::byte> container) {
  const ContainerReader in(container);
  ByteWriter out;
  for (const SectionInfo& section : in.sections()) {
    out.u32(section.tag);
    out.u32(static_cast<std::uint32_t>(section.length));
    out.bytes(in.read_section(section).span());
  }
  return out.take();
}

}  // namespace hearth::testing
