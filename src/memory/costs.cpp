#include "memory/costs.h"

#include "base/error.h"

namespace hearth::memory {
namespace {

void check(const std::vector<SpeedPoint>& points, const char* direction) {
  require(!points.empty(), ErrorKind::kInvalidArgument, "the tier's speed has no points for {}; expected one or more",
          direction);
  for (const SpeedPoint& point : points) {
    require(point.latency > 0 && point.bandwidth > 0 && point.bytes > 0, ErrorKind::kInvalidArgument,
            "the tier's speed for {} at {} bytes is {} s, {} bytes/s; expected positive numbers", direction,
            point.bytes, point.latency, point.bandwidth);
  }
}

}  // namespace

std::vector<TransferCost> transfer_costs(const AccessSequence& sequence, const PlanOptions& options) {
  std::vector<TransferCost> costs(sequence.objects.size());
  if (!options.tier) return costs;
  check(options.speed.read, "reading");
  check(options.speed.write, "writing");
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const std::uint64_t bytes = sequence.objects[i].bytes;
    if (i > 0 && bytes == sequence.objects[i - 1].bytes) {
      costs[i] = costs[i - 1];
      continue;
    }
    costs[i] = {options.speed.busy(Direction::kRead, bytes), options.speed.latency(Direction::kRead, bytes),
                options.speed.busy(Direction::kWrite, bytes), options.speed.latency(Direction::kWrite, bytes)};
  }
  return costs;
}

}  // namespace hearth::memory
