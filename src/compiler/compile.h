#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "compiler/activations.h"
#include "compiler/lower.h"
#include "compiler/machine_costs.h"
#include "compiler/program/bundle.h"
#include "compiler/simulate.h"
#include "nn/graph.h"

namespace hearth::compiler {

struct CompileOptions {
  ckks::Security security = ckks::Security::kBits128;
  int log_n = 0;        ///< 0: the smallest ring degree that fits security, slots and precision
  double margin = 2.0;  ///< outputs may exceed the largest calibrated |output| by this factor before they wrap around
  double target_error = 1e-4;  ///< wanted rms output error over output rms; a larger ring is tried when predicted worse
  ActivationOptions activations;
  /// Instead of activations.margin, unless that is set by hand, for networks kept as layers: they have more values, of which
  /// fewer calibration inputs are at hand, and channels with series of their own to pay for it (docs/bootstrapping.md).
  double layers_margin = 2;
  bool margin_by_hand = false;
  /// Where the simulation finds outputs off by more than `target_spread` of their spread, or another label, series of
  /// this degree are tried, and kept if they do better; 0: never.
  int larger_degree = 127;
  double target_spread = 0.05;
  /// Bytes that the rotation keys of layers on a grid may take in memory, as far as possible (rotation_keys.h).
  double key_budget = kKeyBudget;
  /// How linear operators are kept; by default as matrices unless those have too many weights to be listed.
  std::optional<LinearForm> linear_form;
  int simulated_inputs = 32;  ///< calibration inputs, at most, on which the simulation is run
  int threads = 0;            ///< for the time prediction; 0: hearth::threads()
  /// Costs on the machine that will run the program; null: this machine is measured. For the time prediction only.
  const MachineCosts* machine = nullptr;
  /// Called when a step begins, with the share of the work done before; at the end with done = total.
  std::function<void(const std::string& step, double done, double total)> progress;
};

/// Names of the steps in order: "import", "simplify", "activations", "layout", "lower", "predict".
const std::vector<std::string>& compile_steps();

struct Compiled {
  ServerBundle server;
  ClientBundle client;
  std::vector<ActivationReport> activations;  ///< of networks that need bootstraps
  Simulation simulation;                      ///< of the encrypted run, on calibration inputs
  std::map<std::string, std::string> dumps;   ///< printable result of every step
  LayoutPlan plan;                            ///< the graph that the program was written from, with its layouts
  Lowered lowered;  ///< how the two correspond, errors predicted of instructions; without its program
};

/// The whole chain. `calibration`: at least one input in the graph's input shape. Deterministic, except for the time
/// prediction, which measures this machine. Throws Error(kUnsupported) naming the node for what cannot be compiled,
/// Error(kInvalidArgument) for unusable calibration.
Compiled compile(const nn::Graph& graph, std::span<const nn::Tensor> calibration, const CompileOptions& options = {});

}  // namespace hearth::compiler
