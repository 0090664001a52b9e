#pragma once

#include <vector>

#include "memory/costs.h"
#include "memory/prefetch.h"

namespace hearth::memory {

/// Transfers that are in flight at a time.
inline constexpr std::size_t kInFlight = 16;

/// Predicted times of running a plan.
struct ReplayedTime {
  double recompute_seconds = 0, wait_seconds = 0, seconds = 0;
};

/// Runs through the sequence with one tier that serves one transfer after the other, reads and writes alike, and
/// overlaps only their latencies. Uses happen in order; what was given up but is still being written keeps its memory.
ReplayedTime replay(const Timeline& timeline, const std::vector<TransferCost>& costs, const std::vector<After>& after,
                    const Schedule& schedule, std::uint64_t capacity);

}  // namespace hearth::memory
