#pragma once

#include "nn/calibrate.h"
#include "nn/graph.h"

namespace hearth::nn {

/// How far equalise() goes. A channel that calibration saw only as small values may turn out larger on other inputs,
/// and the errors that arrive with its inputs are multiplied along with it; both limits bound the harm.
struct EqualiseLimits {
  /// Largest factor of a channel, at least 1.
  double factor = 64;
  /// The norm of the weights that make a channel grows to at most this multiple of the largest such norm in the layer.
  double gain = 2;
  /// Only powers of two: results then stay the same to the bit, but ranges get within a factor of 2 only. (On
  /// ResNet-20, simulated bootstrapping noise reaches the logits 17 % weaker than without equalisation; with powers of
  /// two, 3 %.)
  bool powers_of_two = false;
};

/// The same function with the ranges of channels closer together, so that one range for a whole layer wastes less of
/// its precision on its smaller channels.
///
/// Channels between the layers (Conv2d, Dense) that produce them and those that consume them are multiplied by factors
/// of at least 1: into the weights and biases that produce them, and out of the weights that consume them. In
/// between there may be positively homogeneous activations, Max, pooling, sums (whose operands then share their
/// factors), reshapes and constants; where there is anything else (among them the network's input and output), the
/// channels stay as they are. Factors are as large as keeps every channel within the largest channel of each
/// Activation, Max and MaxPool that it passes, and `limits`; channels that were always 0 keep factor 1. So the largest
/// range of a layer does not change, and results differ only where weights get subnormal; where one would get infinite,
/// nothing is done.
///
/// `calibration` must be of `graph`, otherwise Error(kMismatch). Thread safe.
Graph equalise(const Graph& graph, const Calibration& calibration, const EqualiseLimits& limits = {});

}  // namespace hearth::nn
