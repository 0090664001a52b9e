#pragma once

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

/// One operator on given inputs; the result has infer_shape(op, shapes of inputs).
Tensor evaluate(const Op& op, const std::vector<const Tensor*>& inputs);

}  // namespace hearth::nn
