#pragma once

#include <cstdint>
#include <vector>

#include "memory/tier.h"

namespace hearth::memory {

struct MeasureOptions {
  /// Transfers to measure at, ascending, multiples of the tier's alignment.
  std::vector<std::uint64_t> sizes{4096, 16384, 65536, 262144, 1048576, 4194304};
  /// Seconds for each size and direction, about; at least a few transfers are made however long they take.
  double patience = 0.15;
  /// Seconds, for each direction, over which a bandwidth is taken that lasts.
  double lasting = 1;
};

/// 128 KiB, 256 KiB and 1 MiB, in about a second in all on usual hardware.
MeasureOptions quick_measurement();

/// Medians of latency (one transfer at a time) and bandwidth (depth() at a time), writes first. Many devices are faster
/// for a moment, or from a cache, than for long: all bandwidths are lowered by the ratio found in transfers of 256 KiB
/// over `lasting` seconds and up to 1 GiB. Overwrites that much of the tier. Sizes beyond the capacity are left out;
/// Error(kInvalidArgument) if none is left, and whatever a transfer fails with.
TierSpeed measure_tier(Tier& tier, const MeasureOptions& options = {});

/// What tiers are compared with.
struct DramSpeed {
  double copy_bandwidth = 0;  ///< bytes copied a second by all threads of parallel_for; each is read once, written once
  double random_latency = 0;  ///< seconds of a read that depends on the one before, from memory beyond the caches
};
/// Takes about `patience` seconds for each of the two, and 192 MiB of memory.
DramSpeed measure_dram(double patience = 0.15);

}  // namespace hearth::memory
