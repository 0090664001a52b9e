#include "memory/tier_speed.h"

#include <algorithm>
#include <cmath>

namespace hearth::memory {
namespace {

/// The first point that is not smaller than `bytes`, or end.
auto point_above(const std::vector<SpeedPoint>& points, std::uint64_t bytes) {
  return std::ranges::lower_bound(points, bytes, {}, &SpeedPoint::bytes);
}

}  // namespace

double TierSpeed::latency(Direction direction, std::uint64_t bytes) const {
  const std::vector<SpeedPoint>& points = direction == Direction::kRead ? read : write;
  const auto above = point_above(points, bytes);
  if (above == points.begin()) return above->latency;
  const SpeedPoint& low = *(above - 1);
  const auto rest = static_cast<double>(bytes - low.bytes);
  if (above == points.end()) return low.latency + rest / low.bandwidth;
  return std::lerp(low.latency, above->latency, rest / static_cast<double>(above->bytes - low.bytes));
}

double TierSpeed::busy(Direction direction, std::uint64_t bytes) const {
  const std::vector<SpeedPoint>& points = direction == Direction::kRead ? read : write;
  const auto size = static_cast<double>(bytes);
  const auto above = point_above(points, bytes);
  if (above == points.begin()) return size / above->bandwidth;
  const SpeedPoint& low = *(above - 1);
  if (above == points.end()) return size / low.bandwidth;
  const double start = std::log(static_cast<double>(low.bytes));
  const double share = (std::log(size) - start) / (std::log(static_cast<double>(above->bytes)) - start);
  return size / std::lerp(low.bandwidth, above->bandwidth, share);
}

}  // namespace hearth::memory
