#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "memory/tier_speed.h"

/// Speeds within JSON files (docs/tiers.md): {"read": [{"bytes": .., "latency": .., "bandwidth": ..}, ..], "write":
/// ..}, in bytes, seconds, and bytes a second.
namespace hearth::memory {

nlohmann::json to_json(const TierSpeed& speed);

/// Any JSON gives a valid() speed with latencies of 1 ns to 1 h and bandwidths of 1 kB/s to 100 TB/s, or
/// Error(kCorrupt) that begins with `origin`.
TierSpeed speed_from_json(const nlohmann::json& json, const std::string& origin);

}  // namespace hearth::memory
