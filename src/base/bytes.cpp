#include "base/bytes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/wipe.h"

namespace hearth {
namespace {

static_assert(std::endian::native == std::endian::little, "file formats are little-endian");
static_assert(std::numeric_limits<double>::is_iec559 && std::numeric_limits<float>::is_iec559);

constexpr std::size_t kSinkBytes = std::size_t{1} << 20;

}  // namespace

ByteWriter::ByteWriter(Sink sink, Secrecy secrecy) : sink_(std::move(sink)), secrecy_(secrecy) {}

ByteWriter::~ByteWriter() {
  if (secrecy_ == Secrecy::kSecret) secure_wipe(data_);
}

void ByteWriter::string(std::string_view text) {
  require(text.size() <= std::numeric_limits<std::uint32_t>::max(), ErrorKind::kInvalidArgument,
          "a string of {} bytes is too long to be written", text.size());
  u32(static_cast<std::uint32_t>(text.size()));
  bytes(std::as_bytes(std::span(text)));
}

void ByteWriter::bytes(std::span<const std::byte> data) {
  if (sink_ && data_.size() + data.size() > kSinkBytes) {
    flush();
    if (data.size() > kSinkBytes) {
      flushed_ += data.size();
      return sink_(data);
    }
  }
  if (secrecy_ == Secrecy::kSecret) reserve(data.size());
  data_.insert(data_.end(), data.begin(), data.end());
}

// Grows by hand, so that the memory given up can be wiped first.
void ByteWriter::reserve(std::size_t more) {
  const std::size_t needed = data_.size() + more;
  if (needed <= data_.capacity()) return;
  std::vector<std::byte> larger;
  larger.reserve(std::max(needed, 2 * data_.capacity()));
  larger.assign(data_.begin(), data_.end());
  secure_wipe(data_);
  data_ = std::move(larger);
}

void ByteWriter::flush() {
  if (!sink_ || data_.empty()) return;
  sink_(data_);
  flushed_ += data_.size();
  if (secrecy_ == Secrecy::kSecret) secure_wipe(data_);
  data_.clear();
}

std::vector<std::byte> ByteWriter::take() { return std::exchange(data_, {}); }

std::span<const std::byte> ByteReader::bytes(std::size_t count) {
  require(count <= remaining(), ErrorKind::kCorrupt, "{} is cut short: {} bytes expected at offset {}, {} left", what_,
          count, offset_, remaining());
  const auto out = data_.subspan(offset_, count);
  offset_ += count;
  return out;
}

std::size_t ByteReader::checked_size(std::size_t count, std::size_t each) const {
  require(count <= remaining() / each, ErrorKind::kCorrupt,
          "{} is cut short: {} elements of {} bytes expected at offset {}, {} bytes left", what_, count, each, offset_,
          remaining());
  return count * each;
}

double ByteReader::finite() {
  const std::size_t at = offset_;
  const double value = f64();
  require(std::isfinite(value), ErrorKind::kCorrupt, "{} holds a number that is not finite at offset {}", what_, at);
  return value;
}

bool ByteReader::boolean() {
  const std::size_t at = offset_;
  const std::uint8_t value = u8();
  require(value <= 1, ErrorKind::kCorrupt, "{} holds {} at offset {} where 0 or 1 is expected", what_, value, at);
  return value == 1;
}

std::string ByteReader::string(std::size_t max_bytes) {
  const auto text = bytes(read_count(max_bytes, "bytes of a string"));
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

std::size_t ByteReader::read_count(std::size_t max, std::string_view name, std::size_t bytes_each) {
  const std::size_t at = offset_;
  const std::size_t count = u32();
  require(count <= max, ErrorKind::kCorrupt, "{} announces {} {} at offset {}, at most {} are possible", what_, count,
          name, at, max);
  require(bytes_each == 0 || count <= remaining() / bytes_each, ErrorKind::kCorrupt,
          "{} announces {} {} at offset {}, but only {} bytes are left", what_, count, name, at, remaining());
  return count;
}

std::uint32_t ByteReader::u32_in(std::uint32_t low, std::uint32_t high, std::string_view name) {
  const std::size_t at = offset_;
  const std::uint32_t value = u32();
  require(low <= value && value <= high, ErrorKind::kCorrupt, "{} has {} {} at offset {}, expected {} to {}", what_,
          name, value, at, low, high);
  return value;
}

std::int32_t ByteReader::i32_in(std::int32_t low, std::int32_t high, std::string_view name) {
  const std::size_t at = offset_;
  const std::int32_t value = i32();
  require(low <= value && value <= high, ErrorKind::kCorrupt, "{} has {} {} at offset {}, expected {} to {}", what_,
          name, value, at, low, high);
  return value;
}

void ByteReader::expect_end() const {
  require(remaining() == 0, ErrorKind::kCorrupt, "{} has {} bytes too many at offset {}", what_, remaining(), offset_);
}

}  // namespace hearth
