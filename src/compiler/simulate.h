#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "compiler/lower.h"

namespace hearth::compiler {

/// How a compiled network fares when it is run as encryption will run it: activations by their series, and the noise
/// that the noise model predicts added at every instruction, all in plaintext.
struct Simulation {
  int inputs = 0;
  int labels_agree = 0;       ///< inputs whose largest output is the same as without noise and approximation
  double output_error = 0;    ///< rms difference of the outputs
  double output_spread = 0;   ///< standard deviation of the exact outputs
  double largest_error = 0;   ///< of any output
  std::vector<double> error;  ///< rms difference of every instruction's elements, absolute

  double agreement() const { return inputs == 0 ? 1 : static_cast<double>(labels_agree) / inputs; }
};

/// `inputs`: flattened, normalised. Runs in parallel over them; the same seed gives the same result. Noise is drawn
/// normally distributed and independent for every element; activations meet values beyond half a period where those
/// wrap around, as they will under encryption.
Simulation simulate(const LayoutPlan& plan, const Lowered& lowered, std::span<const std::vector<double>> inputs,
                    std::uint64_t seed = 1);
std::string to_string(const Simulation& simulation);

}  // namespace hearth::compiler
