#pragma once

#include <utility>
#include <vector>

#include "nn/graph.h"

namespace hearth::nn {

/// A graph while it is being simplified: nodes change in place, values are replaced by others, uses are counted, and
/// nodes that nothing uses any more are dropped at the end. Internal to simplify().
class Rewriter {
 public:
  explicit Rewriter(const Graph& graph);

  std::size_t size() const { return nodes_.size(); }
  const Node& node(ValueId id) const { return nodes_[id]; }
  const Shape& shape(ValueId id) const { return nodes_[id].shape; }
  /// The op of `id` if it is a T, else null.
  template <typename T>
  const T* get(ValueId id) const {
    return std::get_if<T>(&nodes_[id].op);
  }
  /// Input i of a node, with replaced values resolved.
  ValueId input(ValueId id, std::size_t i = 0) const { return resolve(nodes_[id].inputs[i]); }

  bool alive(ValueId id) const { return uses_[id] > 0; }
  /// How often the value is read, the graph's output counting as one.
  std::size_t uses(ValueId id) const { return uses_[id]; }

  /// Makes `id` compute op(inputs); inputs must come before it. The shape is inferred.
  void set(ValueId id, Op op, std::vector<ValueId> inputs);
  /// Exchanges the names of two nodes whose operations have changed places.
  void swap_names(ValueId a, ValueId b) { std::swap(nodes_[a].name, nodes_[b].name); }
  /// Whoever reads `id` reads `by`, a value of the same shape that comes before it.
  void replace(ValueId id, ValueId by);

  /// The nodes that the output depends on.
  Graph finish() const;

 private:
  ValueId resolve(ValueId id) const;
  void release(ValueId id);

  std::string name_;
  std::vector<Node> nodes_;
  std::vector<ValueId> alias_;  ///< alias_[id] == id where the value was not replaced
  std::vector<std::size_t> uses_;
  ValueId output_;
};

// Rules look at one node and its producers, and return whether they changed something. Those of one file, in turn:

// rewrite_structure.cpp
bool remove_trivial(Rewriter& graph, ValueId id);   ///< Identity, reshapes and transposes that cancel, ...
bool merge_padding(Rewriter& graph, ValueId id);    ///< Pad into Pad, Conv2d, AveragePool
bool fold_into_dense(Rewriter& graph, ValueId id);  ///< what only feeds a Dense into its weights

// rewrite_polynomial.cpp
bool canonical_affine(Rewriter& graph, ValueId id);     ///< per-channel arithmetic as a Polynomial of degree 1
bool combine_polynomials(Rewriter& graph, ValueId id);  ///< Add, Sub, Multiply of polynomials of one value
bool compose_polynomials(Rewriter& graph, ValueId id);  ///< p(a x + b) and a p(x) + b
bool merge_constants(Rewriter& graph, ValueId id);      ///< AddConstant after AddConstant, ...
bool move_affine(Rewriter& graph, ValueId id);          ///< affine maps up past reshapes, down past pooling
bool fold_affine_back(Rewriter& graph, ValueId id);     ///< an affine map into the Conv2d or Dense before it
bool fold_affine_ahead(Rewriter& graph, ValueId id);    ///< an affine map into the Conv2d after it

// rewrite_activation.cpp
bool recognise_activation(Rewriter& graph, ValueId id);  ///< x sigmoid(x) and the like, max(x, a x)
bool combine_activations(Rewriter& graph, ValueId id);   ///< Relu and Clip of one another, activations that do nothing
bool move_activation(Rewriter& graph, ValueId id);       ///< up past reshapes, down past maxima

/// Polynomials of degree 1 as MulConstant and AddConstant.
Graph expand_affine(const Graph& graph);

}  // namespace hearth::nn
