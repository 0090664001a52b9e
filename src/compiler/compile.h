#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "compiler/activations.h"
#include "compiler/program/bundle.h"
#include "nn/graph.h"

namespace hearth::compiler {

struct CompileOptions {
  ckks::Security security = ckks::Security::kBits128;
  int log_n = 0;        ///< 0: the smallest ring degree that fits security, slots and precision
  double margin = 2.0;  ///< outputs may exceed the largest calibrated |output| by this factor before they wrap around
  double target_error = 1e-4;  ///< wanted rms output error over output rms; a larger ring is tried when predicted worse
  ActivationOptions activations;
  int threads = 0;  ///< for the time prediction; 0: hearth::threads()
};

/// Names of the steps in order: "import", "simplify", "activations", "layout", "lower", "predict".
const std::vector<std::string>& compile_steps();

struct Compiled {
  ServerBundle server;
  ClientBundle client;
  std::vector<ActivationReport> activations;  ///< of networks that need bootstraps
  std::map<std::string, std::string> dumps;   ///< printable result of every step
};

/// The whole chain. `calibration`: at least one input in the graph's input shape. Deterministic, except for the time
/// prediction, which measures this machine. Throws Error(kUnsupported) naming the node for what cannot be compiled,
/// Error(kInvalidArgument) for unusable calibration.
Compiled compile(const nn::Graph& graph, std::span<const nn::Tensor> calibration, const CompileOptions& options = {});

}  // namespace hearth::compiler
