#include "compiler/max_tree.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.h"

namespace hearth::compiler {
namespace {

using Sources = std::vector<std::int64_t>;
using Grid = std::array<std::int64_t, 3>;  // channels, rows, columns

/// One row a source: out[i] = sum of sign * in[source].
Affine selection(const Sources& plus, const Sources* minus, std::int64_t columns) {
  const auto rows = static_cast<std::int64_t>(plus.size());
  Affine out{rows, columns, {}, std::vector<double>(plus.size(), 0)};
  for (std::size_t i = 0; i < plus.size(); ++i) {
    if (minus && (*minus)[i] == plus[i]) continue;
    out.weights.edit().push_back({static_cast<std::int32_t>(i), static_cast<std::int32_t>(plus[i]), 1});
    if (minus) out.weights.edit().push_back({static_cast<std::int32_t>(i), static_cast<std::int32_t>((*minus)[i]), -1});
  }
  canonicalise(out);
  return out;
}

bool is_identity(const Sources& sources, std::int64_t columns) {
  if (static_cast<std::int64_t>(sources.size()) != columns) return false;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i] != static_cast<std::int64_t>(i)) return false;
  }
  return true;
}

class MaxTree {
 public:
  MaxTree(ArithGraph& graph, const nn::Node& node, const Grid& image) : graph_(graph), node_(node), grid_(image) {}

  /// Replaces x by the maxima of windows of `size` points, `dilation` apart, that start at every point of a grid which
  /// begins `before` points ahead of the image. Axis 1: rows, 2: columns.
  int windows(int x, std::size_t axis, std::int64_t size, std::int64_t dilation, std::int64_t before) {
    std::int64_t covered = 1;
    while (covered < size) {
      const std::int64_t step = std::min(covered, size - covered);
      x = with_neighbour(x, axis, step * dilation, before);
      before = 0;  // the grid has grown by it
      covered += step;
    }
    return x;
  }

  const Grid& grid() const { return grid_; }

  int push(arith::Op op, std::vector<int> inputs, const nn::Shape& shape) {
    graph_.nodes.push_back({node_.name, std::move(op), std::move(inputs), shape});
    return static_cast<int>(graph_.nodes.size()) - 1;
  }

 private:
  /// Where each point of the grown grid, moved by `distance` along the axis, finds its value in the present grid; the
  /// point itself where there is none.
  Sources sources(std::size_t axis, std::int64_t distance, std::int64_t before, const Grid& grown) const {
    Sources out;
    for (std::int64_t c = 0; c < grown[0]; ++c) {
      for (std::int64_t y = 0; y < grown[1]; ++y) {
        for (std::int64_t x = 0; x < grown[2]; ++x) {
          Grid at{c, y, x};
          const std::int64_t moved = at[axis] - before + distance;
          at[axis] =
              moved < grid_[axis] ? std::max<std::int64_t>(moved, 0) : std::max<std::int64_t>(at[axis] - before, 0);
          out.push_back((at[0] * grid_[1] + at[1]) * grid_[2] + at[2]);
        }
      }
    }
    return out;
  }

  int with_neighbour(int x, std::size_t axis, std::int64_t distance, std::int64_t before) {
    Grid grown = grid_;
    grown[axis] += before;
    const Sources near = sources(axis, 0, before, grown), far = sources(axis, distance, before, grown);
    const std::int64_t columns = grid_[0] * grid_[1] * grid_[2];
    grid_ = grown;
    const nn::Shape shape{1, grown[0], grown[1], grown[2]};
    const int difference = push(arith::Linear{selection(far, &near, columns)}, {x}, shape);
    const int excess = push(arith::Activation{{nn::ActivationKind::kRelu}}, {difference}, shape);
    const int base =
        is_identity(near, columns) ? x : push(arith::Linear{selection(near, nullptr, columns)}, {x}, shape);
    return push(arith::Add{}, {base, excess}, shape);
  }

  ArithGraph& graph_;
  const nn::Node& node_;
  Grid grid_;
};

}  // namespace

int emit_max_tree(ArithGraph& graph, int x, const nn::Node& node, const nn::MaxPool& pool) {
  const bool padded = pool.pads.top > 0 || pool.pads.left > 0;
  require(!padded || (pool.dilations[0] == 1 && pool.dilations[1] == 1), ErrorKind::kUnsupported,
          "node \"{}\": max pooling with padding and dilations {} x {} is not supported; without padding it is",
          node.name, pool.dilations[0], pool.dilations[1]);
  MaxTree tree(graph, node, nn::as_chw(graph.nodes[static_cast<std::size_t>(x)].shape));
  x = tree.windows(x, 2, pool.kernel[1], pool.dilations[1], pool.pads.left);
  x = tree.windows(x, 1, pool.kernel[0], pool.dilations[0], pool.pads.top);
  const auto [channels, height, width] = tree.grid();
  const Grid out = nn::as_chw(node.shape);
  Sources picked;
  for (std::int64_t c = 0; c < out[0]; ++c) {
    for (std::int64_t oy = 0; oy < out[1]; ++oy) {
      for (std::int64_t ox = 0; ox < out[2]; ++ox) {
        picked.push_back((c * height + oy * pool.strides[0]) * width + ox * pool.strides[1]);
      }
    }
  }
  return tree.push(arith::View{std::move(picked)}, {x}, node.shape);
}

}  // namespace hearth::compiler
