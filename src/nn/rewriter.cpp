#include "nn/rewriter.h"

#include <numeric>

namespace hearth::nn {

Rewriter::Rewriter(const Graph& graph)
    : name_(graph.name),
      nodes_(graph.nodes),
      alias_(graph.nodes.size()),
      uses_(graph.nodes.size(), 0),
      output_(graph.output) {
  std::iota(alias_.begin(), alias_.end(), ValueId{0});
  for (const Node& node : nodes_) {
    for (const ValueId input : node.inputs) ++uses_[input];
  }
  ++uses_[output_];
  for (ValueId id = nodes_.size(); id-- > 0;) {
    if (uses_[id] > 0) continue;
    for (const ValueId input : nodes_[id].inputs) --uses_[input];
  }
}

ValueId Rewriter::resolve(ValueId id) const {
  while (alias_[id] != id) id = alias_[id];
  return id;
}

void Rewriter::release(ValueId id) {
  std::vector<ValueId> dropped = {id};
  while (!dropped.empty()) {
    const ValueId next = resolve(dropped.back());
    dropped.pop_back();
    if (--uses_[next] > 0) continue;
    dropped.insert(dropped.end(), nodes_[next].inputs.begin(), nodes_[next].inputs.end());
  }
}

void Rewriter::set(ValueId id, Op op, std::vector<ValueId> inputs) {
  std::vector<Shape> shapes;
  for (ValueId& input : inputs) {
    input = resolve(input);
    ++uses_[input];
    shapes.push_back(nodes_[input].shape);
  }
  Node& node = nodes_[id];
  node.shape = infer_shape(op, shapes);
  node.op = std::move(op);
  std::swap(node.inputs, inputs);
  for (const ValueId input : inputs) release(input);
}

void Rewriter::replace(ValueId id, ValueId by) {
  by = resolve(by);
  uses_[by] += uses_[id];
  uses_[id] = 0;
  alias_[id] = by;
  for (const ValueId input : nodes_[id].inputs) release(input);
}

Graph Rewriter::finish() const {
  Graph out;
  out.name = name_;
  std::vector<ValueId> renumbered(nodes_.size());
  for (ValueId id = 0; id < nodes_.size(); ++id) {
    // The input stays even if nothing reads it: every graph has one.
    if (uses_[id] == 0 && id != 0) continue;
    Node node = nodes_[id];
    for (ValueId& input : node.inputs) input = renumbered[resolve(input)];
    renumbered[id] = out.nodes.size();
    out.nodes.push_back(std::move(node));
  }
  out.output = renumbered[resolve(output_)];
  return out;
}

}  // namespace hearth::nn
