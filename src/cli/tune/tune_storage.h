#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/common/command.h"
#include "memory/measure_tier.h"
#include "memory/tier_spec.h"

/// Files of hearth tune (docs/format_tune.md), and what they say of memory and of the tiers below it.
namespace hearth::cli {

inline constexpr const char* kTuneFormat = "hearth-tune";
inline constexpr int kTuneVersion = 1;

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

/// The part of the file about storage, empty where nothing was measured. Errors as read_tune_file.
MeasuredStorage read_tuned_storage(const std::filesystem::path& path);

/// What the default file says of this tier; nothing if there is no such file or tier in it, or (with a warning) if the
/// file cannot be used.
std::optional<memory::TierSpeed> find_tier_speed(const memory::TierSpec& spec, const CommonOptions& options);

/// Reads fields of one file and says what is wrong with them.
class TuneFields {
 public:
  explicit TuneFields(std::string file) : file_(std::move(file)) {}

  void want(bool condition, const std::string& what) const {
    require(condition, ErrorKind::kCorrupt, "{}: {}; run hearth tune again", file_, what);
  }
  const Json& at(const Json& object, const char* name) const {
    want(object.is_object() && object.contains(name), fmt::format("\"{}\" is missing", name));
    return object.at(name);
  }
  int integer(const Json& object, const char* name, int low, int high) const {
    const Json& value = at(object, name);
    const bool fits = value.is_number_integer() && value >= low && value <= high;
    want(fits, fmt::format("\"{}\" must be a whole number from {} to {}", name, low, high));
    return value.get<int>();
  }
  double seconds(const Json& object, const char* name) const {
    const Json& value = at(object, name);
    const bool fits = value.is_number() && value >= 0 && value <= 3600;
    want(fits, fmt::format("\"{}\" must be a number of seconds", name));
    return value.get<double>();
  }
  std::string text(const Json& object, const char* name) const {
    const Json& value = at(object, name);
    want(value.is_string() && value.get_ref<const std::string&>().size() <= 200,
         fmt::format("\"{}\" must be a short text", name));
    return value.get<std::string>();
  }

 private:
  std::string file_;
};

/// A file of hearth tune, its format and version checked.
Json parse_tune_file(const std::filesystem::path& path);

}  // namespace hearth::cli
