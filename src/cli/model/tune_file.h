#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/common/command.h"
#include "compiler/machine_costs.h"
#include "memory/measure_tier.h"
#include "memory/tier_spec.h"

/// Files of measured costs, written by `hearth tune` and read by `hearth compile` (docs/format_tune.md).
namespace hearth::cli {

/// $XDG_CONFIG_HOME/hearth/tune.json, or ~/.config/hearth/tune.json; empty where neither variable is set.
std::filesystem::path default_tune_file();

/// What was measured of memory and of the tiers below it.
struct MeasuredStorage {
  struct Entry {
    std::string key;  ///< memory::tier_key()
    bool emulated = false;
    memory::TierSpeed speed;
  };
  std::optional<memory::DramSpeed> dram;
  std::vector<Entry> tiers;

  /// The speed of this tier, or null. Valid as long as this object.
  const memory::TierSpeed* find(const memory::TierSpec& spec) const;
};

void write_tune_file(const std::filesystem::path& path, const compiler::MachineCosts& costs,
                     const MeasuredStorage& storage = {});
/// Error(kCorrupt) naming the file and what is wrong with it, Error(kUnsupported) for another version.
compiler::MachineCosts read_tune_file(const std::filesystem::path& path);

/// The part of the file about storage, empty where nothing was measured. Errors as read_tune_file.
MeasuredStorage read_tuned_storage(const std::filesystem::path& path);

/// The costs to predict with. `file`: given by the user, of whatever machine, used as it is. Without one: the default
/// file where there is one, but only if it was measured on this processor with as many threads as are used now; what
/// keeps it from being used becomes a warning. Empty: measure.
std::optional<compiler::MachineCosts> find_costs(const std::string& file, const CommonOptions& options);

Json to_json(const compiler::MachineCosts& costs, const MeasuredStorage& storage = {});

}  // namespace hearth::cli
