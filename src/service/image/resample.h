#pragma once

#include <cstdint>

#include "service/image/image.h"

namespace hearth::service {

/// A part of an image, in its pixels.
struct Window {
  std::int64_t left = 0, top = 0;
  int width = 0, height = 0;
};

/// The window of what `image` becomes when it is resized to width x height, without making the rest. Antialiased
/// bilinear: each sample is the mean of those under a triangle as wide as two pixels of the result, or of the image
/// where that is larger; rows first, then columns, each rounded to 8 bits. This is Pillow's resize(..., BILINEAR)
/// (src/libImaging/Resample.c). Error(kInvalidArgument) for a window beyond the result.
Image resample(const Image& image, std::int64_t width, std::int64_t height, const Window& window);

}  // namespace hearth::service
