#include "base/container.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "expect_error.h"
#include "temporary_folder.h"

namespace hearth {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kHeaderBytes = 56;
constexpr std::size_t kEntryBytes = 32;

Bytes text_bytes(std::string_view text) {
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

/// A ciphertext file with sections ONE ("first"), an empty one, and TWO ("second payload").
Bytes small_container() {
  ContainerWriter writer(FileKind::kCiphertext);
  writer.add_section(section_tag("ONE "), text_bytes("first"));
  writer.add_section(section_tag("NONE"), Bytes{});
  writer.add_section(section_tag("TWO "), text_bytes("second payload"));
  return writer.finish();
}

void read_all(std::span<const std::byte> data) {
  const ContainerReader reader(data);
  reader.verify();
  for (const SectionInfo& section : reader.sections()) reader.read_section(section);
}

template <typename T>
void put(Bytes& data, std::size_t offset, T value) {
  std::memcpy(data.data() + offset, &value, sizeof value);
}

/// Makes all checksums but those of payloads right again, as someone would who forges a file.
void forge_checksums(Bytes& data) {
  std::uint32_t sections;
  std::memcpy(&sections, data.data() + 12, sizeof sections);
  const std::size_t table = std::min<std::size_t>(sections * kEntryBytes, data.size() - kHeaderBytes);
  const Checksum of_table = checksum_of(std::span(data).last(table));
  std::copy(of_table.begin(), of_table.end(), data.begin() + 24);
  const Checksum of_header = checksum_of(std::span(data).first(40));
  std::copy(of_header.begin(), of_header.end(), data.begin() + 40);
}

TEST(Container, RoundTripsInMemory) {
  const Bytes data = small_container();
  const ContainerReader reader(data);
  EXPECT_EQ(reader.kind(), FileKind::kCiphertext);
  EXPECT_EQ(reader.version(), 1);
  EXPECT_EQ(reader.size(), data.size());
  ASSERT_EQ(reader.sections().size(), 3U);
  const Buffer<std::byte> two = reader.read_section(section_tag("TWO "));
  EXPECT_EQ(Bytes(two.data(), two.data() + two.size()), text_bytes("second payload"));
  EXPECT_TRUE(reader.read_section(section_tag("NONE")).empty());
  EXPECT_TRUE(reader.has(section_tag("ONE ")));
  EXPECT_FALSE(reader.has(section_tag("SIX ")));
  reader.verify();
}

// The bytes of docs/format_container.md. Changing them makes old files unreadable.
TEST(Container, GoldenBytes) {
  ContainerWriter writer(FileKind::kParameters);
  writer.add_section(section_tag("PARM"), text_bytes("abc"));
  const Bytes data = writer.finish();
  std::string hex;
  for (const std::byte b : data) hex += fmt::format("{:02x}", std::to_integer<unsigned>(b));
  EXPECT_EQ(hex,
            "48454152544800"
            "01"
            "0100"
            "0100"
            "01000000"
            "5b00000000000000"
            "285d3e420bda20bb98517fe3754dd0f4"
            "59975345aec5086148161d4dad1eb228"
            "616263"
            "5041524d"
            "00000000"
            "0300000000000000"
            "06b05ab6733a618578af5f94892f3950");
}

TEST(Container, FileAndMemoryAgree) {
  const TemporaryFolder folder;
  ContainerWriter writer(folder / "file", FileKind::kCiphertext);
  writer.add_section(section_tag("ONE "), text_bytes("first"));
  writer.add_section(section_tag("NONE"), [](ByteWriter&) {});
  writer.add_section(section_tag("TWO "), [](ByteWriter& out) {
    out.bytes(text_bytes("second "));
    out.bytes(text_bytes("payload"));
  });
  EXPECT_TRUE(writer.finish().empty());
  EXPECT_EQ(read_file(folder / "file", 1000), small_container());
  const ContainerReader reader(folder / "file");
  reader.verify();
  EXPECT_EQ(reader.name(), (folder / "file").string());
}

TEST(Container, StreamsInPieces) {
  const TemporaryFolder folder;
  Bytes payload(5'000'000);
  for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i * i >> 3);
  ContainerWriter writer(folder / "file", FileKind::kEvaluationKeys);
  writer.add_section(section_tag("KEY "), [&](ByteWriter& out) {
    for (std::size_t i = 0; i < payload.size(); i += 1000) out.bytes(std::span(payload).subspan(i, 1000));
  });
  writer.finish();
  const ContainerReader reader(folder / "file");
  Bytes streamed;
  reader.stream_section(reader.section(section_tag("KEY ")), 777'777, [&](std::span<const std::byte> piece) {
    EXPECT_LE(piece.size(), 777'777U);
    streamed.insert(streamed.end(), piece.begin(), piece.end());
  });
  EXPECT_EQ(streamed, payload);
}

RC_GTEST_PROP(Container, RoundTripsAnySections, (std::vector<std::pair<std::uint32_t, std::string>> sections)) {
  ContainerWriter writer(FileKind::kServerBundle);
  for (const auto& [tag, text] : sections) writer.add_section(tag, text_bytes(text));
  const Bytes data = writer.finish();
  const ContainerReader reader(data);
  RC_ASSERT(reader.sections().size() == sections.size());
  for (std::size_t i = 0; i < sections.size(); ++i) {
    RC_ASSERT(reader.sections()[i].tag == sections[i].first);
    const Buffer<std::byte> payload = reader.read_section(reader.sections()[i]);
    RC_ASSERT(Bytes(payload.data(), payload.data() + payload.size()) == text_bytes(sections[i].second));
  }
}

TEST(Container, EveryTruncationIsRefused) {
  const Bytes data = small_container();
  for (std::size_t size = 0; size < data.size(); ++size) {
    // A copy of exactly that size, so that a sanitizer sees any read beyond it.
    const Bytes cut(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
    expect_error(ErrorKind::kCorrupt, "", [&] { read_all(cut); });
  }
}

TEST(Container, EveryBitFlipIsRefused) {
  const Bytes data = small_container();
  for (std::size_t bit = 0; bit < data.size() * 8; ++bit) {
    Bytes flipped = data;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_THROW(read_all(flipped), Error) << "bit " << bit;
  }
}

TEST(Container, BytesAfterTheEndAreRefused) {
  Bytes data = small_container();
  data.push_back(std::byte{0});
  expect_error(ErrorKind::kCorrupt, "1 bytes after its end", [&] { read_all(data); });
}

TEST(Container, TellsForeignFromDamagedFromNewer) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "picture", "\x89PNG\r\n\x1a\n some picture that is long enough to hold a header");
  expect_error(ErrorKind::kCorrupt, "picture is not a Hearth file",
               [&] { ContainerReader reader(folder / "picture"); });
  write_file_atomic(folder / "empty", "");
  expect_error(ErrorKind::kCorrupt, "empty is empty", [&] { ContainerReader reader(folder / "empty"); });
  expect_error(ErrorKind::kIo, "missing", [&] { ContainerReader reader(folder / "missing"); });

  Bytes data = small_container();
  data.resize(data.size() / 2);
  write_file_atomic(folder / "half", data);
  expect_error(ErrorKind::kCorrupt, "half (ciphertext) is cut short", [&] { ContainerReader reader(folder / "half"); });

  data = small_container();
  data[7] = std::byte{2};
  expect_error(ErrorKind::kUnsupported, "container layout 2, this program reads 1", [&] { read_all(data); });
  data = small_container();
  put<std::uint16_t>(data, 8, 9);
  forge_checksums(data);
  expect_error(ErrorKind::kUnsupported, "format version 9, this program reads 1 to 1", [&] { read_all(data); });
  data = small_container();
  put<std::uint16_t>(data, 10, 77);
  forge_checksums(data);
  expect_error(ErrorKind::kUnsupported, "unknown kind 77", [&] { read_all(data); });
}

TEST(Container, ForgedTablesAreRefused) {
  const Bytes good = small_container();
  const std::size_t table = good.size() - 3 * kEntryBytes;
  const auto forged = [&](auto&& change) {
    Bytes data = good;
    change(data);
    forge_checksums(data);
    return data;
  };
  const auto refused = [](const std::string& part, const Bytes& data) {
    expect_error(ErrorKind::kCorrupt, part, [&] { read_all(data); });
  };
  refused("sections, more than its", forged([](Bytes& d) { put<std::uint32_t>(d, 12, 0xffffffff); }));
  refused("sections, more than its", forged([](Bytes& d) { put<std::uint32_t>(d, 12, 5); }));
  refused("bytes that belong to no section", forged([](Bytes& d) { put<std::uint32_t>(d, 12, 0); }));
  refused("where 19 are left", forged([&](Bytes& d) { put<std::uint64_t>(d, table + 8, ~0ULL); }));
  refused("where 19 are left", forged([&](Bytes& d) { put<std::uint64_t>(d, table + 8, 20); }));
  refused("bytes that belong to no section", forged([&](Bytes& d) { put<std::uint64_t>(d, table + 64 + 8, 13); }));
  refused("unknown flags on section ONE", forged([&](Bytes& d) { put<std::uint32_t>(d, table + 4, 1); }));
  refused("checksum of section NONE", forged([&](Bytes& d) { d[table + 32 + 16] ^= std::byte{1}; }));
}

RC_GTEST_PROP(Container, RandomBytesBehindAGoodHeaderNeverCrash, ()) {
  Bytes data = small_container();
  const auto edits = *rc::gen::container<std::vector<std::pair<std::size_t, std::uint8_t>>>(
      rc::gen::pair(rc::gen::inRange<std::size_t>(8, data.size()), rc::gen::arbitrary<std::uint8_t>()));
  for (const auto& [offset, value] : edits) data[offset] = static_cast<std::byte>(value);
  forge_checksums(data);
  try {
    read_all(data);
  } catch (const Error&) {
  }
}

TEST(Container, NamesMissingAndRepeatedSections) {
  ContainerWriter writer(FileKind::kClientBundle);
  writer.add_section(section_tag("TWIN"), text_bytes("a"));
  writer.add_section(section_tag("TWIN"), text_bytes("b"));
  const Bytes data = writer.finish();
  const ContainerReader reader(data, "model.client");
  expect_error(ErrorKind::kCorrupt, "model.client (client bundle) has no section PARM",
               [&] { reader.section(section_tag("PARM")); });
  expect_error(ErrorKind::kCorrupt, "more than one section TWIN", [&] { reader.section(section_tag("TWIN")); });
  expect_error(ErrorKind::kMismatch, "model.client holds client bundle, expected secret key",
               [&] { reader.require_kind(FileKind::kSecretKey); });
}

TEST(ContainerWriter, SecretKeysAreForTheOwnerOnly) {
  const TemporaryFolder folder;
  ContainerWriter writer(folder / "secret", FileKind::kSecretKey);
  writer.add_section(section_tag("KEY "), text_bytes("s"));
  writer.finish();
  struct stat status {};
  ASSERT_EQ(::stat((folder / "secret").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST(ContainerWriter, LeavesNothingHalfWritten) {
  const TemporaryFolder folder;
  {
    ContainerWriter writer(folder / "file", FileKind::kCiphertext);
    writer.add_section(section_tag("ONE "), text_bytes("first"));
    EXPECT_THROW(writer.add_section(section_tag("TWO "),
                                    [](ByteWriter& out) {
                                      out.u8(1);
                                      fail(ErrorKind::kResource, "no more");
                                    }),
                 Error);
    expect_error(ErrorKind::kInternal, "after a section failed", [&] { writer.finish(); });
  }
  EXPECT_EQ(folder.entries(), 0U);
}

}  // namespace
}  // namespace hearth
