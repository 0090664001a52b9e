#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/file.h"

namespace hearth {

// The container that every file of Hearth is: a kind, a version and named sections under checksums. The bytes are
// described in docs/format_container.md. Checksums detect damage, not malice: contents stay hostile input.

/// What a file is. Values are part of the format.
enum class FileKind : std::uint16_t {
  kParameters = 1,
  kSecretKey = 2,
  kPublicKey = 3,
  kEvaluationKeys = 4,
  kCiphertext = 5,
  kServerBundle = 6,
  kClientBundle = 7,
  kCheckpoint = 8,
  kCheckpointValue = 9
};
/// Lower-case words, e.g. "secret key".
std::string_view to_string(FileKind kind);

/// Newest version of a kind's contents that this program writes and reads.
std::uint16_t format_version(FileKind kind);

/// Whether the file at `path` says at its start that it is a secret key, damaged or not. Error(kIo) if it cannot be
/// read.
bool is_secret_key_file(const std::filesystem::path& path);

/// Names a section; four printable characters, e.g. section_tag("PARM").
using SectionTag = std::uint32_t;
constexpr SectionTag section_tag(const char (&text)[5]) {
  SectionTag tag = 0;
  for (int i = 3; i >= 0; --i) tag = tag << 8 | static_cast<unsigned char>(text[i]);
  return tag;
}
/// The four characters, others than printable ones as '?'.
std::string to_string_tag(SectionTag tag);

/// An XXH3 128-bit hash in canonical (big-endian) order.
using Checksum = std::array<std::byte, 16>;
Checksum checksum_of(std::span<const std::byte> data);

struct SectionInfo {
  SectionTag tag = 0;
  std::uint64_t offset = 0;  ///< from the start of the container
  std::uint64_t length = 0;
  Checksum checksum{};
};

/// Writes a container, section by section, without holding it in memory. A file appears at its path only when finish()
/// succeeds; until then, and on any error, nothing is there (or what was there before). One thread at a time.
class ContainerWriter {
 public:
  /// To a file; a secret key, or anything when told so, is readable by its owner only. An existing file is replaced,
  /// but a secret key (Error(kInvalidArgument)) only by a secret key.
  ContainerWriter(const std::filesystem::path& path, FileKind kind, Secrecy secrecy = Secrecy::kPublic);
  /// To memory; finish() returns it.
  explicit ContainerWriter(FileKind kind, Secrecy secrecy = Secrecy::kPublic);
  ~ContainerWriter();
  ContainerWriter(const ContainerWriter&) = delete;
  ContainerWriter& operator=(const ContainerWriter&) = delete;

  void add_section(SectionTag tag, std::span<const std::byte> payload);
  /// Streams what `write` writes. If it throws, the container cannot be finished any more.
  void add_section(SectionTag tag, const std::function<void(ByteWriter&)>& write);
  /// Completes the container except for its appearing at the path; finish() does that and little can fail then.
  void prepare();
  /// Completes the container. Returns its bytes if it went to memory, nothing if to a file.
  std::vector<std::byte> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Reads a container from a file or from memory. Opening checks everything but the payloads: magic, versions, kind,
/// that the sizes add up to the real size, the section table. A payload's checksum is verified when it is read. Errors
/// name the file: kCorrupt for what is damaged, cut short or no Hearth file; kUnsupported for a newer version or an
/// unknown kind; kIo. Thread safe.
class ContainerReader {
 public:
  explicit ContainerReader(const std::filesystem::path& path);
  /// `data` must outlive the reader; `name` stands for the path in messages.
  explicit ContainerReader(std::span<const std::byte> data, std::string name = "data");
  ~ContainerReader();
  ContainerReader(ContainerReader&&) noexcept;

  FileKind kind() const;
  /// Error(kMismatch) "... is a ciphertext, expected a public key" unless the kind is the one expected.
  void require_kind(FileKind expected) const;
  std::uint16_t version() const;  ///< of the contents, 1 to format_version(kind())
  std::uint64_t size() const;     ///< of the whole container in bytes
  const std::string& name() const;
  /// Of the section table, and so of tags, lengths and checksums of all payloads: tells contents apart.
  const Checksum& table_checksum() const;

  /// In the order they were written. Tags may repeat.
  const std::vector<SectionInfo>& sections() const;
  bool has(SectionTag tag) const;
  /// The only section of that tag: Error(kCorrupt) if there is none or more than one.
  const SectionInfo& section(SectionTag tag) const;

  /// The payload, verified. Its size is that of the section, so never more than that of the file.
  Buffer<std::byte> read_section(const SectionInfo& section) const;
  Buffer<std::byte> read_section(SectionTag tag) const { return read_section(section(tag)); }
  /// Hands the payload over in pieces of at most `piece_bytes`. It is known to be undamaged only when this returns:
  /// throws Error(kCorrupt) after the last piece if not.
  void stream_section(const SectionInfo& section, std::size_t piece_bytes,
                      const std::function<void(std::span<const std::byte>)>& body) const;
  /// Reads every section and verifies its checksum.
  void verify() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hearth
