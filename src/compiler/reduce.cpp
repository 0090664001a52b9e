// From a tensor graph to arithmetic: one or more nodes per operator, then fusion.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>

#include "base/error.h"
#include "compiler/arithmetic.h"
#include "compiler/layer_pool.h"
#include "compiler/max_tree.h"

namespace hearth::compiler {
namespace {

using arith::AddConstant;
using arith::Linear;
using arith::View;

/// Products of matrices up to this many weights are always formed.
constexpr std::int64_t kAlwaysFuse = std::int64_t{1} << 18;

std::vector<double> doubles(const std::vector<float>& v) { return {v.begin(), v.end()}; }

/// First pass: one or more arithmetic nodes per operator, no fusion.
class Reducer {
 public:
  Reducer(const nn::Graph& graph, LinearForm form) : graph_(graph), form_(form), users_(graph.users()) {
    out_.name = graph.name;
  }

  ArithGraph run() {
    for (const nn::Node& node : graph_.nodes) {
      std::visit([&](const auto& op) { value_of_.push_back(convert(node, op)); }, node.op);
    }
    out_.output = value_of_[graph_.output];
    return std::move(out_);
  }

 private:
  int input(const nn::Node& node, std::size_t i) const { return value_of_[node.inputs[i]]; }
  const nn::Shape& input_shape(const nn::Node& node, std::size_t i) const { return graph_.nodes[node.inputs[i]].shape; }

  int emit(const nn::Node& node, arith::Op op, std::vector<int> inputs, std::int64_t stride = 1) {
    out_.nodes.push_back({node.name, std::move(op), std::move(inputs), node.shape, stride});
    return static_cast<int>(out_.nodes.size()) - 1;
  }

  int affine(const nn::Node& node, std::int64_t stride) {
    const nn::Shape& shape = input_shape(node, 0);
    if (form_ == LinearForm::kImplicit) return emit(node, implicit_layer(node, shape), {input(node, 0)}, stride);
    Linear linear{to_affine(node.op, shape, node.shape), to_convolution(node.op, shape, node.shape)};
    return emit(node, std::move(linear), {input(node, 0)}, stride);
  }

  static Linear implicit_layer(const nn::Node& node, const nn::Shape& shape) {
    Layer layer = to_layer(node.name, node.op, shape, node.shape);
    const std::int64_t rows = nn::element_count(node.shape), columns = nn::element_count(shape);
    return {{rows, columns, {}, std::move(layer.bias)}, std::move(layer.layer), true, layer.pooled};
  }

  int convert(const nn::Node& node, const nn::Input&) { return emit(node, arith::Input{}, {}); }
  int convert(const nn::Node& node, const nn::Conv2d& op) { return affine(node, op.strides[0]); }
  int convert(const nn::Node& node, const nn::AveragePool& op) { return affine(node, op.strides[0]); }
  int convert(const nn::Node& node, const nn::Add&) { return emit(node, arith::Add{}, both(node)); }
  int convert(const nn::Node& node, const nn::Sub&) { return emit(node, arith::Add{true}, both(node)); }
  int convert(const nn::Node& node, const nn::Multiply&) {
    if (node.inputs[0] == node.inputs[1]) return emit(node, arith::Polynomial{{0, 0, 1}}, {input(node, 0)});
    return emit(node, arith::Multiply{}, both(node));
  }
  int convert(const nn::Node& node, const nn::AddConstant& op) {
    return emit(node, AddConstant{doubles(nn::broadcast_to(op.constant, node.shape).data)}, {input(node, 0)});
  }
  int convert(const nn::Node& node, const nn::Identity&) { return input(node, 0); }
  int convert(const nn::Node& node, const nn::Reshape&) {
    std::vector<std::int64_t> source(static_cast<std::size_t>(nn::element_count(node.shape)));
    std::iota(source.begin(), source.end(), 0);
    return emit(node, View{std::move(source)}, {input(node, 0)});
  }
  int convert(const nn::Node& node, const nn::Transpose& op) {
    const auto from = nn::row_major_strides(input_shape(node, 0));
    return view(node, 0, [&](std::size_t axis, std::int64_t i) {
      return i * from[static_cast<std::size_t>(op.permutation[axis])];
    });
  }
  int convert(const nn::Node& node, const nn::Slice& op) {
    const auto from = nn::row_major_strides(input_shape(node, 0));
    return view(node, 0,
                [&](std::size_t axis, std::int64_t i) { return (op.starts[axis] + i * op.steps[axis]) * from[axis]; });
  }
  int convert(const nn::Node& node, const nn::Pad& op) {
    if (op.value != 0) return affine(node, 1);
    const nn::Shape& shape = input_shape(node, 0);
    const auto from = nn::row_major_strides(shape);
    constexpr std::int64_t kOutside = -(std::int64_t{1} << 40);  // any sum with it stays negative
    return view(node, 0, [&](std::size_t axis, std::int64_t i) {
      const std::int64_t at = i - op.before[axis];
      return at < 0 || at >= shape[axis] ? kOutside : at * from[axis];
    });
  }
  int convert(const nn::Node& node, const nn::Concat& op) {
    std::vector<int> inputs;
    std::vector<std::int64_t> source(static_cast<std::size_t>(nn::element_count(node.shape)));
    const auto axis = static_cast<std::size_t>(op.axis);
    const auto to = nn::row_major_strides(node.shape);
    std::int64_t base = 0, along = 0;
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      inputs.push_back(input(node, k));
      const nn::Shape& shape = input_shape(node, k);
      const std::int64_t count = nn::element_count(shape), inner = to[axis], block = inner * shape[axis];
      for (std::int64_t e = 0; e < count; ++e) {
        const std::int64_t outer = e / block, rest = e % block;
        source[static_cast<std::size_t>(outer * inner * node.shape[axis] + along * inner + rest)] = base + e;
      }
      base += count;
      along += shape[axis];
    }
    return emit(node, arith::Concat{std::move(source)}, std::move(inputs));
  }
  int convert(const nn::Node& node, const nn::Polynomial& op) {
    const auto channels = static_cast<std::size_t>(op.coefficients.shape[1]);
    const auto degree = static_cast<std::size_t>(op.degree());
    std::vector<std::vector<double>> by_channel(channels, std::vector<double>(degree + 1));
    for (std::size_t k = 0; k <= degree; ++k) {
      for (std::size_t c = 0; c < channels; ++c) by_channel[c][k] = op.coefficients.data[k * channels + c];
    }
    const auto same = [&](const auto& p) { return std::equal(p.begin() + 1, p.end(), by_channel[0].begin() + 1); };
    if (std::ranges::all_of(by_channel, same)) return offset_polynomial(node, by_channel);
    return channel_polynomial(node, by_channel);
  }
  int convert(const nn::Node& node, const nn::Activation& op) {
    if (rectified_.contains(node.inputs[0])) return input(node, 0);  // it shared this ReLU
    return emit(node, arith::Activation{op}, {input(node, 0)});
  }
  /// max(a, b) = a + relu(b - a)
  int convert(const nn::Node& node, const nn::Max&) {
    const int difference = emit(node, arith::Add{true}, {input(node, 1), input(node, 0)});
    const int excess = emit(node, arith::Activation{{nn::ActivationKind::kRelu}}, {difference});
    return emit(node, arith::Add{}, {input(node, 0), excess});
  }
  int convert(const nn::Node& node, const nn::MaxPool& op) {
    if (form_ == LinearForm::kListed) return emit_max_tree(out_, input(node, 0), node, op);
    const int owned = owned_convolution(node);
    if (owned >= 0) rectified_.insert(id_of(node));
    return emit_layer_pool(out_, input(node, 0), node, op, owned);
  }

  nn::ValueId id_of(const nn::Node& node) const { return static_cast<nn::ValueId>(&node - graph_.nodes.data()); }

  /// The node here of the convolution that `pool` reads, if nothing else reads it and all that reads the pooled image
  /// is one ReLU; -1 otherwise.
  int owned_convolution(const nn::Node& pool) const {
    const nn::ValueId source = pool.inputs[0], id = id_of(pool);
    if (users_[source].size() != 1 || source == graph_.output || users_[id].size() != 1 || id == graph_.output)
      return -1;
    const auto* f = std::get_if<nn::Activation>(&graph_.nodes[users_[id][0]].op);
    const bool rectifies = f && f->kind == nn::ActivationKind::kRelu;
    return rectifies && std::holds_alternative<nn::Conv2d>(graph_.nodes[source].op) ? value_of_[source] : -1;
  }
  template <typename T>
  int convert(const nn::Node& node, const T&) {
    return affine(node, 1);
  }

  std::vector<int> both(const nn::Node& node) const { return {input(node, 0), input(node, 1)}; }

  /// A View whose source index is a sum over axes of offset(axis, index along it); negative sums mean zero.
  template <typename Offset>
  int view(const nn::Node& node, std::size_t which, const Offset& offset) {
    const auto to = nn::row_major_strides(node.shape);
    std::vector<std::int64_t> source(static_cast<std::size_t>(nn::element_count(node.shape)));
    for (std::size_t e = 0; e < source.size(); ++e) {
      std::int64_t index = 0;
      for (std::size_t axis = 0; axis < to.size(); ++axis) {
        index += offset(axis, static_cast<std::int64_t>(e) / to[axis] % node.shape[axis]);
      }
      source[e] = std::max<std::int64_t>(index, -1);
    }
    return emit(node, View{std::move(source)}, {input(node, which)});
  }

  int diagonal(const nn::Node& node, int x, const std::vector<double>& d, const std::vector<double>& bias) {
    return emit(node, Linear{diagonal_affine(d, bias)}, {x});
  }

  /// Only the constant term may differ by channel.
  int offset_polynomial(const nn::Node& node, const std::vector<std::vector<double>>& p) {
    const int v = uniform_polynomial(node, p[0]);
    if (std::ranges::all_of(p, [&](const auto& c) { return c[0] == p[0][0]; })) return v;
    std::vector<double> offset(static_cast<std::size_t>(nn::element_count(node.shape)));
    for (std::size_t e = 0; e < offset.size(); ++e) offset[e] = p[e / (offset.size() / p.size())][0] - p[0][0];
    return emit(node, AddConstant{std::move(offset)}, {v});
  }

  int uniform_polynomial(const nn::Node& node, std::vector<double> coefficients) {
    while (coefficients.size() > 2 && coefficients.back() == 0) coefficients.pop_back();
    if (coefficients.size() > 2) return emit(node, arith::Polynomial{std::move(coefficients)}, {input(node, 0)});
    const auto n = static_cast<std::size_t>(nn::element_count(node.shape));
    return diagonal(node, input(node, 0), std::vector<double>(n, coefficients[1]),
                    std::vector<double>(n, coefficients[0]));
  }

  /// a x^2 + b x + c with coefficients by channel. With every a != 0: sign (alpha x + beta)^2 + gamma, alpha = sqrt|a|,
  /// beta = sign b / (2 alpha), gamma = c - sign beta^2, where alpha, beta and the signs fuse into neighbouring linear
  /// maps. Otherwise x (a x + b) + c, one level more.
  int channel_polynomial(const nn::Node& node, const std::vector<std::vector<double>>& p) {
    require(p[0].size() == 3, ErrorKind::kUnsupported,
            "node \"{}\": a polynomial of degree {} whose coefficients differ by channel is not supported; degree 2 is",
            node.name, p[0].size() - 1);
    const auto n = static_cast<std::size_t>(nn::element_count(node.shape));
    const auto channel = [&](std::size_t e) -> const std::vector<double>& { return p[e / (n / p.size())]; };
    const bool complete = std::ranges::all_of(p, [](const auto& c) { return c[2] != 0; });
    std::vector<double> first(n), offset(n), sign(n), constant(n), zero(n, 0);
    for (std::size_t e = 0; e < n; ++e) {
      const auto& c = channel(e);
      sign[e] = c[2] < 0 ? -1 : 1;
      first[e] = complete ? std::sqrt(std::abs(c[2])) : c[2];
      offset[e] = complete ? sign[e] * c[1] / (2 * first[e]) : c[1];
      constant[e] = complete ? c[0] - sign[e] * offset[e] * offset[e] : c[0];
    }
    int v = diagonal(node, input(node, 0), first, offset);
    if (!complete) {
      v = emit(node, arith::Multiply{}, {input(node, 0), v});
    } else if (std::ranges::all_of(sign, [&](double s) { return s == sign[0]; })) {
      v = emit(node, arith::Polynomial{{0, 0, sign[0]}}, {v});
    } else {
      v = emit(node, arith::Polynomial{{0, 0, 1}}, {v});
      v = diagonal(node, v, sign, zero);
    }
    return emit(node, AddConstant{constant}, {v});
  }

  const nn::Graph& graph_;
  LinearForm form_;
  std::vector<std::vector<nn::ValueId>> users_;
  ArithGraph out_;
  std::vector<int> value_of_;
  std::set<nn::ValueId> rectified_;  // poolings that have applied the ReLU which follows them
};

/// Drops nodes the output does not need, keeping the input, and renumbers.
ArithGraph prune(ArithGraph graph) {
  std::vector<bool> live(graph.nodes.size(), false);
  live[0] = live[static_cast<std::size_t>(graph.output)] = true;
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    if (!live[i]) continue;
    for (const int v : graph.nodes[i].inputs) live[static_cast<std::size_t>(v)] = true;
  }
  ArithGraph out;
  out.name = graph.name;
  std::vector<int> to(graph.nodes.size(), -1);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!live[i]) continue;
    to[i] = static_cast<int>(out.nodes.size());
    out.nodes.push_back(std::move(graph.nodes[i]));
    for (int& v : out.nodes.back().inputs) v = to[static_cast<std::size_t>(v)];
  }
  out.output = to[static_cast<std::size_t>(graph.output)];
  return out;
}

/// second after first for implicit layers, where that is one: a 1 x 1 layer after the pooling of each channel.
std::optional<Linear> fuse_layers(const Linear& second, const Linear& first) {
  const Convolution &a = *second.layer, &b = *first.layer;
  const bool pools = first.pooled && b.groups == b.in[0] && !second.pooled;
  if (!pools || a.groups != 1 || a.kernel != std::array{1, 1} || a.in != b.out) return std::nullopt;
  auto layer = std::make_shared<Convolution>(a);
  layer->in = b.in;
  for (std::size_t i = 0; i < layer->weights.size(); ++i) layer->weights[i] *= b.weights[i % b.weights.size()];
  std::vector<double> bias = apply_linear(second, first.affine.bias);
  return Linear{{second.affine.rows, first.affine.columns, {}, std::move(bias)}, std::move(layer), true, true};
}

/// A dense layer that reads an image row by row, as a window over the whole of it.
Linear over_image(Linear linear, const nn::Shape& shape) {
  const auto [channels, height, width] = nn::as_chw(shape);
  if (height * width == 1 || linear.layer->in[1] != 1 || linear.layer->in[2] != 1) return linear;
  auto layer = std::make_shared<Convolution>(*linear.layer);
  layer->in = {static_cast<int>(channels), static_cast<int>(height), static_cast<int>(width)};
  layer->kernel = {layer->in[1], layer->in[2]};
  linear.layer = std::move(layer);
  linear.pooled = true;
  return linear;
}

/// columns of `affine` reread through a view: column c of the result's input is source[c] of the view's input.
Affine through_view(Affine affine, const View& view, std::int64_t columns) {
  affine.columns = columns;
  auto& weights = affine.weights.edit();
  std::erase_if(weights, [&](const Weight& w) { return view.source[static_cast<std::size_t>(w.column)] < 0; });
  for (Weight& w : weights) {
    w.column = static_cast<std::int32_t>(view.source[static_cast<std::size_t>(w.column)]);
  }
  canonicalise(affine);
  return affine;
}

/// One rewriting step at node i whose only (or first) input is node j; returns whether it changed anything.
bool fuse_at(ArithGraph& graph, std::size_t i, const std::vector<std::vector<int>>& users) {
  ArithNode& node = graph.nodes[i];
  if (node.inputs.empty()) return false;
  const ArithNode& previous = graph.nodes[static_cast<std::size_t>(node.inputs[0])];
  const bool only_user = users[static_cast<std::size_t>(node.inputs[0])].size() == 1 && graph.output != node.inputs[0];
  const auto take_over = [&](arith::Op op) {
    node.stride = std::max(node.stride, previous.stride);
    node.inputs = previous.inputs;
    node.op = std::move(op);
    return true;
  };
  auto* linear = std::get_if<Linear>(&node.op);
  auto* offset = std::get_if<AddConstant>(&node.op);
  if (const auto* view = std::get_if<View>(&previous.op)) {
    if (linear && moves_nothing(*view, graph.size(previous.inputs[0]))) {
      const nn::Shape& shape = graph.nodes[static_cast<std::size_t>(previous.inputs[0])].shape;
      return take_over(linear->implicit ? over_image(*linear, shape) : Linear(*linear));
    }
    if (linear && !linear->implicit)
      return take_over(Linear{through_view(linear->affine, *view, graph.size(previous.inputs[0]))});
    if (auto* outer = std::get_if<View>(&node.op)) {
      std::vector<std::int64_t> source;
      for (const std::int64_t s : outer->source)
        source.push_back(s < 0 ? -1 : view->source[static_cast<std::size_t>(s)]);
      return take_over(View{std::move(source)});
    }
  }
  if (!only_user) return false;
  if (const auto* first = std::get_if<Linear>(&previous.op)) {
    if (offset) {
      Linear sum = *first;
      for (std::size_t e = 0; e < offset->constant.size(); ++e) sum.affine.bias[e] += offset->constant[e];
      return take_over(std::move(sum));
    }
    // Fusing saves a level; worth it unless the product is far heavier than the two were.
    if (linear && (linear->implicit || first->implicit)) {
      std::optional<Linear> fused;
      if (linear->implicit && first->implicit) fused = fuse_layers(*linear, *first);
      return fused ? take_over(std::move(*fused)) : false;
    }
    if (linear) {
      const Affine &a = linear->affine, &b = first->affine;
      const auto separate = static_cast<std::int64_t>(a.weights.size() + b.weights.size());
      if (std::min(compose_cost(a, b), a.rows * b.columns) <= std::max(2 * separate, kAlwaysFuse)) {
        return take_over(Linear{compose(linear->affine, first->affine)});
      }
    }
  }
  if (const auto* first = std::get_if<AddConstant>(&previous.op)) {
    if (linear) {
      Linear moved = *linear;
      moved.affine.bias = apply_linear(*linear, first->constant);
      return take_over(std::move(moved));
    }
    if (offset) {
      AddConstant sum = *offset;
      for (std::size_t e = 0; e < sum.constant.size(); ++e) sum.constant[e] += first->constant[e];
      return take_over(std::move(sum));
    }
  }
  return false;
}

/// Zeros that a view adds have no slot. What is not read by matrices alone needs them, so such views become matrices.
void materialise_zeros(ArithGraph& graph) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    ArithNode& node = graph.nodes[i];
    const auto* view = std::get_if<View>(&node.op);
    if (!view || std::ranges::none_of(view->source, [](std::int64_t s) { return s < 0; })) continue;
    const auto rows = static_cast<std::int64_t>(view->source.size());
    Affine all{rows, rows, {}, std::vector<double>(view->source.size(), 0)};
    for (std::int32_t e = 0; e < rows; ++e) all.weights.edit().push_back({e, e, 1});
    node.op = Linear{through_view(std::move(all), *view, graph.size(node.inputs[0]))};
  }
}

}  // namespace

ArithGraph reduce(const nn::Graph& simplified, LinearForm form) {
  ArithGraph graph = Reducer(simplified, form).run();
  for (bool changed = true; changed;) {
    changed = false;
    const std::vector<std::vector<int>> users = graph.users();
    for (std::size_t i = 1; i < graph.nodes.size() && !changed; ++i) changed = fuse_at(graph, i, users);
    graph = prune(std::move(graph));
  }
  materialise_zeros(graph);
  return graph;
}

}  // namespace hearth::compiler
