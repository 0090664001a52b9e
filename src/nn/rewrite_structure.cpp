#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "nn/reference.h"
#include "nn/rewriter.h"

namespace hearth::nn {

namespace {

/// Dense weights grow when pooling is folded into them; above this many elements the pooling stays.
constexpr std::int64_t kMaxFoldedWeights = std::int64_t{1} << 22;

/// Multiplications that one folding may take.
constexpr double kMaxFoldingWork = 0x1p32;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

bool all_equal(const Tensor& tensor, float value) {
  return std::ranges::count(tensor.data, value) == std::ssize(tensor.data);
}

/// True if a permutation leaves the axes with more than one element in their order, so that no element moves.
bool moves_nothing(const std::vector<std::int64_t>& permutation, const Shape& x) {
  std::vector<std::int64_t> moved;
  for (const std::int64_t axis : permutation) {
    if (x[index(axis)] != 1) moved.push_back(axis);
  }
  return std::ranges::is_sorted(moved);
}

bool is_trivial(const Rewriter& graph, ValueId id) {
  if (graph.get<Identity>(id) != nullptr) return true;
  if (graph.get<Concat>(id) != nullptr) return graph.node(id).inputs.size() == 1;
  if (graph.get<Max>(id) != nullptr) return graph.input(id, 0) == graph.input(id, 1);
  if (const auto* pool = graph.get<MaxPool>(id)) {
    return pool->kernel == HeightWidth{1, 1} && graph.shape(id) == graph.shape(graph.input(id));
  }
  if (const auto* product = graph.get<MulConstant>(id)) return all_equal(product->constant, 1.0F);
  if (const auto* sum = graph.get<AddConstant>(id)) return all_equal(sum->constant, 0.0F);
  if (graph.get<Reshape>(id) != nullptr || graph.get<Pad>(id) != nullptr) {
    return graph.shape(id) == graph.shape(graph.input(id));
  }
  if (const auto* polynomial = graph.get<Polynomial>(id)) {
    const std::vector<float>& c = polynomial->coefficients.data;
    const std::size_t columns = c.size() / 2;
    return polynomial->degree() == 1 &&
           std::all_of(c.begin(), c.begin() + std::ssize(c) / 2, [](float v) { return v == 0; }) &&
           static_cast<std::size_t>(std::count(c.begin() + std::ssize(c) / 2, c.end(), 1.0F)) == columns;
  }
  return false;
}

/// Operations that only rename axes: a transpose that moves nothing, a mean over extents of 1.
bool is_reshape(const Rewriter& graph, ValueId id) {
  const Shape& x = graph.shape(graph.input(id));
  if (const auto* transpose = graph.get<Transpose>(id)) return moves_nothing(transpose->permutation, x);
  if (graph.get<ReduceMean>(id) != nullptr || graph.get<GlobalAveragePool>(id) != nullptr) {
    return element_count(x) == element_count(graph.shape(id));
  }
  return false;
}

}  // namespace

bool remove_trivial(Rewriter& graph, ValueId id) {
  if (is_trivial(graph, id)) {
    graph.replace(id, graph.input(id));
    return true;
  }
  const ValueId x = graph.input(id);
  if (is_reshape(graph, id)) {
    graph.set(id, Reshape{graph.shape(id)}, {x});
    return true;
  }
  if (graph.get<Reshape>(id) != nullptr && graph.get<Reshape>(x) != nullptr) {
    graph.set(id, Reshape{graph.shape(id)}, {graph.input(x)});
    return true;
  }
  const auto* outer = graph.get<Transpose>(id);
  const auto* inner = graph.get<Transpose>(x);
  if (outer == nullptr || inner == nullptr) return false;
  Transpose both;
  for (const std::int64_t axis : outer->permutation) both.permutation.push_back(inner->permutation[index(axis)]);
  graph.set(id, std::move(both), {graph.input(x)});
  return true;
}

namespace {

/// The padding of images as Pads; nothing if other axes are padded or the border is not zero.
std::optional<Pads> image_padding(const Pad& pad) {
  if (pad.value != 0 || pad.before.size() != 4) return std::nullopt;
  if (pad.before[0] != 0 || pad.before[1] != 0 || pad.after[0] != 0 || pad.after[1] != 0) return std::nullopt;
  return Pads{pad.before[2], pad.before[3], pad.after[2], pad.after[3]};
}

Pads sum(const Pads& a, const Pads& b) {
  return {a.top + b.top, a.left + b.left, a.bottom + b.bottom, a.right + b.right};
}

bool merge_pads(Rewriter& graph, ValueId id, ValueId x, const Pad& first) {
  const auto* second = graph.get<Pad>(id);
  if (second == nullptr || second->value != first.value) return false;
  Pad both = *second;
  for (std::size_t i = 0; i < both.before.size(); ++i) {
    both.before[i] += first.before[i];
    both.after[i] += first.after[i];
  }
  graph.set(id, std::move(both), {graph.input(x)});
  return true;
}

}  // namespace

bool merge_padding(Rewriter& graph, ValueId id) {
  if (graph.node(id).inputs.size() != 1) return false;
  const ValueId x = graph.input(id);
  const auto* pad = graph.get<Pad>(x);
  if (pad == nullptr || graph.uses(x) != 1) return false;
  if (merge_pads(graph, id, x, *pad)) return true;
  const auto pads = image_padding(*pad);
  if (!pads) return false;
  // infer_shape bounds the pads of a window; a border beyond that stays a Pad.
  if (std::max({pads->top, pads->left, pads->bottom, pads->right}) > 1 << 16) return false;
  if (const auto* conv = graph.get<Conv2d>(id)) {
    Conv2d padded = *conv;
    padded.pads = sum(padded.pads, *pads);
    graph.set(id, std::move(padded), {graph.input(x)});
    return true;
  }
  // To the pooling the border was part of the image, so it counts. With ceil_mode a last window may start in it.
  const auto* pool = graph.get<AveragePool>(id);
  if (pool == nullptr || pool->ceil_mode || (pool->pads != Pads{} && !pool->count_include_pad)) return false;
  AveragePool padded = *pool;
  padded.pads = sum(padded.pads, *pads);
  padded.count_include_pad = true;
  graph.set(id, padded, {graph.input(x)});
  return true;
}

namespace {

/// The affine map of a row vector x of `inputs` elements, y = weights x + bias, in double.
struct RowMap {
  std::size_t outputs, inputs;
  std::vector<double> weights;
  std::vector<double> bias;

  explicit RowMap(const Dense& dense)
      : outputs(index(dense.weights.shape[0])),
        inputs(index(dense.weights.shape[1])),
        weights(dense.weights.data.begin(), dense.weights.data.end()),
        bias(dense.bias.data.begin(), dense.bias.data.end()) {}

  bool finite() const {
    const auto fits = [](double v) { return std::isfinite(static_cast<float>(v)); };
    return std::ranges::all_of(weights, fits) && std::ranges::all_of(bias, fits);
  }

  Dense dense() const {
    const auto rows = static_cast<std::int64_t>(outputs);
    Dense out{Tensor({rows, static_cast<std::int64_t>(inputs)}), Tensor(Shape{rows})};
    std::ranges::transform(weights, out.weights.data.begin(), [](double v) { return static_cast<float>(v); });
    std::ranges::transform(bias, out.bias.data.begin(), [](double v) { return static_cast<float>(v); });
    return out;
  }

  /// After y = weights (scale x + shift).
  void precede_by(const Tensor& scale, const Tensor& shift) {
    for (std::size_t o = 0; o < outputs; ++o) {
      for (std::size_t i = 0; i < inputs; ++i) {
        double& weight = weights[o * inputs + i];
        bias[o] += weight * shift.data[i];
        weight *= scale.data[i];
      }
    }
  }

  /// Replaces x by a linear map of z with `count` elements: each visit(i, j, factor) says x_i contains factor z_j.
  template <typename ForEachEntry>
  void precede_by(std::size_t count, const ForEachEntry& for_each_entry) {
    std::vector<double> before(outputs * count, 0.0);
    for_each_entry([&](std::size_t i, std::size_t j, double factor) {
      for (std::size_t o = 0; o < outputs; ++o) before[o * count + j] += factor * weights[o * inputs + i];
    });
    weights = std::move(before);
    inputs = count;
  }
};

/// Where each element of a rearranging operation's result comes from: its index in the input, -1 for padding.
/// Indices are carried as float, exact up to 2^24.
std::vector<float> source_indices(const Op& op, const Shape& from) {
  Tensor indices(from);
  std::iota(indices.data.begin(), indices.data.end(), 0.0F);
  return evaluate(op, {&indices}).data;
}

void precede_by_rearrangement(RowMap& map, Op op, const Shape& from) {
  const std::size_t count = index(element_count(from));
  const double border = std::holds_alternative<Pad>(op) ? std::get<Pad>(op).value : 0.0;
  if (auto* pad = std::get_if<Pad>(&op)) pad->value = -1.0F;
  const std::vector<float> sources = source_indices(op, from);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i] >= 0) continue;
    for (std::size_t o = 0; o < map.outputs; ++o) map.bias[o] += border * map.weights[o * map.inputs + i];
  }
  map.precede_by(count, [&](const auto& entry) {
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (sources[i] >= 0) entry(i, static_cast<std::size_t>(sources[i]), 1.0);
    }
  });
}

/// A mean over whole axes: element j of z goes to the one result that keeps its other coordinates.
void precede_by_mean(RowMap& map, const Shape& from, const Shape& kept) {
  Tensor results(kept);
  std::iota(results.data.begin(), results.data.end(), 0.0F);
  const Tensor target = broadcast_to(results, from);
  const double factor = static_cast<double>(results.size()) / static_cast<double>(target.size());
  map.precede_by(target.data.size(), [&](const auto& entry) {
    for (std::size_t j = 0; j < target.data.size(); ++j) entry(static_cast<std::size_t>(target.data[j]), j, factor);
  });
}

/// Elements of an image that one pooling window covers along one axis: first, first + dilation, ... below the extent.
struct Span {
  std::int64_t position, counted;
  std::vector<std::int64_t> inside;
};

std::vector<Span> spans(std::int64_t windows, std::int64_t extent, std::int64_t kernel, std::int64_t stride,
                        std::int64_t before, std::int64_t after, std::int64_t dilation, bool count_pad) {
  std::vector<Span> out;
  for (std::int64_t w = 0; w < windows; ++w) {
    Span span{w, 0, {}};
    for (std::int64_t k = 0; k < kernel; ++k) {
      const std::int64_t at = w * stride - before + k * dilation;
      const bool inside = at >= 0 && at < extent;
      if (inside) span.inside.push_back(at);
      if (inside || (count_pad && at < extent + after)) ++span.counted;
    }
    out.push_back(std::move(span));
  }
  return out;
}

void precede_by_pooling(RowMap& map, const AveragePool& op, const Shape& from, const Shape& to) {
  const auto rows = spans(to[2], from[2], op.kernel[0], op.strides[0], op.pads.top, op.pads.bottom, op.dilations[0],
                          op.count_include_pad);
  const auto columns = spans(to[3], from[3], op.kernel[1], op.strides[1], op.pads.left, op.pads.right, op.dilations[1],
                             op.count_include_pad);
  map.precede_by(index(element_count(from)), [&](const auto& entry) {
    for (std::int64_t c = 0; c < from[1]; ++c) {
      for (const Span& row : rows) {
        for (const Span& column : columns) {
          const std::size_t i = index((c * to[2] + row.position) * to[3] + column.position);
          const double factor = 1.0 / static_cast<double>(std::max<std::int64_t>(row.counted * column.counted, 1));
          for (const std::int64_t y : row.inside) {
            for (const std::int64_t x : column.inside) entry(i, index((c * from[2] + y) * from[3] + x), factor);
          }
        }
      }
    }
  });
}

void precede_by_dense(RowMap& map, const Dense& before) {
  const std::size_t middle = map.inputs;
  const std::size_t count = index(before.weights.shape[1]);
  for (std::size_t o = 0; o < map.outputs; ++o) {
    for (std::size_t i = 0; i < middle; ++i) map.bias[o] += map.weights[o * middle + i] * before.bias.data[i];
  }
  map.precede_by(count, [&](const auto& entry) {
    for (std::size_t i = 0; i < middle; ++i) {
      for (std::size_t j = 0; j < count; ++j) entry(i, j, before.weights.data[i * count + j]);
    }
  });
}

/// Extends `map` by the operation at `id`, whose result is the map's input. Returns false, with the map as it was, for
/// operations that do not fold.
bool precede_by_node(RowMap& map, const Rewriter& graph, ValueId id) {
  const Shape& to = graph.shape(id);
  const Shape& from = graph.shape(graph.input(id));
  const Op& op = graph.node(id).op;
  if (const auto* product = std::get_if<MulConstant>(&op)) {
    map.precede_by(broadcast_to(product->constant, to), Tensor(to, 0.0F));
  } else if (const auto* sum = std::get_if<AddConstant>(&op)) {
    map.precede_by(Tensor(to, 1.0F), broadcast_to(sum->constant, to));
  } else if (const auto* affine = std::get_if<Polynomial>(&op); affine != nullptr && affine->degree() == 1) {
    const Tensor zero(from, 0.0F);
    const Tensor shift = evaluate(op, {&zero});
    Polynomial linear = *affine;
    std::fill_n(linear.coefficients.data.begin(), linear.coefficients.shape[1], 0.0F);
    const Tensor one(from, 1.0F);
    map.precede_by(evaluate(linear, {&one}), shift);
  } else if (std::holds_alternative<Transpose>(op) || std::holds_alternative<Slice>(op) ||
             std::holds_alternative<Pad>(op)) {
    precede_by_rearrangement(map, op, from);
  } else if (const auto* pool = std::get_if<AveragePool>(&op)) {
    precede_by_pooling(map, *pool, from, to);
  } else if (std::holds_alternative<GlobalAveragePool>(op)) {
    precede_by_mean(map, from, to);
  } else if (const auto* mean = std::get_if<ReduceMean>(&op)) {
    Shape kept = from;
    for (const std::int64_t axis : mean->axes) kept[index(axis)] = 1;
    precede_by_mean(map, from, kept);
  } else if (const auto* dense = std::get_if<Dense>(&op)) {
    precede_by_dense(map, *dense);
  } else {
    return false;
  }
  return true;
}

/// Rough count of the multiplications that precede_by_node does.
double folding_work(const RowMap& map, const Rewriter& graph, ValueId id) {
  const auto outputs = static_cast<double>(map.outputs);
  const auto to = static_cast<double>(element_count(graph.shape(id)));
  const auto from = static_cast<double>(element_count(graph.shape(graph.input(id))));
  if (graph.get<Dense>(id) != nullptr) return outputs * to * from;
  const auto* pool = graph.get<AveragePool>(id);
  const double window =
      pool == nullptr ? 1.0 : static_cast<double>(pool->kernel[0]) * static_cast<double>(pool->kernel[1]);
  return outputs * std::max(to * window, from);
}

/// Whether composing the Dense at `before` with a row map costs no more multiplications than the two apart.
bool worth_composing(const Rewriter& graph, ValueId before, const RowMap& map) {
  const auto* dense = graph.get<Dense>(before);
  if (dense == nullptr) return true;
  const std::size_t inputs = index(dense->weights.shape[1]);
  const bool single_row = graph.shape(before).back() == element_count(graph.shape(before));
  return single_row && map.outputs * inputs <= map.outputs * map.inputs + map.inputs * inputs;
}

}  // namespace

bool fold_into_dense(Rewriter& graph, ValueId id) {
  const auto* dense = graph.get<Dense>(id);
  if (dense == nullptr) return false;
  const Shape row = graph.shape(graph.input(id));
  if (row.back() != element_count(row)) return false;
  ValueId before = graph.input(id);
  while (graph.get<Reshape>(before) != nullptr && graph.uses(before) == 1) before = graph.input(before);
  if (graph.uses(before) != 1 || graph.node(before).inputs.size() != 1) return false;
  const std::int64_t inputs = element_count(graph.shape(graph.input(before)));
  if (inputs > kMaxFoldedWeights / dense->weights.shape[0]) return false;
  RowMap map(*dense);
  if (!worth_composing(graph, before, map) || folding_work(map, graph, before) > kMaxFoldingWork) return false;
  if (!precede_by_node(map, graph, before) || !map.finite()) return false;
  Shape target = row;
  target.back() = inputs;
  graph.set(before, Reshape{target}, {graph.input(before)});
  graph.set(id, map.dense(), {before});
  return true;
}

}  // namespace hearth::nn
