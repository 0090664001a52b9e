#pragma once

#include <memory>
#include <vector>

#include "ckks/linear_map.h"
#include "compiler/program/grid_layout.h"
#include "compiler/program/layer_matrix.h"

namespace hearth::compiler {

/// A convolution between two images on one grid as a linear map. Its diagonals repeat from column to column, so their
/// period is the pitch of the output. Results are right at the elements of the output; in its margins there are sums
/// of partly real neighbours. Values that a convolution reads beyond its image must be zero in the input's margins.
///
/// `pooled`: the layer makes a vector of the whole image, by weights that are the same everywhere (1 x 1, the results
/// are summed) or that differ from point to point (a window as large as the image; then diagonals are as long as the
/// slots). What the map gives must be folded over all grid points (fold_steps()), after which every grid point holds
/// the sums. Immutable; thread safe.
class GridMatrix final : public ckks::LinearMapSource {
 public:
  /// Throws Error(kCorrupt) when the parts do not fit each other: extents, strides against pitches and phases, and
  /// windows that reach half of the grid or further.
  GridMatrix(std::shared_ptr<const Convolution> layer, GridLayoutPtr in, GridLayoutPtr out, bool pooled);

  const ckks::MapShape& shape() const override { return shape_; }
  void diagonal(const ckks::DiagonalPlace& place, std::span<double> out) const override;

  const std::shared_ptr<const Convolution>& layer() const { return layer_; }
  const GridLayoutPtr& in() const { return in_; }
  const GridLayoutPtr& out() const { return out_; }
  bool pooled() const { return pooled_; }
  /// Rotations by which to fold: each output is replaced by itself plus its rotation, step by step.
  std::vector<int> fold_steps() const;
  std::size_t bytes() const;  ///< in memory, layouts left out

 private:
  void check_parts() const;
  std::vector<ckks::DiagonalPlace> places_of(int output) const;
  float weight(const GridEntry& to, const GridEntry& from, int row, int column) const;
  float weight_at(const GridEntry& to, const GridEntry& from, int point) const;
  bool by_position() const { return pooled_ && layer_->kernel != std::array{1, 1}; }

  std::shared_ptr<const Convolution> layer_;
  GridLayoutPtr in_, out_;
  bool pooled_;
  ckks::MapShape shape_;
};

}  // namespace hearth::compiler
