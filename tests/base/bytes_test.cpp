#include "base/bytes.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "base/wipe.h"
#include "expect_error.h"

namespace hearth {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

TEST(ByteWriter, IsLittleEndian) {
  ByteWriter out;
  out.u8(0x01);
  out.u16(0x0302);
  out.u32(0x07060504);
  out.u64(0x0f0e0d0c0b0a0908);
  out.i32(-2);
  out.f32(1.0F);
  out.string("ab");
  out.boolean(true);
  EXPECT_EQ(out.size(), 30U);
  EXPECT_EQ(out.take(), bytes_of({1,    2,    3,    4,    5, 6, 7,    8,    9, 10, 11, 12, 13,  14,  15,
                                  0xfe, 0xff, 0xff, 0xff, 0, 0, 0x80, 0x3f, 2, 0,  0,  0,  'a', 'b', 1}));
}

RC_GTEST_PROP(Bytes, RoundTrip, (std::uint16_t a, std::uint32_t b, std::uint64_t c, std::int64_t d)) {
  const auto text = *rc::gen::arbitrary<std::string>();
  const auto words = *rc::gen::arbitrary<std::vector<std::uint32_t>>();
  const auto real = *rc::gen::arbitrary<double>();
  ByteWriter out;
  out.u16(a);
  out.string(text);
  out.u32(b);
  out.span(words);
  out.f64(real);
  out.u64(c);
  out.i64(d);
  const std::vector<std::byte> data = out.take();
  ByteReader in(data);
  RC_ASSERT(in.u16() == a);
  RC_ASSERT(in.string() == text);
  RC_ASSERT(in.u32() == b);
  RC_ASSERT(in.read_vector<std::uint32_t>(words.size()) == words);
  RC_ASSERT(in.finite() == real);
  RC_ASSERT(in.u64() == c);
  RC_ASSERT(in.i64() == d);
  in.expect_end();
}

// A reader that reads the same things from any proper prefix must run out, and say so.
RC_GTEST_PROP(Bytes, EveryPrefixIsCutShort, (std::uint64_t a, std::uint32_t b)) {
  ByteWriter out;
  out.u64(a);
  out.string("name");
  out.u32(b);
  const std::vector<std::byte> data = out.take();
  for (std::size_t size = 0; size < data.size(); ++size) {
    ByteReader in(std::span<const std::byte>(data).first(size));
    const auto read_all = [&] {
      in.u64();
      in.string();
      in.u32();
    };
    RC_ASSERT_THROWS_AS(read_all(), Error);
  }
}

RC_GTEST_PROP(Bytes, SinkSeesTheSameBytes, ()) {
  const auto sizes = *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, 2'000'000));
  std::vector<std::byte> streamed;
  ByteWriter sink(
      [&](std::span<const std::byte> piece) { streamed.insert(streamed.end(), piece.begin(), piece.end()); });
  ByteWriter memory;
  std::uint32_t counter = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(sizes.size(), 8); ++i) {
    std::vector<std::byte> piece(sizes[i]);
    for (std::byte& b : piece) b = static_cast<std::byte>(counter++);
    sink.bytes(piece);
    memory.bytes(piece);
    sink.u32(counter);
    memory.u32(counter);
    RC_ASSERT(sink.size() == memory.size());
  }
  sink.flush();
  RC_ASSERT(streamed == memory.take());
}

TEST(ByteWriter, SecretWriterKeepsTheBytesItReturns) {
  ByteWriter secret(Secrecy::kSecret);
  ByteWriter plain;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    secret.u32(i);
    plain.u32(i);
  }
  EXPECT_EQ(secret.take(), plain.take());
}

TEST(ByteReader, SaysWhereAndHowMuch) {
  const std::vector<std::byte> data = bytes_of({1, 2, 3, 4, 5});
  ByteReader in(data, "ciphertext");
  in.u16();
  expect_error(ErrorKind::kCorrupt, "ciphertext is cut short: 8 bytes expected at offset 2, 3 left", [&] { in.u64(); });
  EXPECT_EQ(in.offset(), 2U) << "a failed read must not move";
  expect_error(ErrorKind::kCorrupt, "3 bytes too many at offset 2", [&] { in.expect_end(); });
}

TEST(ByteReader, RefusesCountsThatCannotBe) {
  ByteWriter out;
  out.u32(1'000'000);
  out.u64(0);
  const std::vector<std::byte> data = out.take();
  const auto count = [&](std::size_t max, std::size_t each) {
    ByteReader in(data, "key");
    return in.read_count(max, "digits", each);
  };
  expect_error(ErrorKind::kCorrupt, "key announces 1000000 digits at offset 0, at most 64 are possible",
               [&] { count(64, 1); });
  expect_error(ErrorKind::kCorrupt, "only 8 bytes are left", [&] { count(2'000'000, 1); });
  EXPECT_EQ(count(2'000'000, 0), 1'000'000U);
}

TEST(ByteReader, HugeCountsDoNotOverflow) {
  const std::vector<std::byte> data(16);
  ByteReader in(data);
  const std::size_t wraps = std::numeric_limits<std::size_t>::max() / 4 + 2;  // times 4 is 4
  expect_error(ErrorKind::kCorrupt, "cut short", [&] { in.read_vector<std::uint32_t>(wraps); });
  expect_error(ErrorKind::kCorrupt, "cut short", [&] { in.bytes(std::numeric_limits<std::size_t>::max()); });
  EXPECT_EQ(in.offset(), 0U);
}

TEST(ByteReader, ChecksRanges) {
  ByteWriter out;
  out.u8(2);
  out.f64(std::nan(""));
  out.f64(std::numeric_limits<double>::infinity());
  out.u32(7);
  out.i32(-7);
  const std::vector<std::byte> data = out.take();
  ByteReader in(data, "plan");
  expect_error(ErrorKind::kCorrupt, "holds 2 at offset 0 where 0 or 1 is expected", [&] { in.boolean(); });
  expect_error(ErrorKind::kCorrupt, "not finite at offset 1", [&] { in.finite(); });
  expect_error(ErrorKind::kCorrupt, "not finite", [&] { in.finite(); });
  expect_error(ErrorKind::kCorrupt, "level 7 at offset 17, expected 0 to 6", [&] { in.u32_in(0, 6, "level"); });
  EXPECT_EQ(in.i32_in(-7, -7, "offset"), -7);
}

TEST(ByteReader, LimitsStrings) {
  ByteWriter out;
  out.string("twelve bytes");
  const std::vector<std::byte> data = out.take();
  ByteReader in(data);
  expect_error(ErrorKind::kCorrupt, "at most 11 are possible", [&] { in.string(11); });
}

TEST(Wipe, ClearsEveryByte) {
  std::vector<std::int8_t> secret(100, 1);
  secure_wipe(secret);
  EXPECT_EQ(secret, std::vector<std::int8_t>(100, 0));
  Buffer<std::uint32_t> buffer(3);
  buffer[0] = buffer[1] = buffer[2] = 5;
  secure_wipe(buffer);
  EXPECT_EQ(buffer[0] + buffer[1] + buffer[2], 0U);
  secure_wipe(nullptr, 0);
}

}  // namespace
}  // namespace hearth
