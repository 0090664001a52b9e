#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ckks/bootstrap/bootstrapper.h"
#include "compiler/arithmetic.h"
#include "compiler/bootstrap_cost.h"

namespace hearth::compiler {

struct ActivationOptions {
  double margin = 1.5;  ///< range over the largest |input| met in calibration; compile() raises it for large networks
  int degree = 63;      ///< of the Fourier series
  double rho = 0.9;     ///< range over half a period
  /// Channels of small values are multiplied by up to this before an activation that is the only reader of an implicit
  /// layer and is not positively homogeneous (those are left to nn::equalise); 1: never. Powers of sqrt(2).
  double channel_gain = 8;
  /// Headroom of a multiplied channel, on top of `margin`: errors that arrive from wider channels grow with it.
  double channel_margin = 1.5;
};

/// What calibration found out about one activation.
struct ActivationReport {
  int node = 0;  ///< in the graph
  std::string name, function;
  double largest = 0;  ///< |input| met
  double rms = 0;      ///< of inputs
  double bound = 0;    ///< B: the range, shared by all values that must have one scale
  double half_period = 0;
  int degree = 0;
  double max_error = 0, rms_error = 0;  ///< of the series against the function on [-B, B]; rms under the inputs met
  double slope = 0;                     ///< rms derivative at the inputs met: how much of an input's error passes
  /// Estimates for one input value, from a tail that falls exponentially through the largest value met: of leaving [-B,
  /// B] (it saturates) and of passing half a period (it wraps around to a wrong value).
  double clip_probability = 0, wrap_probability = 0;
};

/// Chooses the gains of channels and the range of every activation from the values met on `inputs`, one for each class
/// of values with one scale (so `graph` has been through align_scales), and fits the series.
std::vector<ActivationReport> calibrate_activations(ArithGraph& graph, const std::vector<std::vector<double>>& inputs,
                                                    const ActivationOptions& options = {});
std::string to_string(const std::vector<ActivationReport>& reports);

/// Modulus chain of a network with bootstraps, and their shape.
struct BootstrapChain {
  ckks::ParameterSpec parameters;
  ckks::BootstrapSpec bootstrap;
  double seconds = 0;  ///< predicted for one bootstrap, one thread
  double cost = 0;     ///< what is minimised: these, and those of fetching what the embeddings read
  double noise = 0;    ///< predicted rms noise of a ReLU's output, in units of its range

  int activation_level() const { return static_cast<int>(bootstrap.stc_radices.size()); }
};

/// What a chain must serve.
struct BootstrapNeeds {
  int log_n = 15;
  int log_period = 14;    ///< log2 of the longest period of an activation's slots
  int linear_levels = 1;  ///< that activations' results have above the level at which activations take their operands
  int coefficients = 64;  ///< of the longest series
  int bootstraps = 1;     ///< in one run; their failures add up
  int ciphertexts = 1;    ///< that share a bootstrap, 1 or 2
  int activation_level = 0;  ///< factors of SlotsToCoeffs, 0 to choose
  ckks::Security security = ckks::Security::kBits128;
};

/// The cheapest chain, by the cost model on measured primitives, among numbers of factors of both embeddings,
/// doublings, digits and special primes, each with the cheapest radices (compiler/bootstrap_cost.h), that keeps a
/// ReLU's noise below 2^-kNoiseBits of its range (the most precise chain when none does). Empty when 128 bits of
/// security (if asked for) cannot be had.
std::optional<BootstrapChain> choose_bootstrap_chain(const BootstrapNeeds& needs, const LimbCosts& costs);
inline constexpr double kNoiseBits = 13;

}  // namespace hearth::compiler
