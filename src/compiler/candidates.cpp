#include <algorithm>
#include <array>
#include <bit>

#include "base/error.h"
#include "compiler/layout_search.h"

namespace hearth::compiler {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t pow2_ceil(std::int64_t v) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(v)));
}

/// One way to lay a C x H x W tensor on slots.
struct Grid {
  std::int64_t phase = 1;              ///< each channel becomes phase^2 channels
  std::int64_t height = 1, width = 1;  ///< extents of the grid, in grid points
  std::int64_t gap_y = 1, gap_x = 1;   ///< element (y, x) sits on grid point (gap_y y, gap_x x)
  bool interleaved = false;            ///< channels innermost
  std::int64_t pitch = 1;              ///< slots, at least, for the channels of a grid point when interleaved
};

/// False when not even one channel fits the slots.
bool lay_out(const std::array<std::int64_t, 3>& chw, const Grid& grid, std::int64_t slots, Layout& out) {
  const auto [c, h, w] = chw;
  const std::int64_t channels = c * grid.phase * grid.phase, plane = grid.height * grid.width;
  if (plane > slots) return false;
  std::int64_t per_ciphertext = std::min(channels, slots / plane);
  if (grid.interleaved) {
    per_ciphertext = std::min(std::max(pow2_ceil(channels), grid.pitch),
                              static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(slots / plane))));
  }
  const std::int64_t pitch_x = grid.interleaved ? per_ciphertext : 1;
  const std::int64_t pitch_c = grid.interleaved ? 1 : plane;
  out.ciphertexts = static_cast<int>(ceil_div(channels, per_ciphertext));
  out.period = static_cast<int>(pow2_ceil(per_ciphertext * plane));
  out.places.clear();
  for (std::int64_t e = 0; e < c * h * w; ++e) {
    const std::int64_t ch = e / (h * w), y = e / w % h, x = e % w;
    const std::int64_t channel = (ch * grid.phase + y % grid.phase) * grid.phase + x % grid.phase;
    const std::int64_t gy = y / grid.phase * grid.gap_y, gx = x / grid.phase * grid.gap_x;
    const std::int64_t slot = channel % per_ciphertext * pitch_c + (gy * grid.width + gx) * pitch_x;
    out.places.push_back({static_cast<std::int32_t>(channel / per_ciphertext), static_cast<std::int32_t>(slot)});
  }
  return true;
}

/// Elements in order, cut into ciphertexts of `slots`.
Layout contiguous(std::int64_t count, std::int64_t slots) {
  Layout out;
  out.ciphertexts = static_cast<int>(ceil_div(count, slots));
  out.period = static_cast<int>(std::min(pow2_ceil(count), slots));
  for (std::int64_t e = 0; e < count; ++e) {
    out.places.push_back({static_cast<std::int32_t>(e / slots), static_cast<std::int32_t>(e % slots)});
  }
  return out;
}

}  // namespace

std::vector<Layout> candidate_layouts(const nn::Shape& shape, int slots, const std::vector<GridHint>& hints,
                                      const std::vector<std::int64_t>& phases,
                                      const std::vector<std::int64_t>& pitches) {
  const std::int64_t count = nn::element_count(shape);
  std::vector<Layout> found = {contiguous(count, slots)};
  if (shape.size() < 3 || shape.size() > 4) return found;
  const auto chw = nn::as_chw(shape);
  std::vector<Grid> grids;
  for (const std::int64_t phase : phases) {
    const std::int64_t h = ceil_div(chw[1], phase), w = ceil_div(chw[2], phase);
    grids.push_back({.phase = phase, .height = h, .width = w});
    grids.push_back({.phase = phase, .height = pow2_ceil(h), .width = pow2_ceil(w)});
  }
  for (const GridHint& hint : hints) {
    if ((chw[1] - 1) * hint.gap_y < hint.height && (chw[2] - 1) * hint.gap_x < hint.width) {
      grids.push_back({.height = hint.height, .width = hint.width, .gap_y = hint.gap_y, .gap_x = hint.gap_x});
    }
  }
  const std::size_t plain = grids.size();
  for (std::size_t i = 0; i < plain; ++i) {
    grids.push_back(grids[i]);
    grids.back().interleaved = true;
    for (const std::int64_t pitch : pitches) {
      if (pitch <= pow2_ceil(chw[0] * grids[i].phase * grids[i].phase)) continue;
      grids.push_back(grids[i]);
      grids.back().interleaved = true;
      grids.back().pitch = pitch;
    }
  }
  for (const Grid& grid : grids) {
    Layout layout;
    if (lay_out(chw, grid, slots, layout) && std::ranges::count(found, layout) == 0) found.push_back(std::move(layout));
  }
  return found;
}

}  // namespace hearth::compiler
