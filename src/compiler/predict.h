#pragma once

#include <string>

#include "compiler/lower.h"
#include "compiler/program/bundle.h"

namespace hearth::compiler {

/// Seconds of the primitives of homomorphic programs at one level, measured on this machine with the threads
/// parallel_for may use.
struct LevelCost {
  double hoist = 0;         ///< decomposing and raising one ciphertext
  double hoisted = 0;       ///< one more rotation of a decomposed ciphertext, over QP
  double rotate = 0;        ///< a full rotation
  double mod_down = 0;      ///< both parts of one ciphertext
  double product_term = 0;  ///< one diagonal times one ciphertext over QP
  double square = 0;        ///< with relinearisation
  double rescale = 0;
};

/// Measures at `level`, with evaluation keys of random residues (their content does not change the time).
LevelCost measure_level(const ckks::ParametersPtr& parameters, int level);

/// Fills a prediction from a program: time from measured primitives times counts, memory from sizes, precision from the
/// noise model. `output_rms`: of the outputs in calibration. Takes tens of milliseconds at n = 2^13, seconds at 2^16.
Prediction predict(const Lowered& lowered, const ckks::ParametersPtr& parameters, double output_rms);

std::string to_string(const Prediction& prediction);

}  // namespace hearth::compiler
