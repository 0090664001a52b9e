#include "base/npy.h"

#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace hearth {

namespace {

static_assert(std::endian::native == std::endian::little, "only little-endian arrays are read and written");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 65536;
constexpr std::size_t kMaxRank = 32;

template <typename... Args>
void expect(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  require(condition, ErrorKind::kCorrupt, format, std::forward<Args>(args)...);
}

/// Reads the Python dictionary of a .npy header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  struct Header {
    std::optional<std::string> descr;
    std::optional<bool> fortran;
    std::optional<std::vector<std::int64_t>> shape;
  };

  Header parse() {
    Header header;
    take('{');
    while (!accept('}')) {
      const std::string key = quoted();
      take(':');
      if (key == "descr" && !header.descr) {
        header.descr = quoted();
      } else if (key == "fortran_order" && !header.fortran) {
        header.fortran = boolean();
      } else if (key == "shape" && !header.shape) {
        header.shape = tuple();
      } else {
        damaged();
      }
      if (!accept(',')) {
        take('}');
        break;
      }
    }
    skip_spaces();
    if (!rest_.empty() || !header.descr || !header.fortran || !header.shape) damaged();
    return header;
  }

 private:
  [[noreturn]] static void damaged() {
    fail(ErrorKind::kCorrupt, "the header of the .npy file is not the dictionary of descr, fortran_order and shape");
  }
  void skip_spaces() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_spaces();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void take(char c) {
    if (!accept(c)) damaged();
  }
  std::string quoted() {
    skip_spaces();
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) damaged();
    const std::size_t end = rest_.find(rest_[0], 1);
    if (end == std::string_view::npos) damaged();
    std::string out(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return out;
  }
  bool boolean() {
    skip_spaces();
    for (const std::string_view word : {std::string_view("False"), std::string_view("True")}) {
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return word == "True";
    }
    damaged();
  }
  std::int64_t number() {
    skip_spaces();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc{} || value < 0) damaged();
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> out;
    take('(');
    while (!accept(')')) {
      if (out.size() == kMaxRank) damaged();
      out.push_back(number());
      if (!accept(',')) {
        take(')');
        break;
      }
    }
    return out;
  }

  std::string_view rest_;
};

std::int64_t checked_count(const std::vector<std::int64_t>& shape, std::int64_t max_elements) {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    empty = empty || extent == 0;
    if (extent == 0) continue;
    require(extent <= max_elements / count, ErrorKind::kResource,
            "the .npy file holds an array of shape ({}), more than the limit of {} elements", fmt::join(shape, ", "),
            max_elements);
    count *= extent;
  }
  return empty ? 0 : count;
}

/// Converts `bytes`, exactly count elements of type T, to float.
template <typename T>
std::vector<float> convert(std::span<const std::byte> bytes, std::int64_t count) {
  const std::size_t length = static_cast<std::size_t>(count) * sizeof(T);
  expect(bytes.size() == length, "the .npy file should hold {} bytes of data, but holds {}", length, bytes.size());
  std::vector<float> out(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(value);
  }
  return out;
}

std::vector<float> convert(const std::string& descr, std::span<const std::byte> bytes, std::int64_t count) {
  if (descr == "<f4") return convert<float>(bytes, count);
  if (descr == "<f8") return convert<double>(bytes, count);
  if (descr == "<i4") return convert<std::int32_t>(bytes, count);
  if (descr == "<i8") return convert<std::int64_t>(bytes, count);
  if (descr == "|u1") return convert<std::uint8_t>(bytes, count);
  std::string shown = descr.substr(0, 16);
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  fail(ErrorKind::kUnsupported,
       "the .npy file holds elements of type '{}'; supported are <f4, <f8, <i4, <i8 and |u1 (use array.astype)", shown);
}

template <typename T>
std::vector<std::byte> format(std::string_view descr, std::span<const std::int64_t> shape, std::span<const T> values) {
  std::int64_t count = 1;
  std::string extents;
  for (const std::int64_t extent : shape) {
    require(extent >= 0 && (extent == 0 || count <= kMaxNpyElements / extent), ErrorKind::kInvalidArgument,
            "cannot write an array of shape ({})", fmt::join(shape, ", "));
    count *= extent;
    extents += fmt::format("{},", extent);
  }
  require(count == static_cast<std::int64_t>(values.size()), ErrorKind::kInvalidArgument,
          "an array of shape ({}) needs {} values, got {}", fmt::join(shape, ", "), count, values.size());
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, extents);
  // NumPy wants the data to start at a multiple of 64 bytes and the header to end in a line break.
  header.append(63 - (kMagic.size() + 4 + header.size()) % 64, ' ');
  header += '\n';
  std::string file(kMagic);
  file += {'\1', '\0', static_cast<char>(header.size() & 0xFF), static_cast<char>(header.size() >> 8)};
  file += header;
  std::vector<std::byte> out(file.size() + values.size_bytes());
  std::memcpy(out.data(), file.data(), file.size());
  if (!values.empty()) std::memcpy(out.data() + file.size(), values.data(), values.size_bytes());
  return out;
}

}  // namespace

NpyArray parse_npy(std::span<const std::byte> bytes, std::int64_t max_elements) {
  const std::size_t prefix = kMagic.size() + 2;
  expect(bytes.size() >= prefix && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0,
         "not a .npy file: it does not start with \\x93NUMPY");
  const auto version = static_cast<unsigned>(bytes[kMagic.size()]);
  require(version >= 1 && version <= 3, ErrorKind::kUnsupported, "a .npy file of version {}; supported are 1 to 3",
          version);
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  expect(bytes.size() >= prefix + length_bytes, "the .npy file ends within its header");
  std::size_t length = 0;
  for (std::size_t i = length_bytes; i-- > 0;) length = length << 8 | static_cast<std::size_t>(bytes[prefix + i]);
  const std::size_t start = prefix + length_bytes;
  expect(length <= kMaxHeader && length <= bytes.size() - start, "the .npy header claims {} bytes", length);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + start, length);
  const HeaderParser::Header header = HeaderParser(text).parse();
  require(!*header.fortran, ErrorKind::kUnsupported,
          "the .npy file is in Fortran order; save numpy.ascontiguousarray(array)");
  const std::int64_t count = checked_count(*header.shape, max_elements);
  return {*header.shape, convert(*header.descr, bytes.subspan(start + length), count)};
}

NpyArray read_npy(const std::filesystem::path& path, std::int64_t max_elements) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  require(file.good() && !error, ErrorKind::kIo, "cannot read '{}'{}{}", path.string(), error ? ": " : "",
          error ? error.message() : "");
  const std::uintmax_t most = static_cast<std::uintmax_t>(max_elements) * sizeof(double) + kMaxHeader + 16;
  require(size <= most, ErrorKind::kResource, "'{}' has {} bytes, more than the {} of the largest array accepted",
          path.string(), size, most);
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  require(static_cast<std::uintmax_t>(file.gcount()) == size, ErrorKind::kIo, "cannot read all of '{}'", path.string());
  try {
    return parse_npy(bytes, max_elements);
  } catch (const Error& problem) {
    throw Error(problem.kind(), fmt::format("'{}': {}", path.string(), problem.what()));
  }
}

std::vector<std::byte> format_npy(std::span<const std::int64_t> shape, std::span<const float> values) {
  return format("<f4", shape, values);
}

std::vector<std::byte> format_npy(std::span<const std::int64_t> shape, std::span<const std::int32_t> values) {
  return format("<i4", shape, values);
}

void write_npy(const std::filesystem::path& path, std::span<const std::int64_t> shape, std::span<const float> values) {
  write_file_atomic(path, format_npy(shape, values));
}

void write_npy(const std::filesystem::path& path, std::span<const std::int64_t> shape,
               std::span<const std::int32_t> values) {
  write_file_atomic(path, format_npy(shape, values));
}

}  // namespace hearth
