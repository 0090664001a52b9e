#pragma once

#include <cstddef>
#include <span>

#include "service/image/image.h"

/// Cameras store pixels as the sensor had them, and in EXIF how to turn them upright.
namespace hearth::service {

/// The orientation, 1 to 8, in the first directory of a TIFF structure, as EXIF 2.3 (section 4.6.4, tag 0x0112) has it;
/// 1 (upright) where there is none or the bytes, which may be anything, make no sense.
int exif_orientation(std::span<const std::byte> tiff);

/// The image turned upright: 2 mirrors left and right, 3 turns by 180 degrees, 4 mirrors top and bottom, 5 transposes,
/// 6 turns by 90 degrees clockwise, 7 transposes along the other diagonal, 8 turns by 90 degrees anticlockwise.
Image oriented(Image image, int orientation);

}  // namespace hearth::service
