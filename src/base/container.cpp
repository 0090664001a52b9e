#include "base/container.h"

#include <xxhash.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/wipe.h"

namespace hearth {
namespace {

constexpr std::string_view kMagic("HEARTH\0", 7);
constexpr std::uint8_t kLayoutVersion = 1;
constexpr std::size_t kChecksumBytes = sizeof(Checksum);
constexpr std::size_t kHeaderBytes = 56;
constexpr std::size_t kHeaderChecked = kHeaderBytes - kChecksumBytes;
constexpr std::size_t kEntryBytes = 32;
/// No file needs more; bounds what a hostile header can make the reader allocate, together with the file's real size.
constexpr std::uint32_t kMaxSections = 1U << 20;
constexpr std::size_t kPieceBytes = std::size_t{1} << 22;

class Hasher {
 public:
  Hasher() : state_(XXH3_createState()) {
    require(state_ && XXH3_128bits_reset(state_) == XXH_OK, ErrorKind::kResource, "no memory for a checksum");
  }
  ~Hasher() { XXH3_freeState(state_); }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void update(std::span<const std::byte> data) { XXH3_128bits_update(state_, data.data(), data.size()); }
  Checksum digest() const { return canonical(XXH3_128bits_digest(state_)); }

  static Checksum canonical(XXH128_hash_t hash) {
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, hash);
    Checksum out;
    std::memcpy(out.data(), bytes.digest, sizeof out);
    return out;
  }

 private:
  XXH3_state_t* state_;
};

struct Header {
  std::uint16_t version = 0;
  std::uint16_t kind = 0;
  std::uint32_t sections = 0;
  std::uint64_t size = 0;
  Checksum table{};
};

std::vector<std::byte> format_header(const Header& header) {
  ByteWriter out;
  out.bytes(std::as_bytes(std::span(kMagic)));
  out.u8(kLayoutVersion);
  out.u16(header.version);
  out.u16(header.kind);
  out.u32(header.sections);
  out.u64(header.size);
  out.bytes(header.table);
  std::vector<std::byte> bytes = out.take();
  const Checksum sum = checksum_of(bytes);
  bytes.insert(bytes.end(), sum.begin(), sum.end());
  return bytes;
}

std::vector<std::byte> format_table(const std::vector<SectionInfo>& sections) {
  ByteWriter out;
  for (const SectionInfo& section : sections) {
    out.u32(section.tag);
    out.u32(0);
    out.u64(section.length);
    out.bytes(section.checksum);
  }
  return out.take();
}

bool known(std::uint16_t kind) {
  return kind >= static_cast<std::uint16_t>(FileKind::kParameters) &&
         kind <= static_cast<std::uint16_t>(FileKind::kCheckpointValue);
}

void read_checksum(ByteReader& in, Checksum& out) { in.read_into(std::span(out)); }

}  // namespace

std::string_view to_string(FileKind kind) {
  switch (kind) {
    case FileKind::kParameters:
      return "parameters";
    case FileKind::kSecretKey:
      return "secret key";
    case FileKind::kPublicKey:
      return "public key";
    case FileKind::kEvaluationKeys:
      return "evaluation keys";
    case FileKind::kCiphertext:
      return "ciphertext";
    case FileKind::kServerBundle:
      return "server bundle";
    case FileKind::kClientBundle:
      return "client bundle";
    case FileKind::kCheckpoint:
      return "checkpoint";
    case FileKind::kCheckpointValue:
      return "checkpoint value";
  }
  return "unknown";
}

bool is_secret_key_file(const std::filesystem::path& path) {
  constexpr std::size_t kKindOffset = kMagic.size() + sizeof(kLayoutVersion) + sizeof(Header::version);
  std::array<std::byte, kKindOffset + sizeof(Header::kind)> front{};
  const InputFile file(path);
  if (file.size() < front.size()) return false;
  file.read(0, front);
  ByteReader in(front, path.string());
  const bool ours = std::memcmp(in.bytes(kMagic.size()).data(), kMagic.data(), kMagic.size()) == 0;
  in.bytes(kKindOffset - kMagic.size());
  return ours && in.u16() == static_cast<std::uint16_t>(FileKind::kSecretKey);
}

std::uint16_t format_version(FileKind kind) {
  return kind == FileKind::kServerBundle || kind == FileKind::kClientBundle ? 6 : 1;
}

std::string to_string_tag(SectionTag tag) {
  std::string text;
  for (int shift = 0; shift < 32; shift += 8) {
    const auto c = static_cast<char>(tag >> shift & 0xff);
    text.push_back(c >= ' ' && c <= '~' ? c : '?');
  }
  return text;
}

Checksum checksum_of(std::span<const std::byte> data) {
  return Hasher::canonical(XXH3_128bits(data.data(), data.size()));
}

// ---- writing

struct ContainerWriter::State {
  FileKind kind;
  Secrecy secrecy;
  std::optional<AtomicFile> file;
  std::vector<std::byte> memory;
  std::vector<SectionInfo> sections;
  bool broken = false;  // a section was begun and not completed, or the container was completed
  bool prepared = false;

  std::uint64_t size() const { return file ? file->size() : memory.size(); }
  void append(std::span<const std::byte> data) {
    if (file) return file->append(data);
    if (secrecy == Secrecy::kSecret && memory.capacity() - memory.size() < data.size()) grow(data.size());
    memory.insert(memory.end(), data.begin(), data.end());
  }
  void grow(std::size_t more) {
    std::vector<std::byte> larger;
    larger.reserve(2 * (memory.size() + more));
    larger.assign(memory.begin(), memory.end());
    secure_wipe(memory);
    memory = std::move(larger);
  }
  ~State() {
    if (secrecy == Secrecy::kSecret) secure_wipe(memory);
  }
};

ContainerWriter::ContainerWriter(const std::filesystem::path& path, FileKind kind, Secrecy secrecy)
    : ContainerWriter(kind, secrecy) {
  state_->file.emplace(path, state_->secrecy,
                       kind == FileKind::kSecretKey ? Replace::kAnything : Replace::kAllButSecrets);
  state_->file->append(std::exchange(state_->memory, {}));
}

ContainerWriter::ContainerWriter(FileKind kind, Secrecy secrecy) : state_(std::make_unique<State>()) {
  state_->kind = kind;
  state_->secrecy = kind == FileKind::kSecretKey ? Secrecy::kSecret : secrecy;
  state_->memory.resize(kHeaderBytes);  // its place; filled in by finish()
}

ContainerWriter::~ContainerWriter() = default;

void ContainerWriter::add_section(SectionTag tag, std::span<const std::byte> payload) {
  add_section(tag, [&](ByteWriter& out) { out.bytes(payload); });
}

void ContainerWriter::add_section(SectionTag tag, const std::function<void(ByteWriter&)>& write) {
  State& state = *state_;
  require(!state.broken && state.sections.size() < kMaxSections, ErrorKind::kInternal,
          "section {} added to a container that is finished, failed or full", to_string_tag(tag));
  state.broken = true;
  const std::uint64_t offset = state.size();
  Hasher hasher;
  ByteWriter out(
      [&](std::span<const std::byte> piece) {
        hasher.update(piece);
        state.append(piece);
      },
      state.secrecy);
  write(out);
  out.flush();
  state.sections.push_back({tag, offset, state.size() - offset, hasher.digest()});
  state.broken = false;
}

void ContainerWriter::prepare() {
  State& state = *state_;
  require(!state.broken, ErrorKind::kInternal, "a container was finished twice or after a section failed");
  state.broken = true;
  const std::vector<std::byte> table = format_table(state.sections);
  state.append(table);
  const std::vector<std::byte> header = format_header({.version = format_version(state.kind),
                                                       .kind = static_cast<std::uint16_t>(state.kind),
                                                       .sections = static_cast<std::uint32_t>(state.sections.size()),
                                                       .size = state.size(),
                                                       .table = checksum_of(table)});
  if (state.file) {
    state.file->overwrite(0, header);
    state.file->sync();
  } else {
    std::copy(header.begin(), header.end(), state.memory.begin());
  }
  state.prepared = true;
}

std::vector<std::byte> ContainerWriter::finish() {
  State& state = *state_;
  if (!state.prepared) prepare();
  state.prepared = false;
  if (state.file) state.file->commit();
  return std::exchange(state.memory, {});
}

// ---- reading

struct ContainerReader::State {
  std::string name;
  std::optional<InputFile> file;
  std::span<const std::byte> memory;
  std::uint64_t size = 0;
  FileKind kind{};
  std::uint16_t version = 0;
  Checksum table_checksum{};
  std::vector<SectionInfo> sections;

  void read(std::uint64_t offset, std::span<std::byte> out) const {
    if (file) return file->read(offset, out);
    const auto from = memory.subspan(static_cast<std::size_t>(offset), out.size());
    std::copy(from.begin(), from.end(), out.begin());
  }

  void open();
  Header read_header() const;
  void check_front(std::span<const std::byte> front) const;
  void read_table(const Header& header);
};

/// Tells files that are not ours, or not for us, from damaged ones.
void ContainerReader::State::check_front(std::span<const std::byte> front) const {
  const std::size_t shared = std::min(front.size(), kMagic.size());
  require(shared > 0, ErrorKind::kCorrupt, "{} is empty, expected a Hearth file", name);
  require(std::memcmp(front.data(), kMagic.data(), shared) == 0, ErrorKind::kCorrupt,
          "{} is not a Hearth file: it does not start with \"HEARTH\"", name);
  require(front.size() == kHeaderBytes, ErrorKind::kCorrupt, "{} is cut short: {} bytes, while the header alone has {}",
          name, front.size(), kHeaderBytes);
  const auto layout = std::to_integer<unsigned>(front[kMagic.size()]);
  require(
      layout == kLayoutVersion, ErrorKind::kUnsupported,
      "{} has container layout {}, this program reads {}: it was written by another version of Hearth, or is damaged",
      name, layout, kLayoutVersion);
}

Header ContainerReader::State::read_header() const {
  std::array<std::byte, kHeaderBytes> bytes{};
  const auto front = std::span(bytes).first(static_cast<std::size_t>(std::min<std::uint64_t>(size, kHeaderBytes)));
  read(0, front);
  check_front(front);
  Header header;
  ByteReader in(bytes, "the header of " + name);
  in.bytes(kMagic.size() + 1);
  header.version = in.u16();
  header.kind = in.u16();
  header.sections = in.u32();
  header.size = in.u64();
  read_checksum(in, header.table);
  Checksum expected;
  read_checksum(in, expected);
  require(checksum_of(std::span(bytes).first(kHeaderChecked)) == expected, ErrorKind::kCorrupt,
          "{} is damaged: the checksum of its header does not match", name);
  return header;
}

void ContainerReader::State::open() {
  const Header header = read_header();
  require(known(header.kind), ErrorKind::kUnsupported,
          "{} is a Hearth file of unknown kind {}: a newer version of Hearth is needed", name, header.kind);
  kind = static_cast<FileKind>(header.kind);
  version = header.version;
  require(version >= 1 && version <= format_version(kind), ErrorKind::kUnsupported,
          "{} ({}) has format version {}, this program reads 1 to {}: a newer version of Hearth is needed", name,
          to_string(kind), version, format_version(kind));
  require(size >= header.size, ErrorKind::kCorrupt, "{} ({}) is cut short: {} of {} bytes are there", name,
          to_string(kind), size, header.size);
  require(size == header.size, ErrorKind::kCorrupt, "{} ({}) has {} bytes after its end at {}", name, to_string(kind),
          size - header.size, header.size);
  read_table(header);
}

void ContainerReader::State::read_table(const Header& header) {
  const std::uint64_t table_bytes = std::uint64_t{header.sections} * kEntryBytes;
  require(header.sections <= kMaxSections && table_bytes <= size - kHeaderBytes, ErrorKind::kCorrupt,
          "{} announces {} sections, more than its {} bytes can hold", name, header.sections, size);
  table_checksum = header.table;
  std::vector<std::byte> table(static_cast<std::size_t>(table_bytes));
  read(size - table_bytes, table);
  require(checksum_of(table) == header.table, ErrorKind::kCorrupt,
          "{} is damaged: the checksum of its section table does not match", name);
  ByteReader in(table, "the section table of " + name);
  std::uint64_t offset = kHeaderBytes;
  const std::uint64_t end = size - table_bytes;
  for (std::uint32_t i = 0; i < header.sections; ++i) {
    SectionInfo section;
    section.tag = in.u32();
    require(in.u32() == 0, ErrorKind::kCorrupt, "{} has unknown flags on section {}", name, to_string_tag(section.tag));
    section.offset = offset;
    section.length = in.u64();
    read_checksum(in, section.checksum);
    require(section.length <= end - offset, ErrorKind::kCorrupt, "{} has a section {} of {} bytes where {} are left",
            name, to_string_tag(section.tag), section.length, end - offset);
    offset += section.length;
    sections.push_back(section);
  }
  require(offset == end, ErrorKind::kCorrupt, "{} has {} bytes that belong to no section", name, end - offset);
}

ContainerReader::ContainerReader(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  state_->name = path.string();
  state_->file.emplace(path);
  state_->size = state_->file->size();
  state_->open();
}

ContainerReader::ContainerReader(std::span<const std::byte> data, std::string name)
    : state_(std::make_unique<State>()) {
  state_->name = std::move(name);
  state_->memory = data;
  state_->size = data.size();
  state_->open();
}

ContainerReader::~ContainerReader() = default;
ContainerReader::ContainerReader(ContainerReader&&) noexcept = default;

FileKind ContainerReader::kind() const { return state_->kind; }
std::uint16_t ContainerReader::version() const { return state_->version; }
std::uint64_t ContainerReader::size() const { return state_->size; }
const std::string& ContainerReader::name() const { return state_->name; }
const Checksum& ContainerReader::table_checksum() const { return state_->table_checksum; }
const std::vector<SectionInfo>& ContainerReader::sections() const { return state_->sections; }

void ContainerReader::require_kind(FileKind expected) const {
  require(kind() == expected, ErrorKind::kMismatch, "{} holds {}, expected {}", name(), to_string(kind()),
          to_string(expected));
}

bool ContainerReader::has(SectionTag tag) const {
  return std::any_of(sections().begin(), sections().end(), [&](const SectionInfo& s) { return s.tag == tag; });
}

const SectionInfo& ContainerReader::section(SectionTag tag) const {
  const auto matches = [&](const SectionInfo& s) { return s.tag == tag; };
  const auto found = std::find_if(sections().begin(), sections().end(), matches);
  require(found != sections().end(), ErrorKind::kCorrupt, "{} ({}) has no section {}", name(), to_string(kind()),
          to_string_tag(tag));
  require(std::find_if(found + 1, sections().end(), matches) == sections().end(), ErrorKind::kCorrupt,
          "{} ({}) has more than one section {}", name(), to_string(kind()), to_string_tag(tag));
  return *found;
}

Buffer<std::byte> ContainerReader::read_section(const SectionInfo& section) const {
  Buffer<std::byte> out(static_cast<std::size_t>(section.length));
  state_->read(section.offset, out.span());
  require(checksum_of(out.span()) == section.checksum, ErrorKind::kCorrupt,
          "{} is damaged: the checksum of section {} does not match", name(), to_string_tag(section.tag));
  return out;
}

void ContainerReader::stream_section(const SectionInfo& section, std::size_t piece_bytes,
                                     const std::function<void(std::span<const std::byte>)>& body) const {
  require(piece_bytes > 0, ErrorKind::kInvalidArgument, "a section cannot be read in pieces of 0 bytes");
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, section.length));
  Buffer<std::byte> piece(most);
  Hasher hasher;
  for (std::uint64_t done = 0; done < section.length;) {
    const auto part =
        piece.span().first(static_cast<std::size_t>(std::min<std::uint64_t>(most, section.length - done)));
    state_->read(section.offset + done, part);
    hasher.update(part);
    body(part);
    done += part.size();
  }
  require(hasher.digest() == section.checksum, ErrorKind::kCorrupt,
          "{} is damaged: the checksum of section {} does not match", name(), to_string_tag(section.tag));
}

void ContainerReader::verify() const {
  for (const SectionInfo& section : sections()) {
    stream_section(section, kPieceBytes, [](std::span<const std::byte>) {});
  }
}

}  // namespace hearth
