#include "nn/tap_view.h"

#include <algorithm>

#include "base/parallel.h"
#include "nn/window.h"

namespace hearth::nn {

namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

/// How one axis of the grid is laid out: for every remainder of a tap's distance from the kernel's start modulo the
/// stride, the positions that have it.
class TapView::Axis {
 public:
  Axis(const Window& window, std::size_t axis)
      : in_(window.in[axis]),
        stride_(window.strides[axis]),
        before_(window.before[axis]),
        dilation_(window.dilations[axis]) {
    const std::int64_t kernel = window.kernel[axis];
    for (std::int64_t k = 0; k < kernel; ++k) remainders_.push_back(k * dilation_ % stride_);
    std::ranges::sort(remainders_);
    remainders_.erase(std::unique(remainders_.begin(), remainders_.end()), remainders_.end());
    length_ = window.out[axis] + (kernel - 1) * dilation_ / stride_;
  }

  std::int64_t length() const { return length_; }
  std::int64_t parts() const { return std::ssize(remainders_); }
  std::int64_t extent() const { return length_ * parts(); }
  /// The extent without overflow.
  double size() const { return static_cast<double>(length_) * static_cast<double>(parts()); }

  /// Where in the grid tap k sees output position 0.
  std::int64_t start(std::int64_t k) const {
    const auto part = std::ranges::lower_bound(remainders_, k * dilation_ % stride_) - remainders_.begin();
    return part * length_ + k * dilation_ / stride_;
  }

  /// Calls visit(first position in the grid, Reach) for every part.
  template <typename Visit>
  void for_each_part(const Visit& visit) const {
    for (std::int64_t part = 0; part < parts(); ++part) {
      visit(part * length_, reach(length_, in_, stride_, before_, remainders_[index(part)]));
    }
  }
  std::int64_t stride() const { return stride_; }

 private:
  std::int64_t in_, stride_, before_, dilation_, length_;
  std::vector<std::int64_t> remainders_;  ///< sorted
};

namespace {

/// Copies what the grid has of one row of the image; its padding stays.
template <typename Axis>
void copy_row(float* to, const float* from, const Axis& columns) {
  columns.for_each_part([&](std::int64_t start, const Reach& r) {
    const std::int64_t stride = columns.stride();
    for (std::int64_t i = r.first; i < r.last; ++i) to[start + i] = from[i * stride + r.shift];
  });
}

}  // namespace

/// True if every output element sees the input element at its own place only.
bool TapView::Window::is_pointwise() const {
  constexpr HeightWidth kOne = {1, 1};
  return kernel == kOne && strides == kOne && before == HeightWidth{0, 0} && in == out;
}

TapView::Window TapView::window_of(const Conv2d& op, const Tensor& x, HeightWidth out) {
  Window window{{x.shape[2], x.shape[3]},   out, {op.weights.shape[2], op.weights.shape[3]}, op.strides, op.dilations,
                {op.pads.top, op.pads.left}};
  if (window.is_pointwise()) window.in = window.out = {1, out[0] * out[1]};
  return window;
}

std::vector<TapView::Unit> TapView::units_of(HeightWidth out) {
  constexpr auto kStep = static_cast<std::int64_t>(kUnit);
  std::vector<Unit> units;
  units.reserve(index(out[0] * ((out[1] + kStep - 1) / kStep)));
  for (std::int64_t y = 0; y < out[0]; ++y) {
    for (std::int64_t x = 0; x < out[1]; x += kStep) {
      units.push_back({y, x, index(y * out[1] + x), index(std::min(kStep, out[1] - x))});
    }
  }
  return units;
}

TapView::TapView(const Conv2d& op, const Tensor& x, HeightWidth out)
    : window_(window_of(op, x, out)), x_(x), channels_per_group_(op.weights.shape[1]), units_(units_of(window_.out)) {
  if (window_.is_pointwise()) {
    use_image();
  } else {
    use_grid();
  }
}

void TapView::use_image() {
  origin_ = x_.data.data();
  const std::int64_t plane = window_.in[0] * window_.in[1];
  group_step_ = index(channels_per_group_ * plane);
  row_ = window_.in[1];
  for (std::int64_t c = 0; c < channels_per_group_; ++c) offsets_.push_back(c * plane);
}

void TapView::use_grid() {
  const Axis rows(window_, 0);
  const Axis columns(window_, 1);
  const auto outputs = static_cast<double>(window_.out[0]) * static_cast<double>(window_.out[1]);
  const double usual = 16 * static_cast<double>(x_.shape[1]) * outputs + 16 * static_cast<double>(x_.size()) + 65536;
  if (static_cast<double>(x_.shape[1]) * rows.size() * columns.size() > usual) return;
  const std::int64_t plane = rows.extent() * columns.extent();
  row_ = columns.extent();
  group_step_ = index(channels_per_group_ * plane);
  for (std::int64_t c = 0; c < channels_per_group_; ++c) {
    for (std::int64_t ky = 0; ky < window_.kernel[0]; ++ky) {
      for (std::int64_t kx = 0; kx < window_.kernel[1]; ++kx) {
        offsets_.push_back(c * plane + rows.start(ky) * row_ + columns.start(kx));
      }
    }
  }
  const std::size_t size = index(x_.shape[1] * plane);
  grid_.emplace(size + kUnit);  // the last unit may reach beyond the last row
  float* const grid = grid_->data();
  std::fill_n(grid + size, kUnit, 0.0F);
  origin_ = grid;
  parallel_for(0, index(x_.shape[1]), [&](std::size_t c) {
    const float* from = x_.data.data() + c * index(window_.in[0] * window_.in[1]);
    float* to = grid + c * index(plane);
    std::fill_n(to, plane, 0.0F);
    rows.for_each_part([&](std::int64_t start, const Reach& r) {
      for (std::int64_t i = r.first; i < r.last; ++i) {
        copy_row(to + (start + i) * row_, from + (i * rows.stride() + r.shift) * window_.in[1], columns);
      }
    });
  });
}

void TapView::gather(const ConvolveKernels& kernels, double* seen, std::size_t group, std::size_t tap, std::size_t taps,
                     const Unit& unit) const {
  // Nothing may be read behind the end of the image, where its last unit could reach.
  const bool whole = grid_.has_value() || (origin_ != nullptr && unit.lanes == kUnit);
  if (!whole) return gather_one_by_one(seen, group, tap, taps, unit);
  kernels.gather(seen, group_origin(group) + base(unit), offsets_.data() + tap, taps);
}

void TapView::gather_one_by_one(double* seen, std::size_t group, std::size_t tap, std::size_t taps,
                                const Unit& unit) const {
  const auto& [in, out, kernel, strides, dilations, before] = window_;
  const float* image = x_.data.data() + group * index(channels_per_group_ * in[0] * in[1]);
  for (std::size_t i = 0; i < taps; ++i) {
    const auto k = static_cast<std::int64_t>(tap + i);
    const float* plane = image + k / (kernel[0] * kernel[1]) * in[0] * in[1];
    const std::int64_t y = unit.y * strides[0] - before[0] + k / kernel[1] % kernel[0] * dilations[0];
    for (std::size_t lane = 0; lane < kUnit; ++lane) {
      const std::int64_t column = unit.x + static_cast<std::int64_t>(lane);
      const std::int64_t x = column * strides[1] - before[1] + k % kernel[1] * dilations[1];
      const bool inside = lane < unit.lanes && y >= 0 && y < in[0] && x >= 0 && x < in[1];
      seen[i * kUnit + lane] = inside ? double{plane[y * in[1] + x]} : 0.0;
    }
  }
}

}  // namespace hearth::nn
