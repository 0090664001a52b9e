// Keeps what the network dropped away from the client.
#include <algorithm>
#include <vector>

#include "compiler/arithmetic.h"

namespace hearth::compiler {
namespace {

/// Whether a relabelling reads every element of its source.
bool reads_all(const std::vector<std::int64_t>& source, std::int64_t available) {
  std::vector<bool> read(static_cast<std::size_t>(available), false);
  for (const std::int64_t s : source) {
    if (s >= 0) read[static_cast<std::size_t>(s)] = true;
  }
  return std::ranges::count(read, true) == available;
}

/// Whether slots without an element are zero, given the same of the operands.
bool clean(const ArithGraph& graph, const ArithNode& node, bool operands_clean) {
  std::int64_t available = 0;
  for (const int v : node.inputs) available += graph.size(v);
  if (std::holds_alternative<arith::Linear>(node.op)) return true;
  if (const auto* p = std::get_if<arith::Polynomial>(&node.op)) return operands_clean && p->coefficients[0] == 0;
  if (const auto* f = std::get_if<arith::Activation>(&node.op)) return operands_clean && nn::zero_at_zero(f->function);
  if (const auto* view = std::get_if<arith::View>(&node.op))
    return operands_clean && reads_all(view->source, available);
  if (const auto* concat = std::get_if<arith::Concat>(&node.op)) {
    return operands_clean && reads_all(concat->source, available);
  }
  return operands_clean;
}

}  // namespace

ArithGraph mask_output(ArithGraph graph) {
  std::vector<bool> is_clean;
  for (const ArithNode& node : graph.nodes) {
    const bool operands =
        std::ranges::all_of(node.inputs, [&](int v) { return is_clean[static_cast<std::size_t>(v)]; });
    is_clean.push_back(clean(graph, node, operands));
  }
  if (is_clean[static_cast<std::size_t>(graph.output)]) return graph;
  const ArithNode& last = graph.nodes[static_cast<std::size_t>(graph.output)];
  const auto n = static_cast<std::size_t>(graph.size(graph.output));
  ArithNode mask{last.name + " (masked)",
                 arith::Linear{diagonal_affine(std::vector<double>(n, 1), std::vector<double>(n, 0))},
                 {graph.output},
                 last.shape,
                 1};
  graph.nodes.push_back(std::move(mask));
  graph.output = static_cast<int>(graph.nodes.size()) - 1;
  return graph;
}

}  // namespace hearth::compiler
