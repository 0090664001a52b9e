#include "service/image/orientation.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace hearth::service {
namespace {

/// Numbers in a TIFF structure, of either byte order; nothing where the bytes end.
class TiffReader {
 public:
  TiffReader(std::span<const std::byte> bytes, bool little) : bytes_(bytes), little_(little) {}

  std::optional<std::uint32_t> number(std::size_t offset, std::size_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) return std::nullopt;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value = value << 8 | std::to_integer<std::uint32_t>(bytes_[offset + (little_ ? size - 1 - i : i)]);
    }
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  bool little_;
};

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kShort = 3;  // type of a 16-bit value
constexpr std::size_t kEntryBytes = 12;

}  // namespace

int exif_orientation(std::span<const std::byte> tiff) {
  const bool little = !tiff.empty() && tiff[0] == std::byte{'I'};
  const TiffReader in(tiff, little);
  if (in.number(0, 2) != (little ? 0x4949U : 0x4d4dU) || in.number(2, 2) != 42U) return 1;
  const std::size_t directory = in.number(4, 4).value_or(0);
  const std::size_t entries = in.number(directory, 2).value_or(0);  // at most 65535
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntryBytes;
    const auto tag = in.number(entry, 2);
    if (!tag) return 1;
    if (*tag != kOrientationTag) continue;
    const bool one_short = in.number(entry + 2, 2) == kShort && in.number(entry + 4, 4) == 1U;
    const std::uint32_t value = in.number(entry + 8, 2).value_or(1);
    return one_short && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image oriented(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool transposed = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out{.width = transposed ? image.height : image.width,
            .height = transposed ? image.width : image.height,
            .channels = image.channels,
            .samples = {}};
  out.samples.resize(image.samples.size());
  std::uint8_t* to = out.samples.data();
  for (int v = 0; v < out.height; ++v) {
    for (int u = 0; u < out.width; ++u) {
      const int x = transposed ? v : u, y = transposed ? u : v;
      const auto column = static_cast<std::size_t>(from_right ? image.width - 1 - x : x);
      const auto row = static_cast<std::size_t>(from_below ? image.height - 1 - y : y);
      const std::size_t pixel = row * static_cast<std::size_t>(image.width) + column;
      to = std::copy_n(image.samples.data() + pixel * static_cast<std::size_t>(image.channels), image.channels, to);
    }
  }
  return out;
}

}  // namespace hearth::service
