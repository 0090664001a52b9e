#pragma once

#include <cstdint>
#include <vector>

namespace hearth::memory {

enum class Direction : std::uint8_t { kRead, kWrite };

/// How fast transfers of one size are.
struct SpeedPoint {
  std::uint64_t bytes = 0;
  double latency = 0;    ///< seconds of one transfer with no other in flight
  double bandwidth = 0;  ///< bytes a second with as many in flight as the tier likes
};

/// Latency and bandwidth of a tier, by size and direction.
struct TierSpeed {
  std::vector<SpeedPoint> read, write;  ///< by ascending size, at least one each; all numbers positive

  /// Seconds from the start to the end of one transfer alone: interpolated between points (latency linearly in bytes;
  /// beyond the last one the rest at its bandwidth).
  double latency(Direction direction, std::uint64_t bytes) const;
  /// Seconds that one of many transfers keeps the tier busy: bytes over bandwidth, which is interpolated in the
  /// logarithm of the size.
  double busy(Direction direction, std::uint64_t bytes) const;
};

}  // namespace hearth::memory
