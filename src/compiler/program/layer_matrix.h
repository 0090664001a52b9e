#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "ckks/linear_map.h"
#include "compiler/program/layout.h"

namespace hearth::compiler {

/// A two-dimensional convolution without bias: out[o, y, x] = sum over the channels i of o's group and taps (ky, kx) of
/// weights[o, i, ky, kx] * in[i, y stride_y + ky dilation_y - pad_top, ...], zero outside the image. Dense layers are
/// 1 x 1 on images of one point, pooling has a group per channel.
struct Convolution {
  std::array<int, 3> in = {1, 1, 1}, out = {1, 1, 1};  ///< channels, height, width
  int groups = 1;
  std::array<int, 2> kernel = {1, 1}, strides = {1, 1}, dilations = {1, 1};  ///< vertical, horizontal
  std::array<int, 2> pads = {0, 0};                                          ///< top, left; may be negative
  std::vector<float> weights;  ///< [out channel][channel within the group][row][column]

  std::int64_t columns() const { return std::int64_t{in[0]} * in[1] * in[2]; }
  std::int64_t rows() const { return std::int64_t{out[0]} * out[1] * out[2]; }
  bool operator==(const Convolution&) const = default;
};

/// Throws Error(kCorrupt) unless extents, strides, dilations and groups are possible and as many weights are there as
/// they ask for.
void check(const Convolution& layer);

/// A convolution between two layouts as a linear map whose diagonals are computed from the weights when they are asked
/// for, in time linear in the period. Geometry as in compiler/diagonals.h: with periods P_in, P_out the diagonal of
/// rotation r in [0, min(P_in, P_out)) holds, at slot b, the weight from slot b + r (mod P_in) to slot b (mod P_out);
/// where P_in > P_out the result must be folded. Immutable; thread safe.
class LayerMatrix final : public ckks::LinearMapSource {
 public:
  using LayoutPtr = std::shared_ptr<const Layout>;

  /// `diagonals`: those that are not zero, ascending by output, input and rotation. Throws Error(kCorrupt) when the
  /// parts do not fit each other (check(layer), one place for every row and column, diagonals within the layouts).
  LayerMatrix(Convolution layer, LayoutPtr in, LayoutPtr out, std::vector<ckks::DiagonalPlace> diagonals);

  const ckks::MapShape& shape() const override { return shape_; }
  void diagonal(const ckks::DiagonalPlace& place, std::span<double> out) const override;
  std::shared_ptr<const void> hold() const override { return tables(); }

  const Convolution& layer() const { return layer_; }
  const LayoutPtr& in() const { return in_; }
  const LayoutPtr& out() const { return out_; }
  /// Bytes that it takes in memory, tables of diagonal() included, layouts not.
  std::size_t bytes() const;

 private:
  /// What diagonal() must know of a slot, as offsets into the weights.
  struct RowSlot {
    std::int32_t weights, channel, y, x;  ///< first weight of its channel; where its first tap lies
  };
  struct ColumnSlot {
    std::int32_t channel, y, x;
  };
  struct Tables {
    std::vector<RowSlot> rows;        ///< [ciphertext][slot]
    std::vector<ColumnSlot> columns;  ///< [ciphertext][slot]
    std::vector<std::int32_t> channel_taps, y_taps, x_taps;
  };
  std::shared_ptr<const Tables> tables() const;
  Tables make_tables() const;

  Convolution layer_;
  LayoutPtr in_, out_;
  ckks::MapShape shape_;
  mutable std::mutex mutex_;
  mutable std::weak_ptr<const Tables> tables_;  // made when they are needed: not while a file is being read
};

/// Whether no two elements share a slot, which LayerMatrix needs of both its layouts.
bool injective(const Layout& layout);

}  // namespace hearth::compiler
