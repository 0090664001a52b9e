#pragma once

#include <algorithm>
#include <cstdint>

namespace hearth::nn {

/// Where, along one axis, a kernel tap that sees position o * stride + shift of an image at output position o is inside
/// the image: at outputs first..last exclusive.
struct Reach {
  std::int64_t first, last, shift;
};

/// The reach of the tap `offset` positions behind the kernel's start, for an image of `extent` positions with `before`
/// positions of padding (negative: cut off) in front.
inline Reach reach(std::int64_t outputs, std::int64_t extent, std::int64_t stride, std::int64_t before,
                   std::int64_t offset) {
  const std::int64_t shift = offset - before;
  const std::int64_t first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  const std::int64_t last = extent - shift <= 0 ? 0 : std::min(outputs, (extent - shift - 1) / stride + 1);
  return {first, std::max(first, last), shift};
}

}  // namespace hearth::nn
