#include <algorithm>
#include <cmath>
#include <set>

#include "compiler/diagonals.h"
#include "compiler/lower.h"

namespace hearth::compiler {
namespace {

/// Special primes of keys for `q` primes when `available` primes fit beside them: as few digits as possible (fewest
/// transforms and smallest keys), then as few special primes as that allows.
int special_primes(int q, int available) {
  const int widest = std::min(q, available);
  const int digits = (q + widest - 1) / widest;
  return (q + digits - 1) / digits;
}

bool needs_keys(const ArithNode& node, const LayoutPlan& plan, std::size_t i) {
  if (std::holds_alternative<arith::Polynomial>(node.op) || std::holds_alternative<arith::Multiply>(node.op))
    return true;
  const auto* linear = std::get_if<arith::Linear>(&node.op);
  return linear &&
         placement_cost(linear->affine, plan.layouts[static_cast<std::size_t>(node.inputs[0])], plan.layouts[i])
                 .rotations > 0;
}

}  // namespace

std::vector<int> key_levels(const LayoutPlan& plan, const Levels& levels) {
  std::set<int> found;
  for (std::size_t i = 0; i < plan.graph.nodes.size(); ++i) {
    const ArithNode& node = plan.graph.nodes[i];
    if (needs_keys(node, plan, i)) found.insert(levels.work[i]);
    // Polynomials relinearise at every level down to their result.
    if (std::holds_alternative<arith::Polynomial>(node.op)) {
      for (int level = levels.result[i] + 1; level < levels.work[i]; ++level) found.insert(level);
    }
  }
  return {found.begin(), found.end()};
}

std::optional<ckks::ParameterSpec> choose_parameters(int log_n, int base_primes, int max_level,
                                                     const std::vector<int>& key_levels, ckks::Security security) {
  constexpr int kUnlimited = 64;  // primes a parameter set may hold
  int budget = kUnlimited;
  if (security == ckks::Security::kBits128) {
    const double limit = ckks::max_log_qp_128(log_n, ckks::SecretKind::kUniformTernary, 0);
    budget = std::min(kUnlimited, static_cast<int>(limit / kPrimeBits));
  }
  const int q_primes = base_primes + max_level;
  const bool keys = !key_levels.empty();
  if (q_primes + 1 > budget) return std::nullopt;  // parameters have a special prime even where no key is used
  ckks::ParameterSpec spec;
  spec.log_n = log_n;
  spec.security = security;
  spec.levels.assign(static_cast<std::size_t>(max_level) + 1, {kPrimeBits});
  spec.levels[0].assign(static_cast<std::size_t>(base_primes), kPrimeBits);
  std::vector<int> sets = key_levels;
  if (sets.empty() || sets.back() != max_level) sets.push_back(max_level);
  int most = 1;
  for (const int level : sets) {
    const int q = base_primes + level;
    const int special = keys ? special_primes(q, std::min(budget - q, kUnlimited - q_primes)) : 1;
    spec.key_sets.push_back({level, special, special});
    most = std::max(most, special);
  }
  spec.special_bits.assign(static_cast<std::size_t>(most), kPrimeBits);
  return spec;
}

}  // namespace hearth::compiler
