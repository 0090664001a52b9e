// Where levels run out between activations.
#include <algorithm>
#include <vector>

#include "compiler/arithmetic.h"

namespace hearth::compiler {

arith::Activation plain_refresh() { return {{nn::ActivationKind::kLeakyRelu, 1}}; }

bool is_plain_refresh(const nn::Activation& f) { return f.kind == nn::ActivationKind::kLeakyRelu && f.a == 1; }

int deepest_operation(const ArithGraph& graph) {
  int most = 0;
  for (const ArithNode& node : graph.nodes) most = std::max(most, levels_of(node.op));
  return most;
}

ArithGraph insert_refreshes(const ArithGraph& graph, int activation_level, int linear_levels) {
  const int limit = activation_level + linear_levels;
  std::vector<int> needed(graph.nodes.size(), 0);
  std::vector<bool> refreshed(graph.nodes.size(), false);
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const ArithNode& node = graph.nodes[i];
    const bool refreshes = std::holds_alternative<arith::Activation>(node.op);
    int work = refreshes ? activation_level : needed[i] + levels_of(node.op);
    // The input may come at any level, but what is made of it must not outgrow the chain either.
    if (work > limit && !node.inputs.empty()) {
      refreshed[i] = true;
      work = activation_level + levels_of(node.op);
    }
    for (const int v : node.inputs) {
      int& below = needed[static_cast<std::size_t>(v)];
      below = std::max(below, work);
    }
  }
  ArithGraph out;
  out.name = graph.name;
  std::vector<int> to;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    ArithNode node = graph.nodes[i];
    for (int& v : node.inputs) v = to[static_cast<std::size_t>(v)];
    out.nodes.push_back(std::move(node));
    if (refreshed[i]) {
      const auto made = static_cast<int>(out.nodes.size()) - 1;
      out.nodes.push_back({graph.nodes[i].name + " (refreshed)", plain_refresh(), {made}, graph.nodes[i].shape});
    }
    to.push_back(static_cast<int>(out.nodes.size()) - 1);
  }
  out.output = to[static_cast<std::size_t>(graph.output)];
  return out;
}

}  // namespace hearth::compiler
