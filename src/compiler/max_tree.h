#pragma once

#include "compiler/arithmetic.h"

namespace hearth::compiler {

/// Max pooling as arithmetic: max(a, b) = a + relu(b - a) on neighbours of the full grid, first along columns, then
/// along rows, windows growing by doubling, and a view that picks the windows which the pooling keeps. A k x k window
/// takes 2 ceil(log2 k) activations. Padding before the image repeats the first row and column, which every window that
/// reaches there contains; what lies behind the image is left out.
///
/// Appends nodes to `graph` reading node `x` of shape {1, C, H, W}; returns the node that holds the pooled image.
/// Throws Error(kUnsupported) for dilated windows over padding.
int emit_max_tree(ArithGraph& graph, int x, const nn::Node& node, const nn::MaxPool& pool);

}  // namespace hearth::compiler
