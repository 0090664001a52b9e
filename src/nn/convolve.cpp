#include "nn/convolve.h"

#include <algorithm>
#include <array>

#include "base/parallel.h"

namespace hearth::nn {

namespace {

// A convolution is a product of the weights, a matrix of rows (output channels) by taps (input channel, ky, kx), with
// the matrix of what each tap sees at each output position. The second is gathered piece by piece, each small enough
// for the cache, and multiplied by tiles of rows and positions whose sums stay in registers.

constexpr std::size_t kLanes = 8;  ///< positions in a tile
constexpr std::size_t kTileRows = 4;
constexpr std::size_t kTiles = 8;  ///< tiles of positions in a task
constexpr std::size_t kRows = 64;  ///< output channels in a task
constexpr std::size_t kTaps = 512;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

using Lanes = std::array<double, kLanes>;

/// sums[r] += sum_t weights[r][t] seen[t].
template <std::size_t Rows>
void multiply(const std::array<const float*, kTileRows>& weights, const Lanes* seen, std::size_t taps,
              std::array<Lanes*, kTileRows>& sums) {
  std::array<Lanes, Rows> sum;
  for (std::size_t r = 0; r < Rows; ++r) sum[r] = *sums[r];
  for (std::size_t t = 0; t < taps; ++t) {
    for (std::size_t r = 0; r < Rows; ++r) {
      const double weight = weights[r][t];
      for (std::size_t lane = 0; lane < kLanes; ++lane) sum[r][lane] += weight * seen[t][lane];
    }
  }
  for (std::size_t r = 0; r < Rows; ++r) *sums[r] = sum[r];
}

/// One piece of the work: some output channels of a group at some output positions.
class Piece {
 public:
  Piece(const Conv2d& op, const Tensor& x, Tensor& y) : op_(op), x_(x), y_(y) {}

  void run(std::size_t first_row, std::size_t last_row, std::size_t first_position, std::size_t last_position) {
    const std::size_t tiles = (last_position - first_position + kLanes - 1) / kLanes;
    const std::size_t all_taps = index(op_.weights.size() / op_.weights.shape[0]);
    std::vector<Lanes> seen(tiles * std::min(all_taps, kTaps));
    std::vector<Lanes> sums((last_row - first_row) * tiles);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i].fill(op_.bias.data[first_row + i / tiles]);
    for (std::size_t tap = 0; tap < all_taps; tap += kTaps) {
      const std::size_t taps = std::min(kTaps, all_taps - tap);
      for (std::size_t tile = 0; tile < tiles; ++tile) {
        gather(first_row, tap, taps, first_position + tile * kLanes, last_position, &seen[tile * taps]);
      }
      for (std::size_t row = first_row; row < last_row; row += kTileRows) {
        const std::size_t rows = std::min(kTileRows, last_row - row);
        for (std::size_t tile = 0; tile < tiles; ++tile) {
          multiply_tile(row, rows, tap, taps, &seen[tile * taps], &sums[(row - first_row) * tiles + tile], tiles);
        }
      }
    }
    const std::size_t plane = index(y_.shape[2] * y_.shape[3]);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::size_t position = first_position + i % tiles * kLanes;
      float* to = y_.data.data() + (first_row + i / tiles) * plane + position;
      for (std::size_t lane = 0; lane < std::min(kLanes, last_position - position); ++lane) {
        to[lane] = static_cast<float>(sums[i][lane]);
      }
    }
  }

 private:
  /// What taps tap, tap + 1, ... see at the kLanes positions from `position` on; 0 in the padding and from `last` on.
  void gather(std::size_t row, std::size_t tap, std::size_t taps, std::size_t position, std::size_t last,
              Lanes* seen) const {
    const Shape& w = op_.weights.shape;
    const std::int64_t height = x_.shape[2];
    const std::int64_t width = x_.shape[3];
    const std::int64_t group = static_cast<std::int64_t>(row) / (w[0] / op_.groups);
    std::array<std::int64_t, kLanes> top{};
    std::array<std::int64_t, kLanes> left{};
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const auto at = static_cast<std::int64_t>(position + lane);
      // A lane without a position sees padding only.
      top[lane] = position + lane < last ? at / y_.shape[3] * op_.strides[0] - op_.pads.top : height;
      left[lane] = at % y_.shape[3] * op_.strides[1] - op_.pads.left;
    }
    for (std::size_t t = 0; t < taps; ++t) {
      const auto k = static_cast<std::int64_t>(tap + t);
      const std::int64_t dy = k / w[3] % w[2] * op_.dilations[0];
      const std::int64_t dx = k % w[3] * op_.dilations[1];
      const float* plane = x_.data.data() + index((group * w[1] + k / (w[2] * w[3])) * height * width);
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const std::int64_t row_at = top[lane] + dy;
        const std::int64_t column = left[lane] + dx;
        const bool inside = row_at >= 0 && row_at < height && column >= 0 && column < width;
        seen[t][lane] = inside ? plane[row_at * width + column] : 0.0;
      }
    }
  }

  void multiply_tile(std::size_t row, std::size_t rows, std::size_t tap, std::size_t taps, const Lanes* seen,
                     Lanes* sums, std::size_t stride) const {
    const std::size_t all_taps = index(op_.weights.size() / op_.weights.shape[0]);
    std::array<const float*, kTileRows> weights{};
    std::array<Lanes*, kTileRows> to{};
    for (std::size_t r = 0; r < rows; ++r) {
      weights[r] = op_.weights.data.data() + (row + r) * all_taps + tap;
      to[r] = sums + r * stride;
    }
    switch (rows) {
      case 4:
        return multiply<4>(weights, seen, taps, to);
      case 3:
        return multiply<3>(weights, seen, taps, to);
      case 2:
        return multiply<2>(weights, seen, taps, to);
      default:
        return multiply<1>(weights, seen, taps, to);
    }
  }

  const Conv2d& op_;
  const Tensor& x_;
  Tensor& y_;
};

}  // namespace

Tensor convolve(const Conv2d& op, const Tensor& x, const Shape& shape) {
  Tensor y(shape);
  const std::size_t per_group = index(shape[1] / op.groups);
  const std::size_t row_blocks = (per_group + kRows - 1) / kRows;
  const std::size_t positions = index(shape[2] * shape[3]);
  const std::size_t position_blocks = (positions + kTiles * kLanes - 1) / (kTiles * kLanes);
  parallel_for(0, index(op.groups) * row_blocks * position_blocks, [&](std::size_t task) {
    const std::size_t group = task / position_blocks / row_blocks;
    const std::size_t row = group * per_group + task / position_blocks % row_blocks * kRows;
    const std::size_t position = task % position_blocks * kTiles * kLanes;
    Piece(op, x, y).run(row, std::min(row + kRows, (group + 1) * per_group), position,
                        std::min(position + kTiles * kLanes, positions));
  });
  return y;
}

}  // namespace hearth::nn
