#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "memory/tier_speed.h"

namespace hearth::memory {

/// What is known of a kind of storage that this machine may lack: for emulation (docs/tiers.md has the file format).
struct TierDescription {
  std::string name;    ///< 1 to 64 of a-z, 0-9, '_', '-' and '.'
  std::string source;  ///< where the figures come from: publication and figure or table
  TierSpeed speed;     ///< valid()
};

/// Those that come with Hearth, figures as published.
const std::vector<TierDescription>& built_in_tiers();

/// The built-in one of this name, or else the file of this name. Error(kInvalidArgument) naming the built-in ones where
/// there is neither, Error(kIo), and as parse_tier_description.
TierDescription find_tier_description(const std::string& name_or_file);

/// From JSON. Any bytes give a valid description or Error(kCorrupt) that says what is wrong, Error(kUnsupported) for
/// another version. `origin` is for messages.
TierDescription parse_tier_description(std::string_view text, const std::string& origin);
std::string to_text(const TierDescription& description);

}  // namespace hearth::memory
