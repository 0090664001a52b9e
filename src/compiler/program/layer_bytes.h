#pragma once

#include <memory>
#include <vector>

#include "base/bytes.h"
#include "compiler/program/grid_matrix.h"
#include "compiler/program/layer_matrix.h"

/// Byte forms of layers kept as weights (docs/format_bundle.md). Readers treat input as hostile, as program_bytes.h
/// says.
namespace hearth::compiler {

/// Elements that all layouts in one program may have together: a layout is written as runs, so a few bytes may stand
/// for many places.
inline constexpr std::size_t kMaxLayoutElements = std::size_t{1} << 24;

/// A list of layouts, each as runs of elements at equal distances in one ciphertext.
void write_layouts(ByteWriter& out, const std::vector<std::shared_ptr<const Layout>>& layouts);
std::vector<std::shared_ptr<const Layout>> read_layouts(ByteReader& in, int slots);

/// `layouts`: where those of the matrix are found again. Weights go to, and come from, a section of their own.
void write_layer(ByteWriter& out, ByteWriter& weights, const LayerMatrix& matrix,
                 const std::vector<std::shared_ptr<const Layout>>& layouts);
std::shared_ptr<const LayerMatrix> read_layer(ByteReader& in, ByteReader& weights,
                                              const std::vector<std::shared_ptr<const Layout>>& layouts, int slots);

/// The same for layers on a grid.
void write_grids(ByteWriter& out, const std::vector<GridLayoutPtr>& grids);
std::vector<GridLayoutPtr> read_grids(ByteReader& in, int slots);
void write_layer(ByteWriter& out, ByteWriter& weights, const GridMatrix& matrix,
                 const std::vector<GridLayoutPtr>& grids);
std::shared_ptr<const GridMatrix> read_grid_layer(ByteReader& in, ByteReader& weights,
                                                  const std::vector<GridLayoutPtr>& grids);

}  // namespace hearth::compiler
