#pragma once

#include <map>
#include <vector>

#include "compiler/lower.h"

namespace hearth::compiler {

/// How a placed matrix passes on and adds noise.
struct LinearNoise {
  double energy = 0;    ///< rms over rows of the sum of squared weights: gain of the input's error
  double products = 0;  ///< encoded weights that an output slot meets: gain of plaintext rounding
  int period = 1;       ///< of the encoded diagonals
};
/// Of node `i`, which is linear or a rescaling. Internal to lowering, like Scales.
LinearNoise linear_noise(const LayoutPlan& plan, int i);

/// Scales of all nodes, before any instruction is written.
class Scales {
 public:
  /// References must outlive this object.
  Scales(const LayoutPlan& plan, const Levels& levels, const std::vector<NodeRange>& ranges,
         const ckks::Parameters& parameters, double margin);

  double operator[](int node) const { return scale_[static_cast<std::size_t>(node)]; }

 private:
  const ArithNode& node(int i) const { return graph_.nodes[static_cast<std::size_t>(i)]; }
  int find(int i) const {
    return class_[static_cast<std::size_t>(i)] == i ? i : find(class_[static_cast<std::size_t>(i)]);
  }
  double modulus(int level) const { return parameters_.level_modulus(level); }

  /// Values joined by operations that need one scale form a class, see align_scales. Products in it make its scale.
  void find_classes();
  /// A bootstrap's operand has the scale that its range asks for: half a period is half of q0.
  void fix_bootstrap_inputs();
  /// Largest scale that keeps margin * |x| below half the modulus, with another bit in hand.
  double largest(int i) const;
  /// Scale that operand `x` of `user` should have, given the scale wanted of the user's result.
  double wanted_operand(int user, int x, double result) const;
  void plan_backward();
  /// Scale of a product as its operands make it; 0 for operations whose scale can be chosen.
  double made(int i);
  double actual(int i);

  const LayoutPlan& plan_;
  const ArithGraph& graph_;
  const Levels& levels_;
  const std::vector<NodeRange>& ranges_;
  const ckks::Parameters& parameters_;
  NoiseModel noise_;
  double margin_;
  std::vector<int> class_;
  std::vector<double> wanted_;  // of classes, at their root
  std::map<int, double> actual_;
  std::vector<double> scale_;
};

}  // namespace hearth::compiler
