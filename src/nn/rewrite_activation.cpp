#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "nn/coefficients.h"
#include "nn/rewriter.h"

namespace hearth::nn {

namespace {

using Kind = ActivationKind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Equal up to the rounding of constants to float when a model was exported, and again while affine maps were merged.
bool near(double a, double b) { return std::abs(a - b) <= 2e-6 * std::abs(b); }

/// scale base + shift.
struct Line {
  ValueId base;
  double scale = 1;
  double shift = 0;
};

/// The value below affine maps with one factor and offset for all channels that nothing else reads, and the line that
/// `value` is of it.
Line line_of(const Rewriter& graph, ValueId value) {
  Line out{value};
  while (graph.uses(out.base) == 1) {
    const auto* map = graph.get<Polynomial>(out.base);
    if (map == nullptr || map->degree() != 1 || map->coefficients.shape[1] != 1) break;
    out.shift += out.scale * map->coefficients.data[0];
    out.scale *= map->coefficients.data[1];
    out.base = graph.input(out.base);
  }
  return out;
}

void set_line(Rewriter& graph, ValueId id, double scale, ValueId x) {
  graph.set(id, Coefficients::affine({static_cast<float>(scale)}, {0.0F}).op(), {x});
}

// ---- Products of x with a gate, an activation of x: gate + offset times x is out * f(in * x). ----

struct Gated {
  Activation f;
  double in;
  double out;
  double offset;  ///< added to the gate before the product
};

std::optional<Gated> hard_swish(double slope, double intercept, double high) {
  if (slope == 0 || !near(intercept, 0.5)) return std::nullopt;
  return Gated{{Kind::kHardSwish}, 6 * slope, high / (6 * slope), 0};
}

/// The gate tanh(sqrt(2 / pi) (y + 0.044715 y^3)) of y = in x.
std::optional<Gated> gelu_tanh(const Rewriter& graph, ValueId inner, ValueId base) {
  const auto* cubic = graph.get<Polynomial>(inner);
  if (cubic == nullptr || cubic->degree() != 3 || cubic->coefficients.shape[1] != 1) return std::nullopt;
  if (graph.uses(inner) != 1 || graph.input(inner) != base) return std::nullopt;
  const std::vector<float>& c = cubic->coefficients.data;
  const double factor = std::sqrt(2 / std::numbers::pi);
  const double in = c[1] / factor;
  if (c[0] != 0 || in == 0 || c[2] != 0 || !near(c[3], factor * 0.044715 * in * in * in)) return std::nullopt;
  return Gated{{Kind::kGeluTanh}, in, 2 / in, 1};
}

std::optional<Gated> gated(const Rewriter& graph, const Activation& gate, ValueId inner, ValueId base) {
  if (gate.kind == Kind::kTanh) return gelu_tanh(graph, inner, base);
  const Line line = line_of(graph, inner);
  if (line.base != base || line.scale == 0) return std::nullopt;
  const bool centred = line.shift == 0;
  if (gate.kind == Kind::kSigmoid && centred) return Gated{{Kind::kSilu}, line.scale, 1 / line.scale, 0};
  if (gate.kind == Kind::kErf && centred) {
    return Gated{{Kind::kGelu}, std::numbers::sqrt2 * line.scale, std::numbers::sqrt2 / line.scale, 1};
  }
  if (gate.kind == Kind::kHardSigmoid) return hard_swish(gate.a * line.scale, gate.a * line.shift + gate.b, 1);
  if (gate.kind == Kind::kClip && gate.a == 0 && std::isfinite(gate.b) && gate.b > 0) {
    return hard_swish(line.scale / gate.b, line.shift / gate.b, gate.b);
  }
  return std::nullopt;
}

bool recognise_product(Rewriter& graph, ValueId id, ValueId u, ValueId v) {
  const Line x = line_of(graph, u);
  const Line outer = line_of(graph, v);
  const auto* gate = graph.get<Activation>(outer.base);
  if (gate == nullptr || graph.uses(outer.base) != 1 || x.shift != 0) return false;
  const ValueId inner = graph.input(outer.base);
  const auto found = gated(graph, *gate, inner, x.base);
  if (!found) return false;
  const bool offset_fits =
      found->offset == 0 ? outer.shift == 0 : near(outer.shift, found->offset * outer.scale) && outer.scale != 0;
  const bool unscaled = near(found->in, 1);
  // A factor of x needs a node of its own; that of the map inside the gate is one.
  if (!offset_fits || (!unscaled && inner == x.base)) return false;
  const double scale = x.scale * outer.scale * found->out;
  if (!std::isfinite(static_cast<float>(scale)) || !std::isfinite(static_cast<float>(found->in))) return false;
  if (!unscaled) set_line(graph, inner, found->in, x.base);
  graph.set(outer.base, found->f, {unscaled ? x.base : inner});
  set_line(graph, id, near(scale, 1) ? 1 : scale, outer.base);
  return true;
}

/// max(x, s x) for s <= 1.
bool recognise_maximum(Rewriter& graph, ValueId id) {
  const Line u = line_of(graph, graph.input(id, 0));
  const Line v = line_of(graph, graph.input(id, 1));
  if (u.base != v.base || u.shift != 0 || v.shift != 0 || std::max(u.scale, v.scale) != 1) return false;
  const double slope = std::min(u.scale, v.scale);
  graph.set(id, slope == 0 ? Activation{} : Activation{Kind::kLeakyRelu, slope}, {u.base});
  return true;
}

/// The bounds of a Relu or Clip.
std::optional<std::pair<double, double>> bounds(const Activation& f) {
  if (f.kind != Kind::kRelu && f.kind != Kind::kClip) return std::nullopt;
  return value_range(f);
}

/// Bounds that the values of a node keep by its construction.
std::pair<double, double> range_of(const Rewriter& graph, ValueId id) {
  while (graph.get<Reshape>(id) != nullptr || graph.get<Transpose>(id) != nullptr || graph.get<Slice>(id) != nullptr ||
         graph.get<MaxPool>(id) != nullptr) {
    id = graph.input(id);
  }
  if (const auto* f = graph.get<Activation>(id)) return value_range(*f);
  return {-kInfinity, kInfinity};
}

/// True if f(x) = x for every x in the range.
bool is_identity_on(const Activation& f, const std::pair<double, double>& range) {
  if (const auto limits = bounds(f)) return limits->first <= range.first && limits->second >= range.second;
  if (f.kind == Kind::kLeakyRelu && f.a == 1) return true;
  return (f.kind == Kind::kAbs || f.kind == Kind::kLeakyRelu || f.kind == Kind::kElu) && range.first >= 0;
}

/// max(f(a), f(b)) = f(max(a, b)), and the same for windows.
bool move_below_maximum(Rewriter& graph, ValueId id) {
  const ValueId x = graph.input(id);
  const auto* found = graph.get<Activation>(x);
  if (found == nullptr || !nondecreasing(*found) || graph.uses(x) != 1) return false;
  const Activation f = *found;
  if (graph.get<MaxPool>(id) != nullptr) {
    const Op pool = graph.node(id).op;
    graph.set(x, pool, {graph.input(x)});
    graph.set(id, f, {x});
    graph.swap_names(id, x);
    return true;
  }
  const ValueId y = graph.input(id, 1);
  const auto* other = graph.get<Activation>(y);
  if (other == nullptr || *other != f || graph.uses(y) != 1) return false;
  const ValueId later = std::max(x, y);
  graph.set(later, Max{}, {graph.input(x), graph.input(y)});
  graph.set(id, f, {later});
  graph.swap_names(id, later);
  return true;
}

}  // namespace

bool recognise_activation(Rewriter& graph, ValueId id) {
  if (graph.get<Max>(id) != nullptr) return recognise_maximum(graph, id);
  if (graph.get<Multiply>(id) == nullptr) return false;
  const ValueId u = graph.input(id, 0);
  const ValueId v = graph.input(id, 1);
  return recognise_product(graph, id, u, v) || recognise_product(graph, id, v, u);
}

bool combine_activations(Rewriter& graph, ValueId id) {
  const auto* outer = graph.get<Activation>(id);
  if (outer == nullptr) return false;
  const ValueId x = graph.input(id);
  if (is_identity_on(*outer, range_of(graph, x))) {
    graph.replace(id, x);
    return true;
  }
  const auto* inner = graph.get<Activation>(x);
  const auto last = bounds(*outer);
  const auto first = inner == nullptr ? std::nullopt : bounds(*inner);
  if (!first || !last) return false;
  const Activation both =
      clip(std::clamp(first->first, last->first, last->second), std::clamp(first->second, last->first, last->second));
  graph.set(id, both, {graph.input(x)});
  return true;
}

bool move_activation(Rewriter& graph, ValueId id) {
  if (graph.get<Max>(id) != nullptr || graph.get<MaxPool>(id) != nullptr) return move_below_maximum(graph, id);
  // Above a reshape, so that the reshape meets others or a layer that does not mind it.
  const auto* op = graph.get<Activation>(id);
  if (op == nullptr) return false;
  const ValueId x = graph.input(id);
  if (graph.get<Reshape>(x) == nullptr || graph.uses(x) != 1) return false;
  const Shape target = graph.shape(id);
  const Activation moved = *op;
  graph.set(x, moved, {graph.input(x)});
  graph.set(id, Reshape{target}, {x});
  graph.swap_names(id, x);
  return true;
}

}  // namespace hearth::nn
