/// Decodes images, of few pixels only so that the search is fast, and turns and shrinks those that can be decoded;
/// bytes without a known beginning are read as EXIF.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "hearth/error.h"
#include "service/image/orientation.h"
#include "service/image/recipe.h"

namespace {

using namespace hearth;

void decode(std::span<const std::byte> bytes) {
  constexpr std::int64_t kMaxPixels = 1 << 16;
  service::Image image = service::decode_image(bytes, "image", kMaxPixels);
  const auto pixels = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height);
  if (image.channels != 3 || image.samples.size() != 3 * pixels) std::abort();
  const service::ImageRecipe recipe{.channels = 1, .height = 8, .width = 16, .resize = 16};
  if (service::prepare(std::move(image), recipe, "image").size() != 8 * 16) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const int orientation = service::exif_orientation(bytes);
    if (orientation < 1 || orientation > 8) std::abort();
    decode(bytes);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) std::abort();
  }
  return 0;
}
