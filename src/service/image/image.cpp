#include "service/image/image.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "service/image/codecs.h"

namespace hearth::service {
namespace {

using namespace std::string_view_literals;

constexpr std::uint64_t kMaxFileBytes = 256 << 20;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What a file that is no PNG or JPEG looks like.
std::string_view guessed_format(std::string_view text) {
  if (text.starts_with("GIF8")) return "it looks like GIF";
  if (text.starts_with("BM")) return "it looks like BMP";
  if (text.starts_with("RIFF") && text.substr(0, 12).ends_with("WEBP")) return "it looks like WebP";
  if (text.starts_with("II*\0"sv) || text.starts_with("MM\0*"sv)) return "it looks like TIFF";
  if (text.size() >= 12 && text.substr(4, 4) == "ftyp") return "it looks like HEIC or AVIF";
  if (text.starts_with("\x93NUMPY")) return "it is a NumPy array, which goes with --input";
  return text.empty() ? "it is empty" : "its first bytes belong to neither";
}

}  // namespace

Image decode_image(std::span<const std::byte> bytes, const std::string& name, std::int64_t max_pixels) {
  const std::string_view text = as_text(bytes);
  if (text.starts_with("\x89PNG\r\n\x1a\n"sv)) return decode_png(bytes, name, max_pixels);
  if (text.starts_with("\xff\xd8\xff"sv)) return decode_jpeg(bytes, name, max_pixels);
  fail(ErrorKind::kUnsupported, "{} is neither PNG nor JPEG, which are the formats of images supported: {}", name,
       guessed_format(text));
}

Image read_image(const std::filesystem::path& path) {
  return decode_image(read_file(path, kMaxFileBytes), path.string());
}

Image blank_image(std::uint64_t width, std::uint64_t height, const std::string& name, std::int64_t max_pixels) {
  require(width > 0 && height > 0, ErrorKind::kCorrupt, "{} is an image of {} x {} pixels, so without any", name, width,
          height);
  const bool fits = width <= kMaxImageSide && height <= kMaxImageSide &&
                    width * height <= static_cast<std::uint64_t>(std::max<std::int64_t>(max_pixels, 0));
  require(fits, ErrorKind::kResource,
          "{} has {} x {} pixels; at most {} altogether and {} a side are accepted: make it smaller", name, width,
          height, max_pixels, kMaxImageSide);
  Image image{.width = static_cast<int>(width), .height = static_cast<int>(height), .channels = 3, .samples = {}};
  image.samples.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  return image;
}

Image to_luma(Image image) {
  if (image.channels == 1) return image;
  const std::size_t pixels = image.samples.size() / 3;
  for (std::size_t i = 0; i < pixels; ++i) {
    const std::uint8_t* rgb = image.samples.data() + 3 * i;
    // Pillow's rounding of 0.299, 0.587, 0.114 to 16 bits; their sum is exactly 2^16, so that grey stays as it is.
    const std::uint32_t luma = rgb[0] * 19595U + rgb[1] * 38470U + rgb[2] * 7471U + 0x8000U;
    image.samples[i] = static_cast<std::uint8_t>(luma >> 16);
  }
  image.channels = 1;
  image.samples.resize(pixels);
  return image;
}

}  // namespace hearth::service
