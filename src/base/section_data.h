#pragma once

#include <fmt/format.h>

#include "base/container.h"

namespace hearth {

/// A section of a file in memory, and a reader over it whose messages name both. Throws as
/// ContainerReader::read_section.
struct SectionData {
  SectionData(const ContainerReader& file, const SectionInfo& section)
      : data(file.read_section(section)),
        in(data.span(), fmt::format("section {} of {}", to_string_tag(section.tag), file.name())) {}
  /// The only section of that tag.
  SectionData(const ContainerReader& file, SectionTag tag) : SectionData(file, file.section(tag)) {}
  Buffer<std::byte> data;
  ByteReader in;
};

}  // namespace hearth
