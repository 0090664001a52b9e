#pragma once

#include <functional>
#include <vector>

#include "nn/graph.h"

namespace hearth::nn {

/// The plaintext meaning of a graph: straightforward loops, sums in double, values rounded to float between nodes. It
/// is the oracle of every test of the compiler and the runtime. Thread safe.

/// The value of every node, indexed by ValueId. Throws Error(kMismatch) if `input` does not have the graph's input
/// shape (a missing batch dimension of 1 is accepted).
std::vector<Tensor> run_all(const Graph& graph, const Tensor& input);

/// Only the output; intermediate values are freed once used.
Tensor run(const Graph& graph, const Tensor& input);

/// Calls visit(id, value) for every node, ascending, as soon as its value is known; a value is freed once used. So all
/// values can be looked at where run_all() would not fit memory. Returns the output.
using Visitor = std::function<void(ValueId, const Tensor&)>;
Tensor run_visiting(const Graph& graph, const Tensor& input, const Visitor& visit);

/// One operator on given inputs; the result has infer_shape(op, shapes of inputs).
Tensor evaluate(const Op& op, const std::vector<const Tensor*>& inputs);

}  // namespace hearth::nn
