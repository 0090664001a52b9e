#pragma once

#include <string>

#include "compiler/lower.h"
#include "compiler/machine_costs.h"
#include "compiler/program/bundle.h"

namespace hearth::compiler {

/// Fills a prediction from a program: time from measured primitives times counts, memory from sizes, precision from the
/// noise model. `output_rms`: of the outputs in calibration. `known`: costs measured before, of the machine that will
/// run the program; without any for this ring degree, this machine is measured, which takes tens of milliseconds at
/// n = 2^13, seconds at 2^16.
Prediction predict(const Lowered& lowered, const ckks::ParametersPtr& parameters, double output_rms,
                   const MachineCosts* known = nullptr);

std::string to_string(const Prediction& prediction);

}  // namespace hearth::compiler
