#pragma once

#include <cstdint>
#include <vector>

#include "memory/timeline.h"

namespace hearth::memory {

/// When what is given up comes back, by position in the sequence.
struct Schedule {
  std::vector<std::uint32_t> fetches, fetch_from, writes;  ///< as in Plan
  std::vector<std::uint64_t> occupied;                     ///< bytes by position, prefetched ones included
};

/// Schedule::occupied of a schedule's fetches.
std::vector<std::uint64_t> occupied_bytes(const Timeline& timeline, const std::vector<After>& after,
                                          const Schedule& schedule);

/// Lets every fetch start as early as memory allows, in the order of uses, and every write right after the change.
Schedule schedule_transfers(const Timeline& timeline, const std::vector<After>& after, std::uint64_t capacity);

struct TransferredBytes {
  std::uint64_t read = 0, first_read = 0, written = 0;
};
TransferredBytes transferred_bytes(const Timeline& timeline, const Schedule& schedule);

/// 0 if there are none.
std::uint64_t greatest(const std::vector<std::uint64_t>& bytes);

}  // namespace hearth::memory
