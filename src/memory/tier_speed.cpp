#include "memory/tier_speed.h"

#include <algorithm>
#include <cmath>

namespace hearth::memory {
namespace {

using Points = std::vector<SpeedPoint>;

bool valid_points(const Points& points) {
  const auto positive = [](double value) { return std::isfinite(value) && value > 0; };
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points[i].bytes == 0 || (i > 0 && points[i].bytes <= points[i - 1].bytes)) return false;
    if (!positive(points[i].latency) || !positive(points[i].bandwidth)) return false;
  }
  return !points.empty();
}

/// The first point of at least this size.
Points::const_iterator not_below(const Points& points, std::uint64_t bytes) {
  return std::lower_bound(points.begin(), points.end(), bytes,
                          [](const SpeedPoint& point, std::uint64_t size) { return point.bytes < size; });
}

double bandwidth(const Points& points, std::uint64_t bytes) {
  const auto above = not_below(points, bytes);
  if (above == points.begin()) return above->bandwidth;
  const SpeedPoint& low = *(above - 1);
  if (above == points.end()) return low.bandwidth;
  const auto log_size = [](std::uint64_t size) { return std::log(static_cast<double>(size)); };
  return std::lerp(low.bandwidth, above->bandwidth,
                   (log_size(bytes) - log_size(low.bytes)) / (log_size(above->bytes) - log_size(low.bytes)));
}

}  // namespace

bool TierSpeed::valid() const { return valid_points(read) && valid_points(write); }

double TierSpeed::latency(Direction direction, std::uint64_t bytes) const {
  const Points& points = direction == Direction::kRead ? read : write;
  const auto above = not_below(points, bytes);
  if (above == points.begin()) return above->latency;
  const SpeedPoint& low = *(above - 1);
  const double rest = static_cast<double>(bytes - low.bytes);
  if (above == points.end()) return low.latency + rest / low.bandwidth;
  return std::lerp(low.latency, above->latency, rest / static_cast<double>(above->bytes - low.bytes));
}

double TierSpeed::busy(Direction direction, std::uint64_t bytes) const {
  return static_cast<double>(bytes) / bandwidth(direction == Direction::kRead ? read : write, bytes);
}

}  // namespace hearth::memory
