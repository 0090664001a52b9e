#include <algorithm>
#include <cmath>
#include <optional>

#include "nn/coefficients.h"
#include "nn/reference.h"
#include "nn/rewriter.h"

namespace hearth::nn {

namespace {

constexpr std::size_t kMaxDegree = 16;
/// Constants as large as a whole tensor are only made up to this size.
constexpr std::int64_t kMaxFullElements = std::int64_t{1} << 22;
/// Multiplications that folding one constant may take.
constexpr std::int64_t kMaxFoldingWork = std::int64_t{1} << 31;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// True if rounding to float keeps every coefficient finite.
bool representable(const Coefficients& p) {
  return std::ranges::all_of(p.op().coefficients.data, [](float v) { return std::isfinite(v); });
}

/// Whether the compiler can evaluate it: beyond degree 2, only the constant term may differ by channel.
bool computable(const Coefficients& p) {
  if (p.degree() <= 2) return true;
  for (std::size_t power = 1; power <= p.degree(); ++power) {
    for (std::size_t c = 1; c < p.columns(); ++c) {
      if (p.at(power, c) != p.at(power, 0)) return false;
    }
  }
  return true;
}

bool set_polynomial(Rewriter& graph, ValueId id, const Coefficients& p, ValueId x) {
  const Coefficients trimmed = p.trimmed();
  if (!representable(trimmed) || !computable(trimmed)) return false;
  graph.set(id, trimmed.op(), {x});
  return true;
}

/// The values of a constant if it differs at most along axis 1 of x: one, or one a channel.
std::optional<std::vector<float>> channel_values(const Tensor& constant, const Shape& x) {
  if (constant.size() == 1) return constant.data;
  const std::size_t lead = x.size() - constant.shape.size();
  for (std::size_t i = 0; i < constant.shape.size(); ++i) {
    if (lead + i != 1 && constant.shape[i] != 1) return std::nullopt;
  }
  return constant.data;
}

/// The affine map of a node: its Polynomial of degree 1.
std::optional<Coefficients> affine_at(const Rewriter& graph, ValueId id) {
  const auto* polynomial = graph.get<Polynomial>(id);
  if (polynomial == nullptr || polynomial->degree() != 1) return std::nullopt;
  return Coefficients(*polynomial);
}

/// A constant {1, C, 1, ...} (or a single number) of the given power's coefficients.
Tensor channel_constant(const Coefficients& p, std::size_t power, std::size_t rank) {
  Shape shape(p.columns() == 1 ? 0 : rank, 1);
  if (p.columns() > 1) shape[1] = static_cast<std::int64_t>(p.columns());
  Tensor out(shape);
  for (std::size_t c = 0; c < p.columns(); ++c) out.data[c] = static_cast<float>(p.at(power, c));
  return out;
}

/// The value below polynomials that only `user` reads, and the polynomial of it that `value` is.
struct Based {
  ValueId base;
  Coefficients polynomial;
};

Based base_of(const Rewriter& graph, ValueId value, std::size_t uses) {
  Based out{value, Coefficients::identity()};
  while (const auto* op = graph.get<Polynomial>(out.base)) {
    const Coefficients inner(*op);
    if (graph.uses(out.base) != uses || inner.degree() * out.polynomial.degree() > kMaxDegree) break;
    out = {graph.input(out.base), out.polynomial.of(inner)};
    uses = 1;
  }
  return out;
}

}  // namespace

bool canonical_affine(Rewriter& graph, ValueId id) {
  const std::vector<float> one = {1.0F};
  const std::vector<float> zero = {0.0F};
  std::optional<std::vector<float>> scale = one;
  std::optional<std::vector<float>> shift = zero;
  if (const auto* norm = graph.get<BatchNorm>(id)) {
    scale = norm->scale.data;
    shift = norm->shift.data;
  } else if (const auto* product = graph.get<MulConstant>(id)) {
    scale = channel_values(product->constant, graph.shape(id));
  } else if (const auto* sum = graph.get<AddConstant>(id)) {
    shift = channel_values(sum->constant, graph.shape(id));
  } else {
    return false;
  }
  return scale && shift && set_polynomial(graph, id, Coefficients::affine(*scale, *shift), graph.input(id));
}

bool combine_polynomials(Rewriter& graph, ValueId id) {
  const bool product = graph.get<Multiply>(id) != nullptr;
  const bool difference = graph.get<Sub>(id) != nullptr;
  if (!product && !difference && graph.get<Add>(id) == nullptr) return false;
  const ValueId u = graph.input(id, 0);
  const ValueId v = graph.input(id, 1);
  Based a = base_of(graph, u, u == v ? 2 : 1);
  Based b = base_of(graph, v, u == v ? 2 : 1);
  if (product && a.polynomial.degree() + b.polynomial.degree() > kMaxDegree) {
    a = {u, Coefficients::identity()};
    b = {v, Coefficients::identity()};
  }
  if (a.base != b.base) return false;
  const Coefficients combined =
      product ? a.polynomial.times(b.polynomial) : a.polynomial.plus(b.polynomial, difference ? -1.0 : 1.0);
  return set_polynomial(graph, id, combined, a.base);
}

bool compose_polynomials(Rewriter& graph, ValueId id) {
  const auto* outer = graph.get<Polynomial>(id);
  if (outer == nullptr) return false;
  const ValueId x = graph.input(id);
  const auto* inner = graph.get<Polynomial>(x);
  if (inner == nullptr || graph.uses(x) != 1 || (outer->degree() != 1 && inner->degree() != 1)) return false;
  return set_polynomial(graph, id, Coefficients(*outer).of(Coefficients(*inner)), graph.input(x));
}

bool merge_constants(Rewriter& graph, ValueId id) {
  const auto* sum = graph.get<AddConstant>(id);
  const auto* product = graph.get<MulConstant>(id);
  if (sum == nullptr && product == nullptr) return false;
  const ValueId x = graph.input(id);
  if (graph.uses(x) != 1) return false;
  const Tensor* outer = sum != nullptr ? &sum->constant : &product->constant;
  const Tensor* inner = nullptr;
  if (const auto* before = graph.get<AddConstant>(x); before != nullptr && sum != nullptr) inner = &before->constant;
  if (const auto* before = graph.get<MulConstant>(x); before != nullptr && product != nullptr)
    inner = &before->constant;
  if (inner == nullptr) return false;
  const Shape shape = broadcast_shape(outer->shape, inner->shape);
  if (element_count(shape) > kMaxFullElements) return false;
  const Tensor a = broadcast_to(*outer, shape);
  Tensor b = broadcast_to(*inner, shape);
  for (std::size_t i = 0; i < b.data.size(); ++i)
    b.data[i] = sum != nullptr ? a.data[i] + b.data[i] : a.data[i] * b.data[i];
  if (!std::ranges::all_of(b.data, [](float v) { return std::isfinite(v); })) return false;
  Op op = sum != nullptr ? Op(AddConstant{std::move(b)}) : Op(MulConstant{std::move(b)});
  graph.set(id, std::move(op), {graph.input(x)});
  return true;
}

namespace {

/// Both shapes have the batch 1 and the same channels on axis 1 (or the map does not depend on the channel).
bool same_channels(const Shape& a, const Shape& b, const Polynomial& op) {
  return op.coefficients.shape[1] == 1 || (a.size() >= 2 && b.size() >= 2 && a[0] == 1 && b[0] == 1 && a[1] == b[1]);
}

/// An element-wise map of a reshape becomes a reshape of the map, so that it meets the layer before the reshape.
bool move_above_reshape(Rewriter& graph, ValueId id) {
  const auto* op = graph.get<Polynomial>(id);
  if (op == nullptr) return false;
  const ValueId x = graph.input(id);
  if (graph.get<Reshape>(x) == nullptr || graph.uses(x) != 1) return false;
  const ValueId source = graph.input(x);
  if (!same_channels(graph.shape(source), graph.shape(x), *op)) return false;
  const Shape target = graph.shape(id);
  const Polynomial moved = *op;
  graph.set(x, moved, {source});
  graph.set(id, Reshape{target}, {x});
  return true;
}

/// a (x + k) + b = (a x + b) + a k, so that the affine map meets the layer before the constant.
bool move_above_constant(Rewriter& graph, ValueId id) {
  const auto affine = affine_at(graph, id);
  const ValueId x = affine ? graph.input(id) : id;
  const auto* sum = graph.get<AddConstant>(x);
  if (!affine || sum == nullptr || graph.uses(x) != 1) return false;
  const Shape& shape = graph.shape(id);
  if (element_count(shape) > kMaxFullElements) return false;
  const Tensor scale = broadcast_to(channel_constant(*affine, 1, shape.size()), shape);
  Tensor constant = broadcast_to(sum->constant, shape);
  for (std::size_t i = 0; i < constant.data.size(); ++i) constant.data[i] *= scale.data[i];
  if (!std::ranges::all_of(constant.data, [](float v) { return std::isfinite(v); })) return false;
  graph.set(x, affine->op(), {graph.input(x)});
  graph.set(id, AddConstant{std::move(constant)}, {x});
  return true;
}

/// Pooling keeps an affine map of each channel, and leaves less of it to do.
bool move_below_pooling(Rewriter& graph, ValueId id) {
  const auto* average = graph.get<AveragePool>(id);
  const bool unpadded = average != nullptr && average->pads == Pads{};
  if (!unpadded && graph.get<GlobalAveragePool>(id) == nullptr) return false;
  const ValueId x = graph.input(id);
  const auto affine = affine_at(graph, x);
  if (!affine || graph.uses(x) != 1) return false;
  const Op pool = graph.node(id).op;
  graph.set(x, pool, {graph.input(x)});
  graph.set(id, affine->op(), {x});
  return true;
}

}  // namespace

bool move_affine(Rewriter& graph, ValueId id) {
  return move_above_reshape(graph, id) || move_above_constant(graph, id) || move_below_pooling(graph, id);
}

namespace {

std::vector<double> offset_of_channels(const Coefficients& affine) {
  std::vector<double> out;
  for (std::size_t c = 0; c < affine.columns(); ++c) out.push_back(affine.at(0, c));
  return out;
}

/// Rows of weights and entries of the bias scaled and shifted; row o is a channel of the result.
void apply_to_rows(const Coefficients& affine, Tensor& weights, Tensor& bias) {
  const std::size_t row = weights.data.size() / bias.data.size();
  for (std::size_t i = 0; i < weights.data.size(); ++i) {
    weights.data[i] = static_cast<float>(weights.data[i] * affine.at(1, i / row));
  }
  for (std::size_t o = 0; o < bias.data.size(); ++o) {
    bias.data[o] = static_cast<float>(bias.data[o] * affine.at(1, o) + affine.at(0, o));
  }
}

}  // namespace

bool fold_affine_back(Rewriter& graph, ValueId id) {
  const auto affine = affine_at(graph, id);
  if (!affine) return false;
  const ValueId x = graph.input(id);
  if (graph.uses(x) != 1) return false;
  if (const auto* conv = graph.get<Conv2d>(x)) {
    Conv2d folded = *conv;
    apply_to_rows(*affine, folded.weights, folded.bias);
    graph.set(id, std::move(folded), {graph.input(x)});
    return true;
  }
  // The channels of a Dense are its outputs if those lie on axis 1.
  const auto* dense = graph.get<Dense>(x);
  if (dense == nullptr || (affine->columns() > 1 && graph.shape(x).size() != 2)) return false;
  Dense folded = *dense;
  apply_to_rows(*affine, folded.weights, folded.bias);
  graph.set(id, std::move(folded), {graph.input(x)});
  return true;
}

bool fold_affine_ahead(Rewriter& graph, ValueId id) {
  const auto* conv = graph.get<Conv2d>(id);
  if (conv == nullptr) return false;
  const ValueId x = graph.input(id);
  const auto affine = affine_at(graph, x);
  if (!affine || graph.uses(x) != 1) return false;

  const Shape& w = conv->weights.shape;
  const std::size_t taps = index(w[2] * w[3]);
  const std::size_t per_group = index(w[0] / conv->groups);
  Conv2d folded = *conv;
  std::vector<double> offset(index(w[0]), 0.0);
  for (std::size_t i = 0; i < folded.weights.data.size(); ++i) {
    const std::size_t m = i / (taps * index(w[1]));
    const std::size_t channel = m / per_group * index(w[1]) + i / taps % index(w[1]);
    offset[m] += conv->weights.data[i] * affine->at(0, channel);
    folded.weights.data[i] = static_cast<float>(conv->weights.data[i] * affine->at(1, channel));
  }
  if (conv->pads == Pads{}) {
    for (std::size_t m = 0; m < offset.size(); ++m) {
      folded.bias.data[m] = static_cast<float>(folded.bias.data[m] + offset[m]);
    }
    graph.set(id, std::move(folded), {graph.input(x)});
    return true;
  }
  const bool shifts = std::ranges::any_of(offset_of_channels(*affine), [](double v) { return v != 0; });
  if (!shifts) {
    graph.set(id, std::move(folded), {graph.input(x)});
    return true;
  }
  // Near the border some taps see padding, which the offset does not reach: its effect differs from place to place.
  const std::int64_t outputs = element_count(graph.shape(id));
  const std::int64_t work_each = conv->weights.size() / w[0];
  if (std::max(outputs, element_count(graph.shape(x))) > kMaxFullElements || outputs > kMaxFoldingWork / work_each) {
    return false;
  }
  const Tensor image = broadcast_to(channel_constant(*affine, 0, 4), graph.shape(x));
  Conv2d unbiased = *conv;
  std::ranges::fill(unbiased.bias.data, 0.0F);
  Tensor effect = evaluate(unbiased, {&image});
  graph.set(x, std::move(folded), {graph.input(x)});
  graph.set(id, AddConstant{std::move(effect)}, {x});
  return true;
}

Graph expand_affine(const Graph& graph) {
  Graph out;
  out.name = graph.name;
  std::vector<ValueId> renumbered;
  for (const Node& node : graph.nodes) {
    std::vector<ValueId> inputs;
    for (const ValueId input : node.inputs) inputs.push_back(renumbered[input]);
    const auto* affine = std::get_if<Polynomial>(&node.op);
    if (affine == nullptr || affine->degree() != 1) {
      renumbered.push_back(out.add(node.name, node.op, inputs));
      continue;
    }
    const Coefficients map(*affine);
    const std::size_t rank = node.shape.size();
    const Tensor scale = channel_constant(map, 1, rank);
    const Tensor shift = channel_constant(map, 0, rank);
    ValueId value = inputs[0];
    const auto all = [](const Tensor& t, float v) { return std::ranges::count(t.data, v) == std::ssize(t.data); };
    if (!all(scale, 1.0F)) value = out.add(node.name, MulConstant{scale}, {value});
    if (!all(shift, 0.0F)) value = out.add(node.name, AddConstant{shift}, {value});
    renumbered.push_back(value);
  }
  out.output = renumbered[graph.output];
  return out;
}

}  // namespace hearth::nn
