#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/scratch.h"
#include "nn/graph.h"
#include "nn/kernels/convolve_kernels.h"

namespace hearth::nn {

/// An image as the taps (input channel, ky, kx) of a convolution see it, arranged so that what a tap sees at the
/// positions of a unit lies side by side. A unit is up to kUnit neighbouring output positions of one row.
///
/// Mostly the image is copied once into a grid: padded, and with the rows and columns that a stride separates sorted by
/// their remainders. Then tap t sees at output (y, x) element t's offset + y * row + x. A 1x1 convolution with stride 1
/// uses the image as it is, all in one row. Where absurd pads or dilations would make the grid much larger than the
/// image, elements are fetched one by one.
///
/// Refers to the image, which must stay. Const use is thread safe.
class TapView {
 public:
  /// The operands are those of convolve(), already checked. Parallel.
  TapView(const Conv2d& op, const Tensor& x, HeightWidth out);

  struct Unit {
    std::int64_t y, x;     ///< of its first output position, in the rows of this view
    std::size_t position;  ///< of the same in the output plane
    std::size_t lanes;     ///< how many positions
  };
  const std::vector<Unit>& units() const { return units_; }

  /// seen[i][lane] = what tap `tap` + i of a group sees at the unit's positions, i < taps. Lanes from unit.lanes on are
  /// arbitrary.
  void gather(const ConvolveKernels& kernels, double* seen, std::size_t group, std::size_t tap, std::size_t taps,
              const Unit& unit) const;

  /// True if ConvolveKernels::slide may read any unit: from group_origin(), with these offsets and base().
  bool can_slide() const { return grid_.has_value(); }
  const float* group_origin(std::size_t group) const { return origin_ + group * group_step_; }
  const std::ptrdiff_t* offsets() const { return offsets_.data(); }
  std::ptrdiff_t base(const Unit& unit) const { return unit.y * row_ + unit.x; }

 private:
  /// The convolution's geometry along (height, width); before: padding at the top and left.
  struct Window {
    HeightWidth in, out, kernel, strides, dilations, before;
    bool is_pointwise() const;
  };
  class Axis;

  static std::vector<Unit> units_of(HeightWidth out);
  static Window window_of(const Conv2d& op, const Tensor& x, HeightWidth out);
  void use_image();
  void use_grid();
  void gather_one_by_one(double* seen, std::size_t group, std::size_t tap, std::size_t taps, const Unit& unit) const;

  Window window_;
  const Tensor& x_;
  std::int64_t channels_per_group_;
  std::vector<Unit> units_;
  std::optional<Scratch<float>> grid_;
  // Of the image or the grid; null and empty if there is neither.
  const float* origin_ = nullptr;
  std::size_t group_step_ = 0;
  std::ptrdiff_t row_ = 0;
  std::vector<std::ptrdiff_t> offsets_;  ///< of the taps of a group
};

}  // namespace hearth::nn
