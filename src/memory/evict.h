#pragma once

#include <cstdint>
#include <vector>

#include "memory/costs.h"
#include "memory/timeline.h"

namespace hearth::memory {

/// How gaps are chosen.
struct EvictionRules {
  std::uint64_t budget = 0;  ///< bytes to fill with what is used or kept; what the program requires may exceed it
  /// Seconds of tier time in each bucket to fill with transfers; empty: without regard to the tier's load.
  std::vector<double> room;
  std::uint32_t window = 0;                 ///< of TierLoad
  std::vector<std::uint32_t> bucket;        ///< by use, the bucket in which it begins (all three only with room)
  std::vector<std::uint32_t> bucket_begin;  ///< by bucket, the first use in it or after it; one more for the end
  bool recompute = false;                   ///< where the tier has no time, objects may be made anew
};

/// What becomes of objects after each use: MIN, made aware of the tier's load. When memory runs out, the gap that is
/// given up is the one that ends last among those whose fetch still finds time on the tier; if there is none, the one
/// whose fetch or recomputation costs least for the bytes and the time it frees. A gap is given up from its beginning
/// on. For objects of equal size, unchanging, and without regard to load this is Belady's MIN, which reads least.
std::vector<After> choose_gaps(const Timeline& timeline, const std::vector<TransferCost>& costs,
                               const EvictionRules& rules);

/// Bytes that must be read in gaps whatever is chosen, if nothing is recomputed: MIN on single bytes. Needs a tier.
std::uint64_t read_bound(const Timeline& timeline, std::uint64_t capacity);

}  // namespace hearth::memory
