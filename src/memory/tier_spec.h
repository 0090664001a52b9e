#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "memory/file_tier.h"
#include "memory/tier.h"

namespace hearth::memory {

enum class TierKind : std::uint8_t { kFile, kDax, kNuma, kEmulated };

/// Which tier a user asks for.
struct TierSpec {
  std::string text;  ///< as it was given
  TierKind kind = TierKind::kFile;
  std::string where;  ///< folder, node, or name or file of a description
  std::uint64_t capacity = 0;
  Engine engine = Engine::kBest;
};

/// From KIND:WHERE:SIZE, where KIND is nvme or file (WHERE: a folder; ",threads" at the end keeps it from io_uring),
/// dax (a folder of a DAX file system), numa (a node's number) or emulated (a description's name or file): for example
/// nvme:/scratch:60GiB. Error(kInvalidArgument) that says what was expected. Looks at nothing but the text.
TierSpec parse_tier_spec(const std::string& text);

/// What tells one tier from another whatever its size, KIND:WHERE and ",threads" where that was asked for: the key to
/// measured speeds.
std::string tier_key(const TierSpec& spec);

/// A number of bytes: whole, with KiB, MiB, GiB or TiB or, meaning the same, K, M, G or T; 1 to 2^62.
/// Error(kInvalidArgument) with an example.
std::uint64_t parse_size(std::string_view text);

/// Opens the tier. Its speed is `measured`; where that is null an emulated tier has its description's, any other is
/// measured quickly, in less than half a second on usual hardware. Errors as of the tiers themselves and of
/// find_tier_description.
std::unique_ptr<Tier> make_tier(const TierSpec& spec, const TierSpeed* measured = nullptr);

}  // namespace hearth::memory
