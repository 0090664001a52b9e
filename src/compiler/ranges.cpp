#include <algorithm>
#include <cmath>
#include <numeric>

#include "compiler/lower.h"

namespace hearth::compiler {
namespace {

using Slots = std::vector<double>;

double evaluate_polynomial(const std::vector<double>& coefficients, double x) {
  return std::accumulate(coefficients.rbegin(), coefficients.rend(), 0.0,
                         [&](double sum, double c) { return sum * x + c; });
}

double mean_square(const std::vector<double>& v) {
  return std::inner_product(v.begin(), v.end(), v.begin(), 0.0) / static_cast<double>(v.size());
}

/// Slot values of every node. Slots without an element hold zero after a matrix, but a view leaves in its slots what it
/// drops, and polynomials act on all slots.
class SlotSimulation {
 public:
  explicit SlotSimulation(const LayoutPlan& plan) : plan_(plan) {}

  /// `values`: the elements of every node, from evaluate().
  const std::vector<Slots>& run(const std::vector<std::vector<double>>& values) {
    slots_.clear();
    for (std::size_t i = 0; i < plan_.graph.nodes.size(); ++i) {
      slots_.push_back(std::visit([&](const auto& op) { return slots_of(i, op, values[i]); }, plan_.graph.nodes[i].op));
    }
    return slots_;
  }

 private:
  using Values = std::vector<double>;
  const Slots& operand(std::size_t i, std::size_t k) const {
    return slots_[static_cast<std::size_t>(plan_.graph.nodes[i].inputs[k])];
  }

  Slots placed(std::size_t i, const Values& values) const {
    const Layout& layout = plan_.layouts[i];
    const auto period = static_cast<std::size_t>(layout.period);
    Slots out(static_cast<std::size_t>(layout.ciphertexts) * period, 0);
    for (std::size_t e = 0; e < values.size(); ++e) {
      const Place& p = layout.places[e];
      if (p.ciphertext < 0) continue;
      out[static_cast<std::size_t>(p.ciphertext) * period + static_cast<std::size_t>(p.slot)] = values[e];
    }
    return out;
  }

  Slots slots_of(std::size_t i, const arith::Input&, const Values& values) const { return placed(i, values); }
  Slots slots_of(std::size_t i, const arith::Linear&, const Values& values) const { return placed(i, values); }
  Slots slots_of(std::size_t i, const arith::Rescale&, const Values&) const { return operand(i, 0); }
  Slots slots_of(std::size_t i, const arith::View&, const Values&) const { return operand(i, 0); }
  Slots slots_of(std::size_t i, const arith::Add& op, const Values&) const {
    return combined(i, [&](double a, double b) { return op.subtract ? a - b : a + b; });
  }
  Slots slots_of(std::size_t i, const arith::Multiply&, const Values&) const {
    return combined(i, [](double a, double b) { return a * b; });
  }
  Slots slots_of(std::size_t i, const arith::Polynomial& op, const Values&) const {
    Slots out = operand(i, 0);
    for (double& x : out) x = evaluate_polynomial(op.coefficients, x);
    return out;
  }
  Slots slots_of(std::size_t i, const arith::Activation& op, const Values&) const {
    Slots out = operand(i, 0);
    for (double& x : out) x = nn::evaluate(op.function, x);
    return out;
  }
  Slots slots_of(std::size_t i, const arith::AddConstant& op, const Values&) const {
    Slots out = operand(i, 0);
    const Slots constant = placed(i, op.constant);
    for (std::size_t s = 0; s < out.size(); ++s) out[s] += constant[s];
    return out;
  }
  /// Ciphertexts one after another, each repeated up to the longest period.
  Slots slots_of(std::size_t i, const arith::Concat&, const Values&) const {
    Slots out;
    for (std::size_t k = 0; k < plan_.graph.nodes[i].inputs.size(); ++k) {
      const Layout& layout = plan_.layouts[static_cast<std::size_t>(plan_.graph.nodes[i].inputs[k])];
      const auto period = static_cast<std::size_t>(layout.period);
      for (std::size_t c = 0; c < static_cast<std::size_t>(layout.ciphertexts); ++c) {
        for (std::size_t s = 0; s < static_cast<std::size_t>(plan_.layouts[i].period); ++s) {
          out.push_back(operand(i, k)[c * period + s % period]);
        }
      }
    }
    return out;
  }

  template <typename F>
  Slots combined(std::size_t i, const F& f) const {
    Slots out = operand(i, 0);
    const Slots& other = operand(i, 1);
    for (std::size_t s = 0; s < out.size(); ++s) out[s] = f(out[s], other[s]);
    return out;
  }

  const LayoutPlan& plan_;
  std::vector<Slots> slots_;
};

/// Ranges on one input where slots without an element hold nothing that matters: margins of a grid.
void add_elements(const LayoutPlan& plan, const std::vector<std::vector<double>>& values, double share,
                  std::vector<NodeRange>& ranges) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (const double v : values[i]) ranges[i].abs_max = std::max(ranges[i].abs_max, std::abs(v));
    const double square = mean_square(values[i]);
    const double slots = static_cast<double>(plan.layouts[i].ciphertexts) * plan.layouts[i].period;
    ranges[i].slot_rms += square * static_cast<double>(values[i].size()) / slots * share;
    ranges[i].rms += square * share;
  }
}

}  // namespace

std::vector<NodeRange> measure_ranges(const LayoutPlan& plan, const std::vector<std::vector<double>>& inputs) {
  std::vector<NodeRange> ranges(plan.graph.nodes.size());
  SlotSimulation simulation(plan);
  const double share = 1 / static_cast<double>(inputs.size());
  for (const auto& input : inputs) {
    const auto values = evaluate(plan.graph, input);
    if (!plan.grids.empty()) {
      add_elements(plan, values, share, ranges);
      continue;
    }
    const auto& slots = simulation.run(values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      for (const double v : slots[i]) ranges[i].abs_max = std::max(ranges[i].abs_max, std::abs(v));
      ranges[i].slot_rms += mean_square(slots[i]) * share;
      ranges[i].rms += mean_square(values[i]) * share;
    }
  }
  for (NodeRange& r : ranges) {
    r.slot_rms = std::sqrt(r.slot_rms);
    r.rms = std::sqrt(r.rms);
  }
  return ranges;
}

}  // namespace hearth::compiler
