#include "nn/simplify.h"

#include <array>

#include "base/error.h"
#include "nn/rewriter.h"

namespace hearth::nn {

namespace {

using Rule = bool (*)(Rewriter&, ValueId);

/// First what brings constants into layers, where they cost nothing; a Polynomial absorbs only what is left, because a
/// plain square is cheaper than a quadratic with coefficients.
constexpr std::array kFold = {recognise_activation, combine_activations, move_activation, remove_trivial,
                              canonical_affine,     combine_polynomials, merge_constants, move_affine,
                              fold_affine_back,     fold_affine_ahead,   merge_padding,   fold_into_dense};
constexpr std::array kAbsorb = {compose_polynomials};

/// Far more sweeps than a real network takes; ends the work on an adversarial one, leaving a valid graph.
constexpr int kMaxSweeps = 200;

bool sweep(Rewriter& graph, std::span<const Rule> rules) {
  bool changed = false;
  for (ValueId id = 1; id < graph.size(); ++id) {
    for (const Rule rule : rules) {
      if (graph.alive(id)) changed = rule(graph, id) || changed;
    }
  }
  return changed;
}

}  // namespace

Graph simplify(const Graph& graph) {
  check(graph);
  Rewriter rewriter(graph);
  for (int i = 0; i < kMaxSweeps; ++i) {
    if (!sweep(rewriter, kFold) && !sweep(rewriter, kAbsorb)) break;
  }
  Graph out = expand_affine(rewriter.finish());
  check(out);
  require(out.output_shape() == graph.output_shape(), ErrorKind::kInternal,
          "simplification changed the output's shape from {} to {}", to_string(graph.output_shape()),
          to_string(out.output_shape()));
  return out;
}

}  // namespace hearth::nn
