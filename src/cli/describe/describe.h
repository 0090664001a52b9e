#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/container.h"
#include "ckks/parameters.h"
#include "cli/common/command.h"
#include "compiler/program/bundle.h"

/// Facts about predictions, parameters and files, as rows to print and as JSON.
namespace hearth::cli {

using Rows = std::vector<std::pair<std::string, std::string>>;

Json to_json(const compiler::Prediction& prediction);
Rows describe(const compiler::Prediction& prediction);

Json to_json(const ckks::Parameters& parameters);
Rows describe(const ckks::Parameters& parameters);

/// "uniform ternary" or "ternary, h = 512".
std::string secret_name(const ckks::ParameterSpec& spec);

struct Description {
  Rows rows;
  Json json;
};

/// Everything that can be told about a file without a secret; verifies all checksums. For a secret key only what its
/// head says: its coefficients are never looked at. A file whose contents are damaged is described as far as its frame
/// allows, with the reason under "problem".
Description describe_file(const std::filesystem::path& path);

}  // namespace hearth::cli
