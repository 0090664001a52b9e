#include "nn/equalise.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace hearth::nn {

namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Values whose channels must have the same factors. The elements of each, in row-major order, are as many blocks of
/// equal length as the group has channels; so a reshape stays in the group.
struct Group {
  std::int64_t channels = 0;
  bool fixed = false;           ///< all factors are 1
  std::vector<double> largest;  ///< a channel: its largest share of the whole range where the range matters
  std::vector<double> gain;     ///< a channel: its largest share of the largest norm of weights
  std::vector<float> factors;
};

/// True if the value's axis 1 is the group's channels, each perhaps repeated over neighbours.
bool on_axis_1(const Shape& shape, std::int64_t channels) {
  return shape.size() >= 2 && shape[0] == 1 && shape[1] % channels == 0;
}

/// The groups of a graph: a union-find over its values.
class Groups {
 public:
  explicit Groups(const Graph& graph) : graph_(graph), parent_(graph.nodes.size()), groups_(graph.nodes.size()) {
    std::iota(parent_.begin(), parent_.end(), ValueId{0});
    for (ValueId id = 0; id < graph.nodes.size(); ++id) {
      const Shape& shape = graph.nodes[id].shape;
      groups_[id].channels = shape.size() < 2 ? 1 : shape[1];
      std::visit([&](const auto& op) { visit(id, op); }, graph.nodes[id].op);
    }
    of(graph.output).fixed = true;
  }

  Group& of(ValueId id) { return groups_[root(id)]; }

 private:
  ValueId input(ValueId id, std::size_t i = 0) const { return graph_.nodes[id].inputs[i]; }
  const Shape& shape(ValueId id) const { return graph_.nodes[id].shape; }

  ValueId root(ValueId id) {
    while (parent_[id] != id) id = parent_[id] = parent_[parent_[id]];
    return id;
  }

  /// The node passes channels through: its value and inputs are one group.
  void join(ValueId id) {
    groups_[id].channels = of(input(id)).channels;
    for (const ValueId x : graph_.nodes[id].inputs) {
      const ValueId a = root(id);
      const ValueId b = root(x);
      if (groups_[a].channels != groups_[b].channels) {
        groups_[a].fixed = groups_[b].fixed = true;
      } else {
        groups_[b].fixed = groups_[b].fixed || groups_[a].fixed;
        parent_[a] = b;
      }
    }
  }

  void fix(ValueId id) {
    of(id).fixed = true;
    for (const ValueId x : graph_.nodes[id].inputs) of(x).fixed = true;
  }

  void join_if(ValueId id, bool passes) { passes ? join(id) : fix(id); }
  void join_on_axis_1(ValueId id) { join_if(id, on_axis_1(shape(input(id)), of(input(id)).channels)); }
  bool keeps_channels(const std::vector<std::int64_t>& before, const std::vector<std::int64_t>& after) const {
    return before.size() >= 2 && before[0] == 0 && before[1] == 0 && after[0] == 0 && after[1] == 0;
  }

  void visit(ValueId id, const Conv2d&) {
    if (!on_axis_1(shape(input(id)), of(input(id)).channels)) of(input(id)).fixed = true;
  }
  void visit(ValueId id, const Dense& op) {
    const Shape& x = shape(input(id));
    if (element_count(x) != op.weights.shape[1]) of(input(id)).fixed = true;
    if (shape(id).size() != 2 || shape(id)[0] != 1) of(id).fixed = true;
  }
  void visit(ValueId id, const Activation& f) { join_if(id, positively_homogeneous(f)); }
  void visit(ValueId id, const Add&) { join(id); }
  void visit(ValueId id, const Sub&) { join(id); }
  void visit(ValueId id, const Max&) { join(id); }
  void visit(ValueId id, const AddConstant&) { join(id); }
  void visit(ValueId id, const MulConstant&) { join(id); }
  void visit(ValueId id, const Identity&) { join(id); }
  void visit(ValueId id, const Reshape&) { join(id); }
  void visit(ValueId id, const AveragePool&) { join_on_axis_1(id); }
  void visit(ValueId id, const MaxPool&) { join_on_axis_1(id); }
  void visit(ValueId id, const GlobalAveragePool&) { join_on_axis_1(id); }
  void visit(ValueId id, const ReduceMean& op) {
    join_if(id, on_axis_1(shape(input(id)), of(input(id)).channels) && std::ranges::count(op.axes, 1) == 0);
  }
  void visit(ValueId id, const Pad& op) {
    join_if(id, on_axis_1(shape(input(id)), of(input(id)).channels) && op.value == 0 &&
                    keeps_channels(op.before, op.after));
  }
  template <typename Other>
  void visit(ValueId id, const Other&) {
    fix(id);
  }

  const Graph& graph_;
  std::vector<ValueId> parent_;
  std::vector<Group> groups_;
};

/// Raises a channel's entry to value / whole, block by block if there are more values than channels.
void raise_shares(std::vector<double>& shares, std::int64_t channels, const std::vector<double>& values) {
  const double whole = *std::ranges::max_element(values);
  shares.resize(index(channels), 0.0);
  if (whole == 0) return;
  const std::size_t block = values.size() / shares.size();
  for (std::size_t i = 0; i < values.size(); ++i) {
    shares[i / block] = std::max(shares[i / block], values[i] / whole);
  }
}

/// Takes account of the range of one value that a bootstrap will see.
void add_range(Group& group, const ValueRange& range) {
  std::vector<double> sizes;
  for (const Range& channel : range.channels) sizes.push_back(channel.abs_max);
  if (sizes.size() % index(group.channels) != 0) {
    group.fixed = true;
    return;
  }
  raise_shares(group.largest, group.channels, sizes);
}

/// Takes account of the norms of the weights that make each channel.
void add_gain(Group& group, const Tensor& weights) {
  std::vector<double> norms(index(weights.shape[0]), 0.0);
  const std::size_t row = weights.data.size() / norms.size();
  for (std::size_t i = 0; i < weights.data.size(); ++i) norms[i / row] += double{weights.data[i]} * weights.data[i];
  for (double& norm : norms) norm = std::sqrt(norm);
  if (index(group.channels) == norms.size()) raise_shares(group.gain, group.channels, norms);
}

void choose_factors(Group& group, const EqualiseLimits& limits) {
  group.factors.assign(index(group.channels), 1.0F);
  if (group.fixed || group.largest.empty()) return;
  for (std::size_t c = 0; c < group.factors.size(); ++c) {
    if (group.largest[c] == 0) continue;
    double factor = std::min(limits.factor, 1 / group.largest[c]);
    if (!group.gain.empty() && group.gain[c] > 0) factor = std::min(factor, limits.gain / group.gain[c]);
    if (limits.powers_of_two) factor = std::exp2(std::ilogb(factor));
    group.factors[c] = static_cast<float>(std::max(factor, 1.0));
  }
}

/// The factor of element i of `count`.
float factor_at(const std::vector<float>& factors, std::size_t i, std::size_t count) {
  // Where `count` is not a multiple, the group is fixed and it does not matter which factor is taken.
  const std::size_t block = std::max<std::size_t>(count / factors.size(), 1);
  return factors[std::min(i / block, factors.size() - 1)];
}

/// Writes the factors of groups into the operators.
class Scaler {
 public:
  Scaler(const Graph& graph, Groups& groups) : graph_(graph), groups_(groups) {}

  /// False if a constant has become infinite.
  bool finite() const { return finite_; }

  Op operator()(ValueId id, const Conv2d& op) {
    const std::vector<float>& in = factors(graph_.nodes[id].inputs[0]);
    const std::vector<float>& out = factors(id);
    const Shape& w = op.weights.shape;
    const std::size_t taps = index(w[2] * w[3]);
    const std::size_t per_row = index(w[1]) * taps;
    const std::size_t per_group = index(w[0] / op.groups);
    Conv2d scaled = op;
    for (std::size_t i = 0; i < scaled.weights.data.size(); ++i) {
      const std::size_t m = i / per_row;
      const std::size_t channel = m / per_group * index(w[1]) + i % per_row / taps;
      scale(scaled.weights.data[i], out[m] / factor_at(in, channel, index(w[1] * op.groups)));
    }
    for (std::size_t m = 0; m < out.size(); ++m) scale(scaled.bias.data[m], out[m]);
    return scaled;
  }

  Op operator()(ValueId id, const Dense& op) {
    const std::vector<float>& in = factors(graph_.nodes[id].inputs[0]);
    const std::vector<float>& out = factors(id);
    const std::size_t outputs = op.bias.data.size();
    const std::size_t inputs = index(op.weights.shape[1]);
    Dense scaled = op;
    for (std::size_t i = 0; i < scaled.weights.data.size(); ++i) {
      scale(scaled.weights.data[i], factor_at(out, i / inputs, outputs) / factor_at(in, i % inputs, inputs));
    }
    for (std::size_t o = 0; o < outputs; ++o) scale(scaled.bias.data[o], factor_at(out, o, outputs));
    return scaled;
  }

  Op operator()(ValueId id, const AddConstant& op) {
    const std::vector<float>& out = factors(id);
    if (std::ranges::all_of(out, [](float f) { return f == 1; })) return op;
    // One entry a channel will do if axis 1 is the channels; else one an element.
    const Shape& shape = graph_.nodes[id].shape;
    Shape target = shape;
    if (on_axis_1(shape, std::ssize(out))) {
      target.assign(shape.size(), 1);
      target[1] = shape[1];
      target = broadcast_shape(target, op.constant.shape);
    }
    AddConstant scaled{broadcast_to(op.constant, target)};
    const std::size_t count = scaled.constant.data.size();
    for (std::size_t i = 0; i < count; ++i) scale(scaled.constant.data[i], factor_at(out, i, count));
    return scaled;
  }

  template <typename Other>
  Op operator()(ValueId, const Other& op) {
    return op;
  }

 private:
  const std::vector<float>& factors(ValueId id) { return groups_.of(id).factors; }

  void scale(float& value, float factor) {
    value *= factor;
    finite_ = finite_ && std::isfinite(value);
  }

  const Graph& graph_;
  Groups& groups_;
  bool finite_ = true;
};

bool sees_range(const Op& op) {
  return std::holds_alternative<Activation>(op) || std::holds_alternative<Max>(op) ||
         std::holds_alternative<MaxPool>(op);
}

}  // namespace

Graph equalise(const Graph& graph, const Calibration& calibration, const EqualiseLimits& limits) {
  check(graph);
  require(calibration.values.size() == graph.nodes.size(), ErrorKind::kMismatch,
          "the calibration is of a graph of {} nodes, this one has {}", calibration.values.size(), graph.nodes.size());
  require(limits.factor >= 1 && limits.gain > 0, ErrorKind::kInvalidArgument,
          "limits of equalisation: factor {} must be at least 1 and gain {} positive", limits.factor, limits.gain);
  Groups groups(graph);
  for (ValueId id = 0; id < graph.nodes.size(); ++id) {
    const Node& node = graph.nodes[id];
    if (const auto* conv = std::get_if<Conv2d>(&node.op)) add_gain(groups.of(id), conv->weights);
    if (const auto* dense = std::get_if<Dense>(&node.op)) add_gain(groups.of(id), dense->weights);
    if (!sees_range(node.op)) continue;
    for (const ValueId x : node.inputs) add_range(groups.of(x), calibration.values[x]);
  }
  for (ValueId id = 0; id < graph.nodes.size(); ++id) {
    if (groups.of(id).factors.empty()) choose_factors(groups.of(id), limits);
  }
  Graph out = graph;
  Scaler scaler(graph, groups);
  for (ValueId id = 0; id < graph.nodes.size(); ++id) {
    out.nodes[id].op = std::visit([&](const auto& op) { return scaler(id, op); }, graph.nodes[id].op);
  }
  check(out);
  return scaler.finite() ? out : graph;
}

}  // namespace hearth::nn
