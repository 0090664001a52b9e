#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/common/command.h"
#include "compiler/compile.h"

/// What a compilation tells about activations and expected accuracy, to print and as JSON.
namespace hearth::cli {

/// How many ciphertexts go through an activation, and the bootstraps that takes: two of one tensor share one.
struct BootstrapCount {
  int activations = 0;  ///< instructions
  int ciphertexts = 0;
  int bootstraps = 0;
};
BootstrapCount count_bootstraps(const compiler::Program& program);

/// One line an activation, with a heading; "" without activations.
std::string activation_table(const std::vector<compiler::ActivationReport>& activations);
Json to_json(const std::vector<compiler::ActivationReport>& activations);

/// Rows on bootstraps and expected accuracy.
std::vector<std::pair<std::string, std::string>> accuracy_rows(const compiler::Compiled& compiled);
Json to_json(const compiler::Simulation& simulation);

}  // namespace hearth::cli
