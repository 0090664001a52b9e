#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/error.h"
#include "memory/timeline.h"

namespace hearth::memory {
namespace {

/// How the object of a use came to be in memory.
std::string origin(const Timeline& timeline, const Plan& plan, std::uint32_t use) {
  const auto fetch = std::ranges::lower_bound(plan.fetches, use);
  if (fetch != plan.fetches.end() && *fetch == use)
    return fmt::format("fetched from {}", plan.fetch_from[static_cast<std::size_t>(fetch - plan.fetches.begin())]);
  const std::uint32_t before = timeline.previous[use];
  if (before != kNoUse) return plan.after[before] == After::kRecompute ? "recomputed" : "kept";
  if (timeline.object(use).created) return "created";
  return timeline.object(use).recompute_seconds == kNever ? "there" : "recomputed";
}

}  // namespace

const char* to_string(ObjectClass kind) {
  constexpr std::array<const char*, kObjectClasses> kNames{"evaluation key", "plaintext", "ciphertext", "weights"};
  return kNames.at(static_cast<std::size_t>(kind));
}

const char* to_string(After after) {
  constexpr std::array<const char*, 4> kNames{"keep", "evict", "recompute", "dead"};
  return kNames.at(static_cast<std::size_t>(after));
}

std::string print(const AccessSequence& sequence, const Plan& plan) {
  check(sequence);
  require(plan.after.size() == sequence.uses.size() && plan.fetch_from.size() == plan.fetches.size(),
          ErrorKind::kInvalidArgument, "a plan for {} uses; expected {}", plan.after.size(), sequence.uses.size());
  const Timeline timeline(sequence, true);
  fmt::memory_buffer out;
  const auto line = std::back_inserter(out);
  for (std::uint32_t use = 0; use < timeline.uses(); ++use) {
    const Use& what = sequence.uses[use];
    fmt::format_to(line, "{}: {} {}, {} bytes, {}", use, to_string(timeline.object(use).kind), what.object,
                   timeline.object(use).bytes, origin(timeline, plan, use));
    if (what.writes) fmt::format_to(line, ", changed");
    if (what.last != use) fmt::format_to(line, ", pinned to {}", what.last);
    fmt::format_to(line, "; {}", to_string(plan.after[use]));
    if (std::ranges::binary_search(plan.writes, use)) fmt::format_to(line, ", write");
    fmt::format_to(line, "\n");
  }
  return fmt::to_string(out);
}

}  // namespace hearth::memory
