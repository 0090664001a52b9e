#include "memory/timeline.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace hearth::memory {
namespace {

void check(const PlannedObject& object, std::size_t index) {
  require(object.bytes > 0 && object.bytes >> 48 == 0, ErrorKind::kInvalidArgument,
          "object {} of the access sequence has {} bytes; expected 1 to 2^48", index, object.bytes);
  require(object.recompute_seconds >= 0, ErrorKind::kInvalidArgument,
          "object {} of the access sequence is recomputed in {} s; expected 0 or more", index,
          object.recompute_seconds);
}

}  // namespace

void check(const AccessSequence& sequence) {
  const std::size_t uses = sequence.uses.size();
  require(uses < kNoUse / 16, ErrorKind::kInvalidArgument, "an access sequence of {} uses; expected less than 2^28",
          uses);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < sequence.objects.size(); ++i) {
    check(sequence.objects[i], i);
    bytes += sequence.objects[i].bytes;
    require(bytes >> 60 == 0, ErrorKind::kInvalidArgument,
            "the objects of the access sequence have 2^60 bytes or more");
  }
  for (std::size_t i = 0; i < uses; ++i) {
    const Use& use = sequence.uses[i];
    require(use.object < sequence.objects.size(), ErrorKind::kInvalidArgument,
            "use {} is of object {}; expected less than {}", i, use.object, sequence.objects.size());
    require(use.last >= i && use.last < uses, ErrorKind::kInvalidArgument,
            "use {} pins to the end of use {}; expected {} to {}", i, use.last, i, uses - 1);
    require(use.seconds >= 0 && std::isfinite(use.seconds), ErrorKind::kInvalidArgument,
            "use {} takes {} s; expected 0 or more", i, use.seconds);
    require(use.beside >> 60 == 0, ErrorKind::kInvalidArgument,
            "use {} leaves {} bytes to something else; expected less than 2^60", i, use.beside);
  }
}

Timeline::Timeline(const AccessSequence& sequence_, bool tier_) : sequence(sequence_), tier(tier_) {
  link();
  require_bytes();
  sort_by_hold();
}

bool Timeline::can_recompute(std::uint32_t use) const {
  if (object(use).recompute_seconds == kNever) return false;
  return change[use] == kNoUse || (object(use).created && change[use] == first_change[use]);
}

bool Timeline::there_from_start(std::uint32_t use) const {
  return !tier && !object(use).created && object(use).recompute_seconds == kNever;
}

void Timeline::link() {
  const std::uint32_t n = uses();
  next.assign(n, kNoUse);
  previous.assign(n, kNoUse);
  hold.resize(n);
  change.assign(n, kNoUse);
  first_change.assign(n, kNoUse);
  begin.assign(n + 1, 0);
  std::vector<std::uint32_t> latest(sequence.objects.size(), kNoUse);
  for (std::uint32_t i = 0; i < n; ++i) {
    const Use& use = sequence.uses[i];
    const std::uint32_t before = latest[use.object];
    latest[use.object] = i;
    previous[i] = before;
    hold[i] = use.last;
    begin[i + 1] = begin[i] + use.seconds;
    if (before != kNoUse) {
      next[before] = i;
      hold[i] = std::max(use.last, hold[before]);
      change[i] = change[before];
      first_change[i] = first_change[before];
    }
    if (!use.writes && !(object(i).created && before == kNoUse)) continue;
    change[i] = i;
    if (first_change[i] == kNoUse) first_change[i] = i;
  }
}

void Timeline::require_bytes() {
  const std::uint32_t n = uses();
  std::vector<std::uint64_t> delta(n + 1, 0);  // modulo 2^64
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint64_t bytes = object(i).bytes;
    const std::uint32_t before = previous[i];
    std::uint32_t from = i;
    if (before == kNoUse && there_from_start(i)) from = 0;
    if (before != kNoUse && hold[before] >= i) from = hold[before] + 1;
    if (before != kNoUse && has_gap(before) && !can_drop(before)) from = hold[before] + 1;
    delta[from] += bytes;
    delta[hold[i] + 1] -= bytes;
  }
  required.resize(n);
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < n; ++i) required[i] = (bytes += delta[i]) + sequence.uses[i].beside;
}

void Timeline::sort_by_hold() {
  const std::uint32_t n = uses();
  released_at.assign(n + 1, 0);
  for (std::uint32_t i = 0; i < n; ++i) ++released_at[hold[i] + 1];
  for (std::uint32_t i = 0; i < n; ++i) released_at[i + 1] += released_at[i];
  std::vector<std::uint32_t> place(released_at);
  released.resize(n);
  for (std::uint32_t i = 0; i < n; ++i) released[place[hold[i]]++] = i;
}

}  // namespace hearth::memory
