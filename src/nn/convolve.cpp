#include "nn/convolve.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "nn/kernels/convolve_kernels.h"
#include "nn/tap_view.h"

namespace hearth::nn {

namespace {

// A convolution is a product of the weights, a matrix of rows (output channels) by taps (input channel, ky, kx), with
// the matrix of what each tap sees at each output position. The second is gathered piece by piece, each small enough
// for the cache, and multiplied by tiles of rows and units of positions whose sums stay in registers.

constexpr std::size_t kBlockRows = 128;  ///< output channels in a task
constexpr std::size_t kBlockUnits = 24;  ///< units of positions in a task: what their taps see takes 384 KiB
constexpr std::size_t kStripRows = 8;    ///< rows whose weights are widened at a time
constexpr std::size_t kSlideUnits = 64;  ///< units in a task without gathering

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Interval {
  std::size_t first, last;  ///< exclusive
  std::size_t size() const { return last - first; }
};

void check_operands(const Conv2d& op, const Tensor& x, const Shape& shape) {
  const Shape& w = op.weights.shape;
  const bool images = x.shape.size() == 4 && x.shape[0] == 1 && shape.size() == 4 && shape[0] == 1 && w.size() == 4;
  const bool fits = images && op.groups > 0 && w[0] % op.groups == 0 && shape[1] == w[0] &&
                    x.shape[1] == w[1] * op.groups && op.bias.shape == Shape{w[0]} && w[2] > 0 && w[3] > 0;
  require(fits, ErrorKind::kInvalidArgument,
          "a convolution of {} groups with weights {} and bias {} does not take {} to {}", op.groups, to_string(w),
          to_string(op.bias.shape), to_string(x.shape), to_string(shape));
  require(std::min({op.strides[0], op.strides[1], op.dilations[0], op.dilations[1]}) > 0, ErrorKind::kInvalidArgument,
          "strides {}, {} and dilations {}, {} must be positive", op.strides[0], op.strides[1], op.dilations[0],
          op.dilations[1]);
}

class Convolution {
 public:
  Convolution(const ConvolveKernels& kernels, const Conv2d& op, const Tensor& x, Tensor& y)
      : op_(op),
        y_(y),
        view_(op, x, {y.shape[2], y.shape[3]}),
        kernels_(kernels),
        taps_(index(op.weights.size() / op.weights.shape[0])),
        group_rows_(index(op.weights.shape[0] / op.groups)) {}

  void run() {
    // To gather for one or two rows takes longer than to multiply.
    group_rows_ <= 2 && view_.can_slide() ? slide_all() : multiply_all();
  }

 private:
  void multiply_all() {
    const std::size_t row_blocks = (group_rows_ + kBlockRows - 1) / kBlockRows;
    const std::size_t unit_blocks = (view_.units().size() + kBlockUnits - 1) / kBlockUnits;
    parallel_for(0, index(op_.groups) * row_blocks * unit_blocks, [&](std::size_t task) {
      const std::size_t group = task / unit_blocks / row_blocks;
      const std::size_t row = group * group_rows_ + task / unit_blocks % row_blocks * kBlockRows;
      const std::size_t unit = task % unit_blocks * kBlockUnits;
      multiply(group, {row, std::min(row + kBlockRows, (group + 1) * group_rows_)},
               {unit, std::min(unit + kBlockUnits, view_.units().size())});
    });
  }

  /// Some output channels of a group at some positions.
  void multiply(std::size_t group, Interval rows, Interval units) {
    Scratch<double> seen(units.size() * kTaps * kUnit);
    Scratch<double> sums(rows.size() * units.size() * kUnit);
    const std::size_t stride = units.size() * kUnit;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      std::fill_n(sums.data() + r * stride, stride, double{op_.bias.data[rows.first + r]});
    }
    for (std::size_t tap = 0; tap < taps_; tap += kTaps) {
      const std::size_t taps = std::min(kTaps, taps_ - tap);
      for (std::size_t u = 0; u < units.size(); ++u) {
        view_.gather(kernels_, seen.data() + u * kTaps * kUnit, group, tap, taps, view_.units()[units.first + u]);
      }
      add_products(rows, units, tap, taps, seen.data(), sums.data());
    }
    for (std::size_t r = 0; r < rows.size(); ++r) {
      for_each_run(units, [&](std::size_t from, std::size_t position, std::size_t count) {
        kernels_.narrow(row(rows.first + r) + position, sums.data() + r * stride + from, count);
      });
    }
  }

  void add_products(Interval rows, Interval units, std::size_t tap, std::size_t taps, const double* seen,
                    double* sums) const {
    Scratch<double> weights(kStripRows * kTaps);
    const std::size_t stride = units.size() * kUnit;
    for (std::size_t r = 0; r < rows.size(); r += kStripRows) {
      const std::size_t strip = std::min(kStripRows, rows.size() - r);
      for (std::size_t i = 0; i < strip; ++i) {
        const float* from = op_.weights.data.data() + (rows.first + r + i) * taps_ + tap;
        kernels_.widen(weights.data() + i * kTaps, from, taps);
      }
      kernels_.multiply(sums + r * stride, stride, weights.data(), seen, taps, strip, units.size());
    }
  }

  void slide_all() {
    const std::size_t blocks = (view_.units().size() + kSlideUnits - 1) / kSlideUnits;
    Scratch<double> weights(op_.weights.data.size());
    kernels_.widen(weights.data(), op_.weights.data.data(), op_.weights.data.size());
    parallel_for(0, index(op_.weights.shape[0]) * blocks, [&](std::size_t task) {
      const std::size_t unit = task % blocks * kSlideUnits;
      const std::size_t m = task / blocks;
      slide(m, {unit, std::min(unit + kSlideUnits, view_.units().size())}, weights.data() + m * taps_);
    });
  }

  /// One output channel at some positions.
  void slide(std::size_t m, Interval units, const double* weights) {
    std::array<std::ptrdiff_t, kSlideUnits> bases;
    std::array<float, kSlideUnits * kUnit> values;
    for (std::size_t u = 0; u < units.size(); ++u) bases[u] = view_.base(view_.units()[units.first + u]);
    kernels_.slide(values.data(), view_.group_origin(m / group_rows_), bases.data(), units.size(), view_.offsets(),
                   weights, taps_, double{op_.bias.data[m]});
    for_each_run(units, [&](std::size_t from, std::size_t position, std::size_t count) {
      std::copy_n(values.data() + from, count, row(m) + position);
    });
  }

  /// Calls visit(lane of the first unit, position in the output plane, count) for runs that are contiguous in both.
  template <typename Visit>
  void for_each_run(Interval units, const Visit& visit) const {
    for (std::size_t u = units.first; u < units.last;) {
      const std::size_t start = u;
      std::size_t count = 0;
      do {
        count += view_.units()[u].lanes;
      } while (++u < units.last && count % kUnit == 0);
      visit((start - units.first) * kUnit, view_.units()[start].position, count);
    }
  }

  float* row(std::size_t m) { return y_.data.data() + m * index(y_.shape[2] * y_.shape[3]); }

  const Conv2d& op_;
  Tensor& y_;
  const TapView view_;
  const ConvolveKernels& kernels_;
  const std::size_t taps_;        ///< of an output channel
  const std::size_t group_rows_;  ///< output channels of a group
};

}  // namespace

Tensor convolve_with(const ConvolveKernels& kernels, const Conv2d& op, const Tensor& x, const Shape& shape) {
  check_operands(op, x, shape);
  Tensor y(shape);
  if (!y.data.empty()) Convolution(kernels, op, x, y).run();
  return y;
}

Tensor convolve(const Conv2d& op, const Tensor& x, const Shape& shape) {
  return convolve_with(convolve_kernels(), op, x, shape);
}

}  // namespace hearth::nn
