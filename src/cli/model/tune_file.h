#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/common/command.h"
#include "cli/tune/tune_storage.h"
#include "compiler/machine_costs.h"
#include "memory/measure_tier.h"
#include "memory/tier_spec.h"

/// Files of measured costs, written by `hearth tune` and read by `hearth compile` (docs/format_tune.md).
namespace hearth::cli {

void write_tune_file(const std::filesystem::path& path, const compiler::MachineCosts& costs,
                     const MeasuredStorage& storage = {});
/// Error(kCorrupt) naming the file and what is wrong with it, Error(kUnsupported) for another version.
compiler::MachineCosts read_tune_file(const std::filesystem::path& path);

/// The costs to predict with. `file`: given by the user, of whatever machine, used as it is. Without one: the default
/// file where there is one, but only if it was measured on this processor with as many threads as are used now; what
/// keeps it from being used becomes a warning. Empty: measure.
std::optional<compiler::MachineCosts> find_costs(const std::string& file, const CommonOptions& options);

Json to_json(const compiler::MachineCosts& costs, const MeasuredStorage& storage = {});

}  // namespace hearth::cli
