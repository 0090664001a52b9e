#include "compiler/layer_pool.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace hearth::compiler {
namespace {

using arith::Linear;

int floor_div(int a, int b) { return a / b - (a % b < 0 ? 1 : 0); }

/// Which part of the image (rows or columns modulo the stride) and how many result points away.
struct Tap {
  int part = 0, shift = 0;
};

class LayerPool {
 public:
  LayerPool(ArithGraph& graph, int x, const nn::Node& node, const nn::MaxPool& pool, int owned)
      : graph_(graph),
        node_(node),
        strides_{static_cast<int>(pool.strides[0]), static_cast<int>(pool.strides[1])},
        source_(x),
        owned_(owned >= 0) {
    taps_[0] = taps(pool.kernel[0], pool.pads.top, 0);
    taps_[1] = taps(pool.kernel[1], pool.pads.left, 1);
    check(pool);
  }

  /// The maximum along columns of every part of the rows, then along rows.
  int run() {
    std::map<int, int> rows;
    for (const Tap& tap : taps_[0]) {
      if (!rows.contains(tap.part)) rows[tap.part] = maximum_of_columns(tap.part);
    }
    int best = -1;
    for (const Tap& tap : taps_[0]) {
      const int row = tap.shift == 0 ? rows.at(tap.part) : shifted(rows.at(tap.part), tap.shift, 0);
      best = best < 0 ? row : maximum(best, row);
    }
    return best;
  }

 private:
  /// Taps in an order that begins with one that is not shifted.
  std::vector<Tap> taps(std::int64_t kernel, std::int64_t pad, std::size_t axis) const {
    std::vector<Tap> out;
    for (int k = 0; k < static_cast<int>(kernel); ++k) {
      const int offset = k - static_cast<int>(pad), shift = floor_div(offset, strides_[axis]);
      out.push_back({offset - shift * strides_[axis], shift});
    }
    // Parts that are also read shifted come first: they are refreshed before anything is added to them.
    const auto later = [&](const Tap& t) {
      const bool shifts = std::ranges::any_of(out, [&](const Tap& o) { return o.part == t.part && o.shift != 0; });
      return t.shift != 0 ? 2 : shifts ? 0 : 1;
    };
    std::vector<Tap> sorted;
    for (const int wanted : {0, 1, 2}) {
      for (const Tap& t : out) {
        if (later(t) == wanted) sorted.push_back(t);
      }
    }
    return sorted;
  }

  void check(const nn::MaxPool& pool) const {
    require(pool.dilations == nn::HeightWidth{1, 1}, ErrorKind::kUnsupported,
            "node \"{}\": max pooling with dilations is not supported in networks as large as this one", node_.name);
    const auto in = nn::as_chw(graph_.nodes[static_cast<std::size_t>(source_)].shape), out = nn::as_chw(node_.shape);
    for (const std::size_t axis : {0, 1}) {
      const std::int64_t extent = in[axis + 1], parts = out[axis + 1], stride = strides_[axis];
      bool fits = taps_[axis].front().shift == 0 && extent <= parts * stride;
      for (const Tap& t : taps_[axis]) fits = fits && (extent - t.part + stride - 1) / stride == parts;
      require(
          fits, ErrorKind::kUnsupported,
          "node \"{}\": max pooling of {} points to {} with stride {} is not supported in networks as large as this "
          "one: every part of the image must have as many points as the result",
          node_.name, extent, parts, stride);
    }
    const auto* f = std::get_if<arith::Activation>(&graph_.nodes[static_cast<std::size_t>(source_)].op);
    require(
        owned_ || (f && nn::value_range(f->function).first >= 0), ErrorKind::kUnsupported,
        "node \"{}\": max pooling of values that may be negative is not supported in networks as large as this one; "
        "after a ReLU it is",
        node_.name);
  }

  int push(arith::Op op, std::vector<int> inputs) {
    graph_.nodes.push_back({node_.name, std::move(op), std::move(inputs), node_.shape, 1});
    return static_cast<int>(graph_.nodes.size()) - 1;
  }

  /// One channel to itself, from `strides` times as fine an image, `offset` points further on.
  int selected(int x, std::array<int, 2> strides, std::array<int, 2> offset) {
    const auto in = nn::as_chw(graph_.nodes[static_cast<std::size_t>(x)].shape), out = nn::as_chw(node_.shape);
    auto layer = std::make_shared<Convolution>();
    layer->in = {static_cast<int>(in[0]), static_cast<int>(in[1]), static_cast<int>(in[2])};
    layer->out = {static_cast<int>(out[0]), static_cast<int>(out[1]), static_cast<int>(out[2])};
    layer->groups = layer->in[0];
    layer->strides = strides;
    layer->pads = {-offset[0], -offset[1]};
    layer->weights.assign(static_cast<std::size_t>(in[0]), 1.0F);
    const std::int64_t rows = layer->rows(), columns = layer->columns();
    return push(Linear{{rows, columns, {}, std::vector<double>(static_cast<std::size_t>(rows), 0)}, layer, true}, {x});
  }

  int shifted(int x, int points, std::size_t axis) {
    std::array<int, 2> offset = {0, 0};
    offset[axis] = points;
    return selected(x, {1, 1}, offset);
  }

  /// The part (row, column) of the image: of the convolution before its ReLU where that is owned.
  int part(int row, int column) {
    if (!owned_) return selected(source_, strides_, {row, column});
    const Linear& whole = std::get<Linear>(graph_.nodes[static_cast<std::size_t>(source_)].op);
    auto layer = std::make_shared<Convolution>(*whole.layer);
    const auto out = nn::as_chw(node_.shape);
    layer->out = {layer->out[0], static_cast<int>(out[1]), static_cast<int>(out[2])};
    layer->pads = {layer->pads[0] - layer->strides[0] * row, layer->pads[1] - layer->strides[1] * column};
    for (const std::size_t axis : {0, 1}) layer->strides[axis] *= strides_[axis];
    const std::size_t plane = whole.affine.bias.size() / static_cast<std::size_t>(layer->out[0]);
    std::vector<double> bias(static_cast<std::size_t>(layer->rows()));
    const std::size_t new_plane = bias.size() / static_cast<std::size_t>(layer->out[0]);
    for (std::size_t e = 0; e < bias.size(); ++e) bias[e] = whole.affine.bias[e / new_plane * plane];
    const std::int64_t rows = layer->rows(), columns = layer->columns();
    return push(Linear{{rows, columns, {}, std::move(bias)}, layer, true},
                {graph_.nodes[static_cast<std::size_t>(source_)].inputs[0]});
  }

  int relu(int x) { return push(arith::Activation{{nn::ActivationKind::kRelu}}, {x}); }

  int maximum(int a, int b) {
    const int excess = relu(push(arith::Add{true}, {b, a}));
    return push(arith::Add{}, {a, excess});
  }

  int maximum_of_columns(int row) {
    std::map<int, int> refreshed;  // the parts that were read first, as they are after the ReLU
    int best = -1;
    for (const Tap& tap : taps_[1]) {
      if (tap.shift != 0) {
        if (!refreshed.contains(tap.part)) refreshed[tap.part] = positive(part(row, tap.part));
        best = maximum(best, shifted(refreshed.at(tap.part), tap.shift, 1));
      } else if (best < 0) {
        best = refreshed[tap.part] = positive(part(row, tap.part));
      } else {
        best = maximum(best, part(row, tap.part));
      }
    }
    return best;
  }

  int positive(int x) { return owned_ ? relu(x) : x; }

  ArithGraph& graph_;
  const nn::Node& node_;
  std::array<int, 2> strides_;
  int source_;
  bool owned_;
  std::array<std::vector<Tap>, 2> taps_;
};

}  // namespace

int emit_layer_pool(ArithGraph& graph, int x, const nn::Node& node, const nn::MaxPool& pool, int owned) {
  return LayerPool(graph, x, node, pool, owned).run();
}

}  // namespace hearth::compiler
