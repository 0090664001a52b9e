#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "cli/common/command.h"

/// The largest outputs of a network that tells classes apart.
namespace hearth::cli {

struct RankedClass {
  std::size_t index = 0;   ///< of the output, from 0
  float output = 0;        ///< as the network gives it
  double probability = 0;  ///< softmax over all outputs: right for networks trained so, for others orientation only
  std::string name;        ///< "" if the classes have no names
};

inline constexpr int kDefaultTop = 5;
/// Adds --top.
CLI::Option* add_top_option(CLI::App& app, int& count);

/// The `count` largest outputs, or all if there are fewer, the largest first; of equal ones the earlier first, and what
/// is no number last. `names` has an entry for each output, or none.
std::vector<RankedClass> rank(std::span<const float> outputs, std::span<const std::string> names, std::size_t count);

/// A line each.
std::string format_ranking(const std::vector<RankedClass>& ranking);
/// A list of objects "class", "output", "probability" and, where there is one, "name".
Json to_json(const std::vector<RankedClass>& ranking);

}  // namespace hearth::cli
