#include "compiler/arithmetic.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "base/overload.h"
#include "ckks/polynomial.h"

namespace hearth::compiler {
int levels_of(const arith::Op& op) {
  if (const auto* p = std::get_if<arith::Polynomial>(&op)) {
    if (p->coefficients.size() == 3) return 1;  // QuadraticOp
    return ckks::polynomial_depth(static_cast<int>(p->coefficients.size()) - 1);
  }
  return std::holds_alternative<arith::Linear>(op) || std::holds_alternative<arith::Multiply>(op) ||
                 std::holds_alternative<arith::Rescale>(op)
             ? 1
             : 0;
}

std::size_t arith::Activation::variant_of(double gain) const {
  for (std::size_t k = 0; k < variants.size(); ++k) {
    if (variants[k].gain == gain) return k + 1;
  }
  return 0;
}

std::int64_t ArithGraph::size(int node) const { return nn::element_count(nodes[static_cast<std::size_t>(node)].shape); }

std::vector<std::vector<int>> ArithGraph::users() const {
  std::vector<std::vector<int>> users(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const int v : nodes[i].inputs) users[static_cast<std::size_t>(v)].push_back(static_cast<int>(i));
  }
  return users;
}

bool has_activations(const ArithGraph& graph) {
  return std::ranges::any_of(graph.nodes,
                             [](const ArithNode& node) { return std::holds_alternative<arith::Activation>(node.op); });
}

Levels assign_levels(const ArithGraph& graph, int activation_level) {
  Levels levels{std::vector<int>(graph.nodes.size(), 0), std::vector<int>(graph.nodes.size(), 0)};
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const bool refreshes = std::holds_alternative<arith::Activation>(graph.nodes[i].op);
    levels.work[i] = refreshes ? activation_level : levels.result[i] + levels_of(graph.nodes[i].op);
    for (const int v : graph.nodes[i].inputs) {
      int& below = levels.result[static_cast<std::size_t>(v)];
      below = std::max(below, levels.work[i]);
    }
  }
  return levels;
}

namespace {

/// f or its series, by `exact`.
double activate(const arith::Activation& op, bool exact, double x, double gain) {
  if (exact || op.series.coefficients.empty()) return nn::evaluate(op.function, x / gain);
  const std::size_t which = op.variant_of(gain);
  return which == 0 ? op.series.evaluate(x) : op.variants[which - 1].series.evaluate(x);
}

std::vector<std::vector<double>> evaluate_with(const ArithGraph& graph, const std::vector<double>& input,
                                               const Disturbance& disturb) {
  const bool exact = !disturb;
  std::vector<std::vector<double>> values;
  for (const ArithNode& node : graph.nodes) {
    const auto x = [&](std::size_t k) -> const std::vector<double>& {
      return values[static_cast<std::size_t>(node.inputs[k])];
    };
    const auto map = [&](const auto& f) {
      std::vector<double> y(x(0).size());
      for (std::size_t e = 0; e < y.size(); ++e) y[e] = f(e);
      return y;
    };
    const auto gather = [](const std::vector<double>& from, const std::vector<std::int64_t>& source) {
      std::vector<double> y;
      for (const std::int64_t s : source) y.push_back(s < 0 ? 0 : from[static_cast<std::size_t>(s)]);
      return y;
    };
    values.push_back(std::visit(
        Overload{[&](const arith::Input&) { return input; },
                 [&](const arith::Linear& o) { return apply_linear(o, x(0)); },
                 [&](const arith::Add& o) {
                   return map([&](auto e) { return x(0)[e] + (o.subtract ? -x(1)[e] : x(1)[e]); });
                 },
                 [&](const arith::Multiply&) { return map([&](auto e) { return x(0)[e] * x(1)[e]; }); },
                 [&](const arith::Polynomial& o) {
                   return map([&](auto e) {
                     return std::accumulate(o.coefficients.rbegin(), o.coefficients.rend(), 0.0,
                                            [&](double sum, double c) { return sum * x(0)[e] + c; });
                   });
                 },
                 [&](const arith::AddConstant& o) { return map([&](auto e) { return x(0)[e] + o.constant[e]; }); },
                 [&](const arith::Rescale&) { return x(0); },
                 [&](const arith::Activation& o) {
                   return map([&](auto e) { return activate(o, exact, x(0)[e], o.gain(e, x(0).size())); });
                 },
                 [&](const arith::View& o) { return gather(x(0), o.source); },
                 [&](const arith::Concat& o) {
                   std::vector<double> all;
                   for (std::size_t k = 0; k < node.inputs.size(); ++k) all.insert(all.end(), x(k).begin(), x(k).end());
                   return gather(all, o.source);
                 }},
        node.op));
    if (disturb) disturb(values.size() - 1, values.back());
  }
  return values;
}

}  // namespace

std::vector<std::vector<double>> evaluate(const ArithGraph& graph, const std::vector<double>& input) {
  return evaluate_with(graph, input, {});
}

std::vector<std::vector<double>> evaluate(const ArithGraph& graph, const std::vector<double>& input,
                                          const Disturbance& disturb) {
  return evaluate_with(graph, input, disturb);
}

bool moves_nothing(const arith::View& view, std::int64_t size) {
  if (static_cast<std::int64_t>(view.source.size()) != size) return false;
  for (std::size_t i = 0; i < view.source.size(); ++i) {
    if (view.source[i] != static_cast<std::int64_t>(i)) return false;
  }
  return true;
}

std::vector<double> apply_linear(const arith::Linear& linear, const std::vector<double>& x) {
  if (linear.implicit) return apply_convolution(*linear.layer, linear.pooled, linear.affine.bias, x);
  return apply_affine(linear.affine, x);
}

double weight_energy(const arith::Linear& linear) {
  double sum = 0;
  if (!linear.implicit) {
    for (const Weight& w : linear.affine.weights) sum += w.weight * w.weight;
    return sum / static_cast<double>(linear.affine.rows);
  }
  const Convolution& c = *linear.layer;
  for (const float w : c.weights) sum += double{w} * w;
  const bool sums = linear.pooled && c.kernel == std::array{1, 1};
  return sum / c.out[0] * (sums ? c.in[1] * c.in[2] : 1);
}

std::string to_string(const ArithGraph& graph) {
  std::string text;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const ArithNode& node = graph.nodes[i];
    const std::string what = std::visit(
        Overload{[](const arith::Input&) { return std::string("input"); },
                 [](const arith::Linear& o) {
                   return fmt::format("{} {} x {}, {} weights", o.implicit ? (o.pooled ? "pooled" : "layer") : "linear",
                                      o.affine.rows, o.affine.columns,
                                      o.implicit ? o.layer->weights.size() : o.affine.weights.size());
                 },
                 [](const arith::Add& o) { return std::string(o.subtract ? "subtract" : "add"); },
                 [](const arith::Multiply&) { return std::string("multiply"); },
                 [](const arith::Polynomial& o) {
                   return fmt::format("polynomial [{:.6g}]", fmt::join(o.coefficients, ", "));
                 },
                 [](const arith::AddConstant&) { return std::string("add constant"); },
                 [](const arith::View&) { return std::string("view"); },
                 [](const arith::Concat&) { return std::string("concat"); },
                 [](const arith::Rescale&) { return std::string("rescale"); },
                 [](const arith::Activation& o) {
                   return fmt::format("{}{}", nn::name(o.function.kind),
                                      o.series.coefficients.empty()
                                          ? ""
                                          : fmt::format(" on +-{:.4g}, degree {}", o.series.bound, o.series.degree()));
                 }},
        node.op);
    text += fmt::format("v{:<3} {:<32} {} <- [{}]  \"{}\"\n", i, what, nn::to_string(node.shape),
                        fmt::join(node.inputs, ", "), node.name);
  }
  return text + fmt::format("output v{}\n", graph.output);
}

}  // namespace hearth::compiler
