#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "service/image/image.h"

/// One decoder for each format, behind decode_image, whose errors they throw.
namespace hearth::service {

Image decode_png(std::span<const std::byte> bytes, const std::string& name, std::int64_t max_pixels);
/// In upright orientation.
Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name, std::int64_t max_pixels);

/// An RGB image of zeros. Error(kResource) above the limits, Error(kCorrupt) for a side of 0.
Image blank_image(std::uint64_t width, std::uint64_t height, const std::string& name, std::int64_t max_pixels);

}  // namespace hearth::service
