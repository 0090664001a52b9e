#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hearth {

/// Whether temporary copies of data must be wiped.
enum class Secrecy { kPublic, kSecret };

/// Scalars whose bytes are the same on every machine Hearth supports (little-endian, IEEE 754).
template <typename T>
concept PlainScalar = (std::is_arithmetic_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, long double>) ||
                      std::is_same_v<T, std::byte>;

/// Appends little-endian values to memory, or to a sink in pieces. One thread at a time.
class ByteWriter {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;

  /// Collects everything; take() returns it. kSecret: no copy is left behind but the one that take() returns.
  explicit ByteWriter(Secrecy secrecy = Secrecy::kPublic) : secrecy_(secrecy) {}
  /// Hands what is written to `sink` in order, in pieces of about a mebibyte; call flush() at the end.
  explicit ByteWriter(Sink sink, Secrecy secrecy = Secrecy::kPublic);
  ~ByteWriter();
  ByteWriter(const ByteWriter&) = delete;
  ByteWriter& operator=(const ByteWriter&) = delete;

  void u8(std::uint8_t value) { scalar(value); }
  void u16(std::uint16_t value) { scalar(value); }
  void u32(std::uint32_t value) { scalar(value); }
  void u64(std::uint64_t value) { scalar(value); }
  void i32(std::int32_t value) { scalar(value); }
  void i64(std::int64_t value) { scalar(value); }
  void f32(float value) { scalar(value); }
  void f64(double value) { scalar(value); }
  void boolean(bool value) { u8(value ? 1 : 0); }
  /// u32 length, then the bytes.
  void string(std::string_view text);
  /// The bytes alone, without a length.
  void bytes(std::span<const std::byte> data);
  /// The elements alone, without a count.
  template <PlainScalar T>
  void span(std::span<const T> values) {
    bytes(std::as_bytes(values));
  }
  template <PlainScalar T>
  void span(const std::vector<T>& values) {
    span(std::span<const T>(values));
  }

  /// Bytes written so far, flushed ones included.
  std::uint64_t size() const { return flushed_ + data_.size(); }
  void flush();
  std::vector<std::byte> take();

 private:
  template <PlainScalar T>
  void scalar(T value) {
    bytes(std::as_bytes(std::span(&value, 1)));
  }
  void reserve(std::size_t more);

  Sink sink_;
  Secrecy secrecy_;
  std::uint64_t flushed_ = 0;
  std::vector<std::byte> data_;
};

/// Reads what ByteWriter wrote, from memory that must outlive it and is treated as hostile: every read is checked, and
/// throws Error(kCorrupt) naming the object, the offset, what was wanted and what is left. One thread at a time.
class ByteReader {
 public:
  /// `what` names the object in messages, e.g. "ciphertext".
  explicit ByteReader(std::span<const std::byte> data, std::string what = "data")
      : data_(data), what_(std::move(what)) {}

  std::uint8_t u8() { return scalar<std::uint8_t>(); }
  std::uint16_t u16() { return scalar<std::uint16_t>(); }
  std::uint32_t u32() { return scalar<std::uint32_t>(); }
  std::uint64_t u64() { return scalar<std::uint64_t>(); }
  std::int32_t i32() { return scalar<std::int32_t>(); }
  std::int64_t i64() { return scalar<std::int64_t>(); }
  float f32() { return scalar<float>(); }
  double f64() { return scalar<double>(); }
  /// Like f64, but refuses infinities and NaN.
  double finite();
  /// Exactly 0 or 1.
  bool boolean();
  /// u32 length of at most `max_bytes`, then the bytes.
  std::string string(std::size_t max_bytes = 4096);
  /// A view of the next `count` bytes.
  std::span<const std::byte> bytes(std::size_t count);
  /// Fills `out` with the next elements.
  template <PlainScalar T, std::size_t kExtent>
  void read_into(std::span<T, kExtent> out) {
    const auto from = bytes(checked_size(out.size(), sizeof(T)));
    if (!out.empty()) std::memcpy(out.data(), from.data(), from.size());
  }
  /// `count` elements; nothing is allocated unless they are all there.
  template <PlainScalar T>
  std::vector<T> read_vector(std::size_t count) {
    const auto from = bytes(checked_size(count, sizeof(T)));
    std::vector<T> out(count);
    if (count) std::memcpy(out.data(), from.data(), from.size());
    return out;
  }
  /// A u32 count of things that follow, each of at least `bytes_each` bytes: refuses more than `max`, and more than the
  /// bytes that are left could hold, so that a vector of that many can be reserved. `name` is for the message.
  std::size_t read_count(std::size_t max, std::string_view name, std::size_t bytes_each = 1);
  /// A u32 or i32 value in [low, high].
  std::uint32_t u32_in(std::uint32_t low, std::uint32_t high, std::string_view name);
  std::int32_t i32_in(std::int32_t low, std::int32_t high, std::string_view name);

  std::size_t offset() const { return offset_; }
  std::size_t remaining() const { return data_.size() - offset_; }
  /// Refuses bytes after the last thing read.
  void expect_end() const;
  const std::string& what() const { return what_; }

 private:
  template <PlainScalar T>
  T scalar() {
    T value;
    std::memcpy(&value, bytes(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::size_t checked_size(std::size_t count, std::size_t each) const;

  std::span<const std::byte> data_;
  std::size_t offset_ = 0;
  std::string what_;
};

}  // namespace hearth
