// The scale of every value.
#include "compiler/scales.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compiler/diagonals.h"

namespace hearth::compiler {
namespace {

using arith::Linear;

double square(double x) { return x * x; }

LinearNoise linear_noise(const Affine& affine, const Layout& in, const Layout& out) {
  LinearNoise noise;
  noise.energy = weight_energy({affine});
  const double copies = static_cast<double>(std::max(in.period, out.period)) / out.period;
  const double diagonals = static_cast<double>(placement_cost(affine, in, out).diagonals) / out.ciphertexts;
  noise.products = diagonals * copies;
  noise.period = std::max(in.period, out.period);
  return noise;
}

LinearNoise linear_noise(const arith::Linear& linear, const GridMatrix& matrix) {
  const double copies = static_cast<double>(matrix.in()->period()) / matrix.out()->period();
  return {.energy = weight_energy(linear),
          .products = static_cast<double>(matrix.shape().diagonals.size()) / matrix.shape().outputs * copies,
          .period = matrix.out()->pitch};
}

bool keeps_scale(const arith::Op& op) {
  return std::holds_alternative<arith::AddConstant>(op) || std::holds_alternative<arith::View>(op) ||
         std::holds_alternative<arith::Add>(op) || std::holds_alternative<arith::Concat>(op);
}

}  // namespace

LinearNoise linear_noise(const LayoutPlan& plan, int i) {
  const ArithNode& node = plan.graph.nodes[static_cast<std::size_t>(i)];
  const auto* linear = std::get_if<Linear>(&node.op);
  if (linear && linear->implicit) return linear_noise(*linear, *plan.matrices[static_cast<std::size_t>(i)]);
  if (std::holds_alternative<arith::Rescale>(node.op)) return {1, 1, 1};
  return linear_noise(std::get<Linear>(node.op).affine, plan.layouts[static_cast<std::size_t>(node.inputs[0])],
                      plan.layouts[static_cast<std::size_t>(i)]);
}

Scales::Scales(const LayoutPlan& plan, const Levels& levels, const std::vector<NodeRange>& ranges,
               const ckks::Parameters& parameters, double margin)
    : plan_(plan),
      graph_(plan.graph),
      levels_(levels),
      ranges_(ranges),
      parameters_(parameters),
      noise_(parameters),
      margin_(margin) {
  find_classes();
  fix_bootstrap_inputs();
  plan_backward();
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) scale_.push_back(actual(static_cast<int>(i)));
}

void Scales::find_classes() {
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) class_.push_back(static_cast<int>(i));
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (!keeps_scale(graph_.nodes[i].op)) continue;
    for (const int v : graph_.nodes[i].inputs) class_[static_cast<std::size_t>(find(v))] = find(static_cast<int>(i));
  }
}

void Scales::fix_bootstrap_inputs() {
  for (const ArithNode& n : graph_.nodes) {
    if (const auto* f = std::get_if<arith::Activation>(&n.op)) {
      actual_[find(n.inputs[0])] = modulus(0) / (2 * f->series.half_period());
    }
  }
}

double Scales::largest(int i) const {
  const double magnitude = std::max(ranges_[static_cast<std::size_t>(i)].abs_max, 1e-6);
  // A series is as precise as the exponential it is made of, whatever its scale.
  if (std::holds_alternative<arith::Activation>(node(i).op)) return modulus(0) / magnitude;
  const double q = std::exp2(std::min(parameters_.log_q(levels_.result[static_cast<std::size_t>(i)]), 400.0));
  return q / (4 * margin_ * magnitude);
}

double Scales::wanted_operand(int user, int x, double result) const {
  const ArithNode& n = node(user);
  const double q = modulus(levels_.work[static_cast<std::size_t>(user)]);
  if (std::holds_alternative<Linear>(n.op)) {
    // Key-switching noise gained by the weights, sqrt(energy) k / S, against plaintext rounding gained by the values,
    // sqrt(products) p |x| / D, with S D = result q fixed: equal at the optimum.
    const LinearNoise gain = linear_noise(plan_, user);
    const double k = noise_.key_switch(levels_.work[static_cast<std::size_t>(user)]) * std::sqrt(gain.energy);
    const double p = noise_.plain(gain.period) * std::sqrt(gain.products) *
                     std::max(ranges_[static_cast<std::size_t>(x)].slot_rms, 1e-6);
    const double best = k > 0 && p > 0 ? std::sqrt(result * q * k / p) : std::sqrt(result * q);  // no weights: any
    return std::min(std::max(best, 0x1p20), result * q / 0x1p14);
  }
  if (const auto* poly = std::get_if<arith::Polynomial>(&n.op)) {
    // Powers have scales q (S / q)^k, so this makes them those of x / |x|max at scale q: none overflows or vanishes.
    if (poly->coefficients.size() > 3) return q / std::max(ranges_[static_cast<std::size_t>(x)].abs_max, 1e-6);
    return std::sqrt(result * q * std::abs(poly->coefficients[2]));
  }
  if (std::holds_alternative<arith::Multiply>(n.op)) return std::sqrt(result * q);
  if (std::holds_alternative<arith::Rescale>(n.op)) return std::sqrt(result * q * noise_.rescale);
  return result;
}

void Scales::plan_backward() {
  const double unset = std::numeric_limits<double>::infinity();
  wanted_.assign(graph_.nodes.size(), unset);
  const auto out = static_cast<std::size_t>(graph_.output);
  wanted_[static_cast<std::size_t>(find(graph_.output))] =
      modulus(0) / (2 * margin_ * std::max(ranges_[out].abs_max, 1e-6));
  for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
    const int self = static_cast<int>(i);
    double& own = wanted_[static_cast<std::size_t>(find(self))];
    if (const auto fixed = actual_.find(find(self)); fixed != actual_.end()) own = fixed->second;
    const bool free = !actual_.contains(find(self));
    if (free && (self != graph_.output || levels_.result[i] > 0)) own = std::min(own, largest(self));
    if (own == unset) own = largest(self);
    if (keeps_scale(graph_.nodes[i].op) || std::holds_alternative<arith::Activation>(graph_.nodes[i].op)) continue;
    for (const int v : graph_.nodes[i].inputs) {
      double& operand = wanted_[static_cast<std::size_t>(find(v))];
      operand = std::min({operand, wanted_operand(self, v, own), largest(v)});
    }
  }
}

double Scales::made(int i) {
  const ArithNode& n = node(i);
  const double q = modulus(levels_.work[static_cast<std::size_t>(i)]);
  if (std::holds_alternative<arith::Multiply>(n.op)) return actual(n.inputs[0]) * actual(n.inputs[1]) / q;
  const auto* poly = std::get_if<arith::Polynomial>(&n.op);
  if (poly && poly->coefficients.size() == 3) return square(actual(n.inputs[0])) / q / std::abs(poly->coefficients[2]);
  return 0;
}

double Scales::actual(int i) {
  const int root = find(i);
  const auto known = actual_.find(root);
  if (known != actual_.end()) return known->second;
  double scale = wanted_[static_cast<std::size_t>(root)];
  for (std::size_t j = 0; j < graph_.nodes.size(); ++j) {
    if (find(static_cast<int>(j)) != root) continue;
    if (const double s = made(static_cast<int>(j)); s > 0) scale = s;
  }
  return actual_[root] = scale;
}

}  // namespace hearth::compiler
