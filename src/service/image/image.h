#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

/// Files of images as pixels. Files are hostile input: sizes are checked before anything is allocated for them.
namespace hearth::service {

/// Rows from the top, pixels from the left, the channels of a pixel side by side.
struct Image {
  int width = 0, height = 0;
  int channels = 3;                   ///< 3: red, green, blue; 1: luma
  std::vector<std::uint8_t> samples;  ///< height * width * channels

  bool operator==(const Image&) const = default;
};

/// Largest image that is decoded: 192 MiB of samples.
inline constexpr std::int64_t kMaxImagePixels = std::int64_t{1} << 26;
inline constexpr std::int64_t kMaxImageSide = 65535;

/// Decodes a PNG or JPEG file to RGB, to the values that Pillow's Image.open(file).convert("RGB") has:
/// - grey becomes three equal channels, palettes their colours; an alpha channel is dropped, not blended;
/// - of 16-bit samples the high byte is kept (Pillow does so for colour and saturates grey);
/// - gamma and colour profiles are ignored.
/// Unlike there, the orientation that EXIF of a JPEG gives is applied (ImageOps.exif_transpose does that).
/// `name` stands for the file in messages. Error(kCorrupt) for files that are damaged or cut short, as far as the
/// format shows it; Error(kUnsupported) for other formats and for CMYK; Error(kResource) above `max_pixels` or
/// kMaxImageSide. Thread safe.
Image decode_image(std::span<const std::byte> bytes, const std::string& name,
                   std::int64_t max_pixels = kMaxImagePixels);

/// The same from a file, at most 256 MiB. Error(kIo) if it cannot be read.
Image read_image(const std::filesystem::path& path);

/// ITU-R BT.601 luma, rounded as by Pillow's convert("L"): grey images keep their values. Takes and gives 1 or 3
/// channels; an image of one is returned as it is.
Image to_luma(Image image);

}  // namespace hearth::service
