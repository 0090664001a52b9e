// Where branches with scales of their own making meet.
#include <algorithm>
#include <numeric>

#include "compiler/arithmetic.h"

namespace hearth::compiler {
namespace {

using arith::AddConstant;
using arith::Linear;
using arith::View;

/// Operators that leave the scale of their input as it is.
bool keeps_scale(const arith::Op& op) {
  return std::holds_alternative<AddConstant>(op) || std::holds_alternative<View>(op);
}

bool joins(const arith::Op& op) {
  return std::holds_alternative<arith::Add>(op) || std::holds_alternative<arith::Concat>(op);
}

/// Products have the scale their operands give them.
bool makes_scale(const arith::Op& op) {
  if (std::holds_alternative<arith::Multiply>(op)) return true;
  const auto* p = std::get_if<arith::Polynomial>(&op);
  return p && p->coefficients.size() == 3;
}

/// Values that operations force to one scale form a class. A class is fixed when a product in it makes that scale.
class ScaleClasses {
 public:
  /// The class of the next node, which has these operands.
  void add(const ArithNode& node) {
    const int self = static_cast<int>(parent_.size());
    parent_.push_back(self);
    fixed_.push_back(makes_scale(node.op));
    if (!keeps_scale(node.op) && !joins(node.op)) return;
    for (const int v : node.inputs) merge(find(v), self);
  }
  int find(int v) {
    int& parent = parent_[static_cast<std::size_t>(v)];
    return parent == v ? v : parent = find(parent);
  }
  bool fixed(int v) { return fixed_[static_cast<std::size_t>(find(v))]; }

 private:
  void merge(int from, int into) {
    fixed_[static_cast<std::size_t>(into)] =
        fixed_[static_cast<std::size_t>(into)] || fixed_[static_cast<std::size_t>(from)];
    parent_[static_cast<std::size_t>(from)] = into;
  }

  std::vector<int> parent_;
  std::vector<bool> fixed_;
};

class Aligner {
 public:
  explicit Aligner(const ArithGraph& graph) : graph_(graph), users_(graph.users()) { out_.name = graph.name; }

  ArithGraph run() {
    for (const ArithNode& node : graph_.nodes) {
      ArithNode copy = node;
      for (int& v : copy.inputs) v = to_[static_cast<std::size_t>(v)];
      if (joins(node.op)) align_operands(node, copy);
      if (std::holds_alternative<arith::Activation>(node.op) && classes_.fixed(copy.inputs[0])) rescale(copy.inputs[0]);
      to_.push_back(push(std::move(copy)));
    }
    out_.output = to_[static_cast<std::size_t>(graph_.output)];
    return std::move(out_);
  }

 private:
  int push(ArithNode node) {
    classes_.add(node);
    out_.nodes.push_back(std::move(node));
    return static_cast<int>(out_.nodes.size()) - 1;
  }

  const ArithNode& node(int v) const { return graph_.nodes[static_cast<std::size_t>(v)]; }

  /// Whether `v` is a matrix, offset or relabelled at most, that only the join ahead reads: it can take any scale, and
  /// nothing that a product in the join's class is made of is in its own class.
  bool is_private_linear(int v) const {
    for (;; v = node(v).inputs[0]) {
      if (users_[static_cast<std::size_t>(v)].size() != 1 || v == graph_.output) return false;
      if (!keeps_scale(node(v).op)) return std::holds_alternative<Linear>(node(v).op);
    }
  }

  /// Puts a Rescale before operands of fixed scale, unless all of these are of one class and the others adapt to it.
  void align_operands(const ArithNode& original, ArithNode& copy) {
    std::vector<int> fixed;
    bool others_adapt = true;
    for (std::size_t k = 0; k < copy.inputs.size(); ++k) {
      const int v = copy.inputs[k];
      if (classes_.fixed(v)) {
        fixed.push_back(classes_.find(v));
      } else {
        others_adapt = others_adapt && is_private_linear(original.inputs[k]);
      }
    }
    const bool one_class = std::ranges::all_of(fixed, [&](int c) { return c == fixed.front(); });
    if (one_class && others_adapt) return;
    for (int& v : copy.inputs) {
      if (classes_.fixed(v)) rescale(v);
    }
  }

  void rescale(int& v) {
    const ArithNode& operand = out_.nodes[static_cast<std::size_t>(v)];
    v = push({operand.name + " (rescaled)", arith::Rescale{}, {v}, operand.shape, 1});
  }

  const ArithGraph& graph_;
  const std::vector<std::vector<int>> users_;
  ArithGraph out_;
  std::vector<int> to_;
  ScaleClasses classes_;
};

}  // namespace

ArithGraph align_scales(ArithGraph graph) { return Aligner(graph).run(); }

std::vector<int> scale_classes(const ArithGraph& graph) {
  ScaleClasses classes;
  for (const ArithNode& node : graph.nodes) classes.add(node);
  std::vector<int> out;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) out.push_back(classes.find(static_cast<int>(i)));
  return out;
}

}  // namespace hearth::compiler
