#include "service/image/image.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/base/expect_error.h"
#include "tests/service/image_files.h"

namespace hearth::service {
namespace {

using testing::FileBytes;
using testing::jpeg_file;
using testing::JpegForm;
using testing::png_file;
using testing::PngForm;
using testing::ramp_image;
using Samples = std::vector<std::uint8_t>;

Image decode(const FileBytes& bytes) { return decode_image(bytes, "photo"); }

Image rgb(int width, int height, const Samples& samples) {
  return {.width = width, .height = height, .channels = 3, .samples = samples};
}

/// Every value three times.
Samples tripled(const Samples& values) {
  Samples out;
  for (const std::uint8_t value : values) out.insert(out.end(), 3, value);
  return out;
}

// ---- PNG

TEST(Png, ColoursAreExact) {
  const Image image = ramp_image(13, 7);
  EXPECT_EQ(decode(png_file(image)), image);
}

TEST(Png, InterlacingChangesNothing) {
  const Image image = ramp_image(21, 19);
  EXPECT_EQ(decode(png_file({.width = 21, .height = 19, .interlaced = true}, image.samples)), image);
}

TEST(Png, GreyOfAnyDepthBecomesThreeChannels) {
  const auto grey = [](int bits, int width, const Samples& rows) {
    return decode(png_file({.width = width, .height = 1, .colour_type = PNG_COLOR_TYPE_GRAY, .bits = bits}, rows));
  };
  EXPECT_EQ(grey(8, 3, {0, 100, 255}), rgb(3, 1, tripled({0, 100, 255})));
  EXPECT_EQ(grey(4, 3, {0x0f, 0x70}), rgb(3, 1, tripled({0, 255, 119})));
  EXPECT_EQ(grey(2, 4, {0x1b}), rgb(4, 1, tripled({0, 85, 170, 255})));
  EXPECT_EQ(grey(1, 3, {0xa0}), rgb(3, 1, tripled({255, 0, 255})));
}

TEST(Png, OfSixteenBitsTheHighByteIsKept) {
  const PngForm grey{.width = 2, .height = 1, .colour_type = PNG_COLOR_TYPE_GRAY, .bits = 16};
  EXPECT_EQ(decode(png_file(grey, {0x12, 0xff, 0xfe, 0x00})), rgb(2, 1, tripled({0x12, 0xfe})));
  const PngForm colours{.width = 1, .height = 1, .colour_type = PNG_COLOR_TYPE_RGB, .bits = 16};
  EXPECT_EQ(decode(png_file(colours, {1, 200, 2, 200, 3, 200})), rgb(1, 1, {1, 2, 3}));
}

TEST(Png, AlphaIsDroppedAndNotBlended) {
  const PngForm colours{.width = 2, .height = 1, .colour_type = PNG_COLOR_TYPE_RGB_ALPHA};
  EXPECT_EQ(decode(png_file(colours, {10, 20, 30, 0, 40, 50, 60, 128})), rgb(2, 1, {10, 20, 30, 40, 50, 60}));
  const PngForm grey{.width = 2, .height = 1, .colour_type = PNG_COLOR_TYPE_GRAY_ALPHA};
  EXPECT_EQ(decode(png_file(grey, {10, 0, 40, 128})), rgb(2, 1, tripled({10, 40})));
  const PngForm deep{.width = 1, .height = 1, .colour_type = PNG_COLOR_TYPE_RGB_ALPHA, .bits = 16};
  EXPECT_EQ(decode(png_file(deep, {1, 9, 2, 9, 3, 9, 0, 0})), rgb(1, 1, {1, 2, 3}));
}

TEST(Png, PalettesBecomeTheirColours) {
  PngForm form{.width = 4,
               .height = 1,
               .colour_type = PNG_COLOR_TYPE_PALETTE,
               .bits = 2,
               .palette = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}};
  const Image expected = rgb(4, 1, {7, 8, 9, 4, 5, 6, 1, 2, 3, 4, 5, 6});
  EXPECT_EQ(decode(png_file(form, {0x91})), expected);
  form.palette_alpha = {0, 128};
  EXPECT_EQ(decode(png_file(form, {0x91})), expected);
}

/// A PNG of the colours of `image` whose header claims other extents, its checksum recomputed (PNG, annex D).
FileBytes png_claiming(std::uint32_t width, std::uint32_t height) {
  FileBytes bytes = png_file(ramp_image(8, 8));
  constexpr std::size_t kType = 12, kWidth = 16, kHeight = 20, kChecksum = 29;
  const auto put = [&](std::size_t at, std::uint32_t value) {
    for (int i = 0; i < 4; ++i) bytes[at + static_cast<std::size_t>(i)] = static_cast<std::byte>(value >> (24 - 8 * i));
  };
  put(kWidth, width);
  put(kHeight, height);
  std::uint32_t sum = ~0U;
  for (std::size_t i = kType; i < kChecksum; ++i) {
    sum ^= std::to_integer<std::uint32_t>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ ((sum & 1) != 0 ? 0xedb88320U : 0);
  }
  put(kChecksum, ~sum);
  return bytes;
}

TEST(Png, HugeImagesAreRefusedBeforeMemoryIsTaken) {
  expect_error(ErrorKind::kResource, "65535 x 65535 pixels", [] { decode(png_claiming(65535, 65535)); });
  expect_error(ErrorKind::kResource, "at most", [] { decode(png_claiming(0x7fffffff, 0x7fffffff)); });
  expect_error(ErrorKind::kResource, "65535 a side", [] { decode(png_claiming(65536, 8)); });
  expect_error(ErrorKind::kCorrupt, "Not enough image data", [] { decode(png_claiming(8, 9)); });
  expect_error(ErrorKind::kResource, "photo has 13 x 7 pixels; at most 90",
               [] { decode_image(png_file(ramp_image(13, 7)), "photo", 90); });
  EXPECT_NO_THROW(decode_image(png_file(ramp_image(13, 7)), "photo", 91));
}

TEST(Png, ImagesWithoutPixelsAreRefused) {
  expect_error(ErrorKind::kCorrupt, "photo", [] { decode(png_claiming(0, 8)); });
  expect_error(ErrorKind::kCorrupt, "photo", [] { decode(png_claiming(8, 0)); });
  expect_error(ErrorKind::kCorrupt, "photo", [] { decode(png_claiming(0xffffffff, 8)); });
}

// ---- JPEG

double largest_difference(const Image& a, const Image& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.samples.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a.samples[i]) - b.samples[i]));
  }
  return largest;
}

/// At quality 100 coefficients are rounded to whole numbers, and colours to 8 bits on the way there and back.
constexpr double kJpegTolerance = 6;

TEST(Jpeg, ColoursAreClose) {
  const Image image = ramp_image(27, 18);
  const Image decoded = decode(jpeg_file(27, 18, image.samples));
  ASSERT_EQ(decoded.samples.size(), image.samples.size());
  EXPECT_LE(largest_difference(decoded, image), kJpegTolerance);
}

TEST(Jpeg, ProgressionChangesNothing) {
  const Image image = ramp_image(27, 18);
  EXPECT_EQ(decode(jpeg_file(27, 18, image.samples, {.progressive = true})), decode(jpeg_file(27, 18, image.samples)));
}

TEST(Jpeg, GreyBecomesThreeChannels) {
  const Image grey = ramp_image(16, 9, 1);
  const Image decoded = decode(jpeg_file(16, 9, grey.samples, {.colours = JCS_GRAYSCALE, .components = 1}));
  EXPECT_EQ(decoded.channels, 3);
  EXPECT_LE(largest_difference(decoded, rgb(16, 9, tripled(grey.samples))), 2);
  for (std::size_t i = 0; i < decoded.samples.size(); i += 3) EXPECT_EQ(decoded.samples[i], decoded.samples[i + 2]);
}

TEST(Jpeg, CmykIsRefused) {
  const JpegForm form{.colours = JCS_CMYK, .components = 4};
  expect_error(ErrorKind::kUnsupported, "CMYK", [&] { decode(jpeg_file(8, 8, Samples(256), form)); });
}

FileBytes jpeg_claiming(std::uint32_t width, std::uint32_t height) {
  FileBytes bytes = jpeg_file(8, 8, Samples(192));
  for (std::size_t i = 0; i + 8 < bytes.size(); ++i) {
    if (bytes[i] != std::byte{0xff} || bytes[i + 1] != std::byte{0xc0}) continue;  // SOF0
    bytes[i + 5] = static_cast<std::byte>(height >> 8);
    bytes[i + 6] = static_cast<std::byte>(height);
    bytes[i + 7] = static_cast<std::byte>(width >> 8);
    bytes[i + 8] = static_cast<std::byte>(width);
    return bytes;
  }
  return {};
}

TEST(Jpeg, HugeImagesAreRefusedBeforeMemoryIsTaken) {
  expect_error(ErrorKind::kResource, "65500 x 65500", [] { decode(jpeg_claiming(65500, 65500)); });
  expect_error(ErrorKind::kCorrupt, "photo",
               [] { decode(jpeg_claiming(65535, 65535)); });  // beyond libjpeg's own limit
  expect_error(ErrorKind::kCorrupt, "photo", [] { decode(jpeg_claiming(2048, 2048)); });
}

TEST(Jpeg, ImagesWithoutPixelsAreRefused) {
  expect_error(ErrorKind::kCorrupt, "photo", [] { decode(jpeg_claiming(0, 8)); });
  expect_error(ErrorKind::kCorrupt, "photo", [] { decode(jpeg_claiming(8, 0)); });
}

/// A kilobyte could ask for thousands of passes over 64 million pixels.
TEST(Jpeg, ManyScansAreRefused) {
  JpegForm form{.colours = JCS_GRAYSCALE, .components = 1};
  form.scans.push_back({1, {0}, 0, 0, 0, 0});
  for (int coefficient = 1; coefficient < 64; ++coefficient)
    form.scans.push_back({1, {0}, coefficient, coefficient, 0, 1});
  const Image grey = ramp_image(16, 16, 1);
  EXPECT_NO_THROW(decode(jpeg_file(16, 16, grey.samples, form)));
  for (int coefficient = 1; coefficient < 64; ++coefficient)
    form.scans.push_back({1, {0}, coefficient, coefficient, 1, 0});
  expect_error(ErrorKind::kCorrupt, "scans", [&] { decode(jpeg_file(16, 16, grey.samples, form)); });
}

/// The EXIF segment of a camera, little-endian, with two entries.
Samples exif_segment(std::uint8_t orientation) {
  return {'E',  'x',  'i', 'f', 0, 0, 'I', 'I', 42,          0, 8, 0, 0, 0, 2, 0,  //
          0x0f, 0x01, 2,   0,   1, 0, 0,   0,   'H',         0, 0, 0,              // make
          0x12, 0x01, 3,   0,   1, 0, 0,   0,   orientation, 0, 0, 0, 0, 0, 0, 0};
}

/// What each value means is in orientation_test.cpp.
TEST(Jpeg, ExifOrientationIsApplied) {
  const Image stored = ramp_image(32, 16);
  const Image upright = decode(jpeg_file(32, 16, stored.samples));
  const Image turned = decode(jpeg_file(32, 16, stored.samples, {.exif = exif_segment(6)}));
  EXPECT_EQ(turned.width, 16);
  EXPECT_EQ(turned.height, 32);
  for (std::size_t c = 0; c < 3; ++c) {  // clockwise: the lower left corner becomes the upper left one
    EXPECT_EQ(turned.samples[c], upright.samples[std::size_t{15} * 32 * 3 + c]);
  }
  EXPECT_EQ(decode(jpeg_file(32, 16, stored.samples, {.exif = exif_segment(1)})), upright);
  EXPECT_EQ(decode(jpeg_file(32, 16, stored.samples, {.exif = {'E', 'x', 'i', 'f', 0, 0}})), upright);
  EXPECT_EQ(decode(jpeg_file(32, 16, stored.samples, {.exif = {'h', 't', 't', 'p'}})), upright);
}

// ---- both

const std::vector<std::pair<std::string, std::function<FileBytes()>>> kFiles{
    {"PNG", [] { return png_file(ramp_image(9, 8)); }},
    {"interlaced PNG",
     [] { return png_file({.width = 9, .height = 8, .interlaced = true}, ramp_image(9, 8).samples); }},
    {"palette",
     [] {
       return png_file({.width = 3,
                        .height = 2,
                        .colour_type = PNG_COLOR_TYPE_PALETTE,
                        .palette = {{1, 2, 3}, {4, 5, 6}},
                        .palette_alpha = {9}},
                       {0, 1, 0, 1, 1, 0});
     }},
    {"JPEG", [] { return jpeg_file(16, 9, ramp_image(16, 9).samples, {.exif = exif_segment(3), .quality = 80}); }},
    {"progressive JPEG",
     [] { return jpeg_file(16, 9, ramp_image(16, 9).samples, {.progressive = true, .quality = 80}); }}};

TEST(Damage, EveryTruncationIsRefused) {
  for (const auto& [name, make] : kFiles) {
    const FileBytes good = make();
    for (std::size_t size = 0; size < good.size(); ++size) {
      const FileBytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
      const auto kind = size < (name.ends_with("JPEG") ? 3U : 8U) ? ErrorKind::kUnsupported : ErrorKind::kCorrupt;
      expect_error(kind, "photo", [&] { decode(cut); });
    }
  }
}

TEST(Damage, EveryFlippedBitIsRefusedOrGivesAnImage) {
  constexpr std::int64_t kMaxPixels = 1 << 16;
  for (const auto& [name, make] : kFiles) {
    const FileBytes good = make();
    std::size_t refused = 0;
    for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
      FileBytes bad = good;
      bad[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      try {
        const Image image = decode_image(bad, "photo", kMaxPixels);
        EXPECT_EQ(image.samples.size(),
                  static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3);
        if (name == "PNG") {
          EXPECT_EQ(image, decode(good)) << "bit " << bit;  // checksums see all that matters
        }
      } catch (const Error& error) {
        EXPECT_NE(error.kind(), ErrorKind::kInternal) << error.what();
        ++refused;
      }
    }
    EXPECT_GT(refused, good.size()) << name;
  }
}

TEST(Formats, OthersAreNamed) {
  const auto refused = [](std::string_view text, const std::string& part) {
    const auto bytes = std::as_bytes(std::span(text));
    expect_error(ErrorKind::kUnsupported, part, [&] { decode(FileBytes(bytes.begin(), bytes.end())); });
  };
  using namespace std::string_view_literals;
  refused("", "photo is neither PNG nor JPEG, which are the formats of images supported: it is empty");
  refused("GIF89a", "GIF");
  refused("BM1234", "BMP");
  refused("RIFF1234WEBPVP8 ", "WebP");
  refused("RIFF1234WAVE", "neither");
  refused("II*\0xxxx"sv, "TIFF");
  refused(
      "\0\0\0\x18"
      "ftypheic"sv,
      "HEIC");
  refused("\x93NUMPY\1\0"sv, "--input");
  refused("hello", "its first bytes belong to neither");
}

TEST(Luma, IsPillowsConvertL) {
  // Image.new("RGB", (1, 1), colour).convert("L") of Pillow 13.
  const auto luma = [](std::uint8_t r, std::uint8_t g, std::uint8_t b) {
    return to_luma(rgb(1, 1, {r, g, b})).samples;
  };
  EXPECT_EQ(luma(255, 0, 0), Samples{76});
  EXPECT_EQ(luma(0, 255, 0), Samples{150});
  EXPECT_EQ(luma(0, 0, 255), Samples{29});
  EXPECT_EQ(luma(10, 200, 30), Samples{124});
  for (int grey = 0; grey < 256; ++grey) {
    const auto g = static_cast<std::uint8_t>(grey);
    EXPECT_EQ(luma(g, g, g), Samples{g});
  }
  const Image one{.width = 1, .height = 1, .channels = 1, .samples = {7}};
  EXPECT_EQ(to_luma(one), one);
}

}  // namespace
}  // namespace hearth::service
