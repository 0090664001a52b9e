#pragma once

#include "compiler/arithmetic.h"

namespace hearth::compiler {

/// Max pooling as arithmetic on implicit layers: the image is taken apart by what pooling's stride makes of rows and
/// columns (y mod stride, x mod stride), so that everything has the size of the result, and the parts are joined by
/// max(a, b) = a + relu(b - a), first along columns, then along rows. All values are at least zero, which is also what
/// the margins of images hold, so borders need no care.
///
/// `owned`: node `x` if that is a convolution which only this pooling reads, and a ReLU follows. Then the parts are
/// convolutions of their own, and the ReLU is shared: the first value of each maximum goes through it, after which the
/// others need none; the result needs none either. Otherwise -1: then `x` must be an activation that is never negative.
///
/// Appends nodes to `graph`; returns the one that holds the pooled image. Throws Error(kUnsupported), naming the node,
/// for dilations, for extents that the stride does not divide into parts of the result's size, and for negative inputs.
int emit_layer_pool(ArithGraph& graph, int x, const nn::Node& node, const nn::MaxPool& pool, int owned);

}  // namespace hearth::compiler
