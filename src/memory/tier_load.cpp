#include "memory/tier_load.h"

#include <algorithm>
#include <numeric>

namespace hearth::memory {

TierLoad::TierLoad(const std::vector<double>& room, std::uint32_t window)
    : room_(room.size() + 1, 0),
      parent_(room.size() + 1),
      top_(room.size() + 1),
      open_(room.size() + 1, true),
      window_(window) {
  std::ranges::copy(room, room_.begin() + 1);
  std::iota(parent_.begin(), parent_.end(), 0U);
  std::iota(top_.begin(), top_.end(), 0U);
}

std::uint32_t TierLoad::find(std::uint32_t bucket) {
  while (parent_[bucket] != bucket) {
    parent_[bucket] = parent_[parent_[bucket]];
    bucket = parent_[bucket];
  }
  return bucket;
}

void TierLoad::fill(std::uint32_t bucket, const std::function<void(std::uint32_t)>& closed) {
  const std::uint32_t root = find(bucket - 1);
  parent_[bucket] = root;
  top_[root] = top_[bucket];
  const std::uint32_t first = root == 0 ? bucket : std::max(bucket, root + window_ + 1);
  for (std::uint32_t i = first; i <= top_[bucket] && i <= bucket + window_; ++i) {
    open_[i] = false;
    closed(i - 1);
  }
}

void TierLoad::promise(std::uint32_t bucket, double seconds, const std::function<void(std::uint32_t)>& closed) {
  for (std::uint32_t at = find(bucket + 1); at != 0; at = find(at)) {
    if (room_[at] > seconds) {
      room_[at] -= seconds;
      return;
    }
    seconds -= std::max(room_[at], 0.0);
    fill(at, closed);
  }
}

}  // namespace hearth::memory
