#include "service/image/orientation.h"

#include <gtest/gtest.h>

#include <string>

namespace hearth::service {
namespace {

using Bytes = std::vector<std::uint8_t>;

int orientation_of(const Bytes& bytes) { return exif_orientation(std::as_bytes(std::span(bytes))); }

Bytes little(std::uint8_t value) {
  return {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, value, 0, 0, 0};
}

Bytes big(std::uint8_t value) {
  return {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, value, 0, 0};
}

TEST(ExifOrientation, IsReadInBothByteOrders) {
  for (std::uint8_t value = 1; value <= 8; ++value) {
    EXPECT_EQ(orientation_of(little(value)), value);
    EXPECT_EQ(orientation_of(big(value)), value);
  }
}

TEST(ExifOrientation, IsUprightWhereTheBytesMakeNoSense) {
  EXPECT_EQ(orientation_of({}), 1);
  EXPECT_EQ(orientation_of(little(0)), 1);
  EXPECT_EQ(orientation_of(little(9)), 1);
  for (const std::size_t at : {0, 1, 2, 3, 4, 7, 8, 10, 11, 12, 13, 14, 17, 19}) {
    Bytes bytes = little(6);
    bytes[at] ^= 0x80;
    EXPECT_EQ(orientation_of(bytes), at == 8 ? 6 : 1) << at;  // of entries that are not there, the first is
  }
  for (std::size_t size = 0; size < 20; ++size) {
    Bytes bytes = little(6);
    bytes.resize(size);
    EXPECT_EQ(orientation_of(bytes), 1) << size;
  }
}

TEST(ExifOrientation, ManyEntriesEndWithTheBytes) {
  Bytes bytes{'I', 'I', 42, 0, 8, 0, 0, 0, 0xff, 0xff};
  bytes.resize(200);
  EXPECT_EQ(orientation_of(bytes), 1);
}

/// Pixels as letters, rows separated by spaces.
std::string turned(const std::string& rows, int orientation) {
  Image image{.width = 3, .height = 2, .channels = 1, .samples = {}};
  for (const char c : rows) {
    if (c != ' ') image.samples.push_back(static_cast<std::uint8_t>(c));
  }
  const Image out = oriented(image, orientation);
  std::string text;
  for (std::size_t i = 0; i < out.samples.size(); ++i) {
    if (i > 0 && i % static_cast<std::size_t>(out.width) == 0) text += ' ';
    text += static_cast<char>(out.samples[i]);
  }
  return text;
}

TEST(Oriented, TurnsAsExifSays) {
  EXPECT_EQ(turned("abc def", 1), "abc def");
  EXPECT_EQ(turned("abc def", 2), "cba fed");
  EXPECT_EQ(turned("abc def", 3), "fed cba");
  EXPECT_EQ(turned("abc def", 4), "def abc");
  EXPECT_EQ(turned("abc def", 5), "ad be cf");
  EXPECT_EQ(turned("abc def", 6), "da eb fc");
  EXPECT_EQ(turned("abc def", 7), "fc eb da");
  EXPECT_EQ(turned("abc def", 8), "cf be ad");
}

TEST(Oriented, KeepsPixelsWhole) {
  const Image image{.width = 2, .height = 1, .channels = 3, .samples = {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(oriented(image, 3).samples, (Bytes{4, 5, 6, 1, 2, 3}));
}

}  // namespace
}  // namespace hearth::service
