#pragma once

#include <cstdint>

#include "nn/graph.h"

namespace hearth::nn::testing {

/// A small network of random operations, shapes and constants, all operators of the graph among them over enough seeds.
/// Values stay within a few units for inputs in [-1, 1].
Graph random_graph(std::uint32_t seed);

}  // namespace hearth::nn::testing
