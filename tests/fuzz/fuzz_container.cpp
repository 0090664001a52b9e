/// Opens a container, as it is and with the checksums of its header made right (a fuzzer cannot guess those), and reads
/// all of it; a section that is read whole must equal what is read of it in pieces.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "base/container.h"
#include "base/error.h"

namespace {

using namespace hearth;

void read_all(std::span<const std::byte> bytes) try {
  const ContainerReader reader(bytes);
  for (const SectionInfo& section : reader.sections()) {
    const Buffer<std::byte> whole = reader.read_section(section);
    std::size_t at = 0;
    reader.stream_section(section, 7, [&](std::span<const std::byte> piece) {
      if (!std::equal(piece.begin(), piece.end(), whole.data() + at)) std::abort();
      at += piece.size();
    });
    if (at != whole.size()) std::abort();
  }
} catch (const Error&) {
}

/// As whoever forges a file would: see docs/format_container.md for the offsets.
void repair_checksums(std::vector<std::byte>& bytes) {
  constexpr std::size_t kHeaderBytes = 56, kChecked = 40, kEntryBytes = 32;
  if (bytes.size() < kHeaderBytes) return;
  std::uint32_t sections = 0;
  std::memcpy(&sections, bytes.data() + 12, sizeof sections);
  const std::size_t table = std::min(std::size_t{sections} * kEntryBytes, bytes.size() - kHeaderBytes);
  const Checksum of_table = checksum_of(std::span(bytes).last(table));
  std::copy(of_table.begin(), of_table.end(), bytes.begin() + 24);
  const Checksum of_header = checksum_of(std::span(bytes).first(kChecked));
  std::copy(of_header.begin(), of_header.end(), bytes.begin() + kChecked);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read_all(bytes);
  std::vector<std::byte> repaired(bytes.begin(), bytes.end());
  repair_checksums(repaired);
  read_all(repaired);
  return 0;
}
