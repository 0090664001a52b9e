#include "compiler/grid_plan.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "base/error.h"
#include "base/parallel.h"

namespace hearth::compiler {
namespace {

using arith::Linear;

constexpr int kVector = 0;  // in place of a stride: a value that has no image

int pow2_ceil(std::int64_t v) {
  return static_cast<int>(std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(v, 1))));
}
int ceil_div(std::int64_t a, std::int64_t b) { return static_cast<int>((a + b - 1) / b); }

class GridPlanner {
 public:
  GridPlanner(const ArithGraph& graph, int slots) : graph_(graph), slots_(slots) {}

  std::optional<LayoutPlan> run() {
    find_strides();
    check_margins();
    find_extents();
    if (std::int64_t{rows_} * columns_ * scale_[1] > slots_) return std::nullopt;
    LayoutPlan plan;
    plan.graph = graph_;
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) plan.grids.push_back(shared(layout_of(i)));
    plan.matrices.resize(graph_.nodes.size());
    parallel_for(0, graph_.nodes.size(), [&](std::size_t i) {
      const auto* linear = std::get_if<Linear>(&graph_.nodes[i].op);
      if (!linear) return;
      const auto in = static_cast<std::size_t>(graph_.nodes[i].inputs[0]);
      plan.matrices[i] = std::make_shared<GridMatrix>(linear->layer, plan.grids[in], plan.grids[i], linear->pooled);
    });
    for (const GridLayoutPtr& grid : plan.grids) plan.layouts.push_back(as_table(*grid));
    return plan;
  }

 private:
  [[noreturn]] void refuse(const ArithNode& node, const char* what) const {
    fail(ErrorKind::kUnsupported, "node \"{}\": {} is not supported in networks as large as this one", node.name, what);
  }

  static std::array<std::int64_t, 3> chw(const ArithNode& node) { return nn::as_chw(node.shape); }

  /// Product of the strides on the way from the input to each node.
  void find_strides() {
    for (const ArithNode& node : graph_.nodes) {
      std::array<int, 2> stride = {1, 1};
      if (!node.inputs.empty()) stride = strides_[static_cast<std::size_t>(node.inputs[0])];
      for (const int v : node.inputs) {
        if (strides_[static_cast<std::size_t>(v)] != stride) refuse(node, "joining images that met different strides");
      }
      if (const auto* linear = std::get_if<Linear>(&node.op)) stride = after(node, *linear, stride);
      const auto* view = std::get_if<arith::View>(&node.op);
      if (view && !moves_nothing(*view, graph_.size(node.inputs[0]))) refuse(node, "moving the elements of an image");
      if (std::holds_alternative<arith::Concat>(node.op)) refuse(node, "concatenation");
      strides_.push_back(stride);
      for (const std::size_t axis : {0, 1}) scale_[axis] = std::max(scale_[axis], stride[axis]);
    }
    for (std::size_t i = 0; i < strides_.size(); ++i) {
      if (!std::has_single_bit(static_cast<unsigned>(strides_[i][1])) && strides_[i][1] != kVector) {
        refuse(graph_.nodes[i], "a horizontal stride that is no power of two");
      }
      for (const std::size_t axis : {0, 1}) {
        if (strides_[i][axis] != kVector && scale_[axis] % strides_[i][axis] != 0) {
          refuse(graph_.nodes[i], "a stride that does not divide those of other branches");
        }
      }
    }
  }

  std::array<int, 2> after(const ArithNode& node, const Linear& linear, std::array<int, 2> stride) const {
    if (!linear.implicit) refuse(node, "an operation that is no layer");
    if (linear.pooled || stride[0] == kVector) return {kVector, kVector};
    return {stride[0] * linear.layer->strides[0], stride[1] * linear.layer->strides[1]};
  }

  /// Refuses what reads margins that may hold something: results of windows, and functions of them that do not vanish.
  void check_margins() const {
    const std::vector<double> values = margin_values(graph_);
    std::vector<bool> clean;
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const ArithNode& node = graph_.nodes[i];
      bool operands = true;
      for (const int v : node.inputs) operands = operands && clean[static_cast<std::size_t>(v)];
      const auto* linear = std::get_if<Linear>(&node.op);
      const bool sums = linear && linear->pooled && linear->layer->kernel == std::array{1, 1};
      if (linear && !operands && (sums || margin_of(*linear, 0) > 0 || margin_of(*linear, 1) > 0)) {
        refuse(node,
               "reading around an image that is not zero there (after an activation that vanishes for negative "
               "values it is)");
      }
      clean.push_back(keeps_clean(i, node, operands, values));
    }
  }

  /// Whether a node's margins hold (about) zero, given whether those of its operands do.
  bool keeps_clean(std::size_t i, const ArithNode& node, bool operands, const std::vector<double>& values) const {
    if (const auto* linear = std::get_if<Linear>(&node.op)) {
      if (linear->pooled || strides_[i][0] == kVector) return true;
      return operands && values[i] == 0 && reads_own_point(*linear->layer);
    }
    if (const auto* f = std::get_if<arith::Activation>(&node.op)) {
      return sunk(node.inputs[0], values) || (operands && nn::zero_at_zero(f->function));
    }
    const auto* p = std::get_if<arith::Polynomial>(&node.op);
    return operands && (!p || p->coefficients[0] == 0);
  }

  /// Whether each output reads one point only, of those that are its own once strides have thinned them out: then
  /// outputs outside the image read outside.
  static bool reads_own_point(const Convolution& c) {
    bool own = c.kernel == std::array{1, 1};
    for (const std::size_t axis : {0, 1}) own = own && c.pads[axis] <= 0 && -c.pads[axis] < c.strides[axis];
    return own;
  }

  /// Whether the margins of `v` are far below zero: one of the layers that it is the sum of makes them so.
  bool sunk(int v, const std::vector<double>& values) const {
    const ArithNode& node = graph_.nodes[static_cast<std::size_t>(v)];
    if (values[static_cast<std::size_t>(v)] != 0) return true;
    if (!std::holds_alternative<arith::Add>(node.op)) return false;
    return sunk(node.inputs[0], values) || sunk(node.inputs[1], values);
  }

  /// Rows and columns of the coarsest grid: each image, with the margin that windows reach into, must fit.
  void find_extents() {
    std::array<int, 2> most = {1, 1};
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (strides_[i][0] == kVector) continue;
      for (const std::size_t axis : {0, 1}) {
        const std::int64_t needed = std::max(chw(graph_.nodes[i])[axis + 1] + margin(i, axis), reach(i, axis));
        most[axis] = std::max(most[axis], ceil_div(needed, scale_[axis] / strides_[i][axis]));
      }
    }
    rows_ = pow2_ceil(most[0]);
    columns_ = pow2_ceil(most[1]);
  }

  /// How far windows reach beyond the image of node `i`.
  std::int64_t margin(std::size_t i, std::size_t axis) const {
    std::int64_t most = 0;
    for (const ArithNode& user : graph_.nodes) {
      const auto* linear = std::get_if<Linear>(&user.op);
      if (linear && static_cast<std::size_t>(user.inputs[0]) == i) most = std::max(most, margin_of(*linear, axis));
    }
    return most;
  }

  static std::int64_t margin_of(const Linear& linear, std::size_t axis) {
    if (linear.pooled) return 0;
    const Convolution& c = *linear.layer;
    const std::int64_t last = std::int64_t{c.out[axis + 1] - 1} * c.strides[axis] +
                              std::int64_t{c.kernel[axis] - 1} * c.dilations[axis] - c.pads[axis];
    return std::max({std::int64_t{0}, std::int64_t{c.pads[axis]}, last - (c.in[axis + 1] - 1)});
  }

  /// What makes the windows over node `i` reach less than half of the grid, so that rotations tell directions apart.
  std::int64_t reach(std::size_t i, std::size_t axis) const {
    const std::int64_t phases = axis == 0 ? scale_[0] / strides_[i][0] : 1;
    std::int64_t most = 0;
    for (const ArithNode& user : graph_.nodes) {
      const auto* linear = std::get_if<Linear>(&user.op);
      if (!linear || static_cast<std::size_t>(user.inputs[0]) != i || linear->pooled) continue;
      const Convolution& c = *linear->layer;
      const std::int64_t behind = std::int64_t{c.kernel[axis] - 1} * c.dilations[axis] - c.pads[axis];
      most = std::max({most, std::abs(std::int64_t{c.pads[axis]}), std::abs(behind)});
    }
    return 2 * (most + phases) + 1;
  }

  GridLayout layout_of(std::size_t i) const {
    const ArithNode& node = graph_.nodes[i];
    const auto [c, h, w] = chw(node);
    GridLayout out;
    out.slots = slots_;
    out.rows = rows_;
    out.shape = {static_cast<int>(c), static_cast<int>(h), static_cast<int>(w)};
    out.repeated = strides_[i][0] == kVector;
    if (!out.repeated) out.phases = scale_[0] / strides_[i][0];
    out.pitch = pitch_of(i);
    out.entries = grid_entries(out.shape[0], out.phases, out.pitch);
    return out;
  }

  /// Of a vector that of the image it was pooled from.
  int pitch_of(std::size_t i) const {
    while (strides_[i][0] == kVector) i = static_cast<std::size_t>(graph_.nodes[i].inputs[0]);
    return slots_ / rows_ / (columns_ * (scale_[1] / strides_[i][1]));
  }

  GridLayoutPtr shared(GridLayout layout) {
    for (const GridLayoutPtr& known : known_) {
      if (*known == layout) return known;
    }
    return known_.emplace_back(std::make_shared<GridLayout>(std::move(layout)));
  }

  const ArithGraph& graph_;
  int slots_;
  std::vector<std::array<int, 2>> strides_;
  std::array<int, 2> scale_ = {1, 1};
  int rows_ = 1, columns_ = 1;
  std::vector<GridLayoutPtr> known_;
};

/// The one implicit layer that `v` is, or is a sum of, if only one node reads each value on the way; -1 otherwise.
int layer_behind(const ArithGraph& graph, const std::vector<std::vector<int>>& users, int v) {
  if (users[static_cast<std::size_t>(v)].size() != 1 || v == graph.output) return -1;
  const ArithNode& node = graph.nodes[static_cast<std::size_t>(v)];
  if (const auto* linear = std::get_if<Linear>(&node.op)) return linear->implicit && !linear->pooled ? v : -1;
  const auto* add = std::get_if<arith::Add>(&node.op);
  if (!add) return -1;
  const int first = layer_behind(graph, users, node.inputs[0]);
  return first >= 0 || add->subtract ? first : layer_behind(graph, users, node.inputs[1]);
}

}  // namespace

std::optional<LayoutPlan> plan_on_grid(const ArithGraph& graph, int slots) { return GridPlanner(graph, slots).run(); }

std::vector<double> margin_values(const ArithGraph& graph) {
  constexpr double kShare = 0.5;  // of the activation's range
  constexpr double kVanishes = 1e-3;
  const auto users = graph.users();
  std::vector<double> out(graph.nodes.size(), 0);
  for (const ArithNode& node : graph.nodes) {
    const auto* f = std::get_if<arith::Activation>(&node.op);
    if (!f) continue;
    const double value = -kShare * f->series.bound;
    const int layer = layer_behind(graph, users, node.inputs[0]);
    if (layer < 0 || std::abs(nn::evaluate(f->function, value)) > kVanishes * f->series.bound) continue;
    out[static_cast<std::size_t>(layer)] = value;
  }
  return out;
}

}  // namespace hearth::compiler
