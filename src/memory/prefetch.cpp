#include "memory/prefetch.h"

#include <algorithm>
#include <deque>

namespace hearth::memory {
namespace {

/// The positions from which the next fetch may start up to the present, with the bytes that lie there. Of the positions
/// only those are remembered that are fuller than all after them.
class Window {
 public:
  explicit Window(std::uint64_t capacity) : capacity_(capacity) {}

  void push(std::uint32_t position, std::uint64_t bytes) {
    while (!peaks_.empty() && peaks_.back().bytes + added_ <= bytes) peaks_.pop_back();
    peaks_.push_back({position, bytes - added_});
    end_ = position + 1;
  }

  /// Finds the first position from which on `bytes` more fit everywhere, not before `earliest` nor before the last
  /// answer, and adds them from there on.
  std::uint32_t add(std::uint64_t bytes, std::uint32_t earliest) {
    from_ = std::max(from_, earliest);
    while (!peaks_.empty() && (peaks_.front().position < from_ || peaks_.front().bytes + added_ + bytes > capacity_)) {
      from_ = std::max(from_, peaks_.front().position + 1);
      peaks_.pop_front();
    }
    added_ += bytes;
    return std::min(from_, end_);
  }

 private:
  struct Peak {
    std::uint32_t position = 0;
    std::uint64_t bytes = 0;  // less what had been added before, modulo 2^64
  };
  std::uint64_t capacity_;
  std::deque<Peak> peaks_;
  std::uint64_t added_ = 0;
  std::uint32_t from_ = 0, end_ = 0;
};

bool fetched(const Timeline& timeline, const std::vector<After>& after, std::uint32_t use) {
  const std::uint32_t before = timeline.previous[use];
  return before == kNoUse ? timeline.first_fetch(use) : after[before] == After::kEvict;
}

std::vector<std::uint32_t> list_writes(const Timeline& timeline, const std::vector<After>& after) {
  std::vector<char> written(timeline.uses(), false);
  for (std::uint32_t use = 0; use < timeline.uses(); ++use)
    if (after[use] == After::kEvict && timeline.change[use] != kNoUse) written[timeline.change[use]] = true;
  std::vector<std::uint32_t> writes;
  for (std::uint32_t use = 0; use < timeline.uses(); ++use)
    if (written[use]) writes.push_back(use);
  return writes;
}

/// Bytes by position of what is required and what is kept.
std::vector<std::uint64_t> kept_bytes(const Timeline& timeline, const std::vector<After>& after) {
  std::vector<std::uint64_t> bytes(timeline.required);
  std::uint64_t kept = 0;
  for (std::uint32_t now = 0; now < timeline.uses(); ++now) {
    const std::uint32_t before = timeline.previous[now];
    if (before != kNoUse && timeline.can_drop(before) && after[before] == After::kKeep)
      kept -= timeline.object(now).bytes;
    if (now > 0) {
      for (std::uint32_t i = timeline.released_at[now - 1]; i < timeline.released_at[now]; ++i) {
        const std::uint32_t use = timeline.released[i];
        if (timeline.can_drop(use) && after[use] == After::kKeep) kept += timeline.object(use).bytes;
      }
    }
    bytes[now] += kept;
  }
  return bytes;
}

/// Adds what is fetched ahead to the bytes by position.
void add_fetched(std::vector<std::uint64_t>& bytes, const Timeline& timeline, const Schedule& schedule) {
  std::vector<std::uint64_t> delta(timeline.uses() + 1, 0);  // modulo 2^64
  for (std::size_t i = 0; i < schedule.fetches.size(); ++i) {
    delta[schedule.fetch_from[i]] += timeline.object(schedule.fetches[i]).bytes;
    delta[schedule.fetches[i]] -= timeline.object(schedule.fetches[i]).bytes;
  }
  std::uint64_t fetched_bytes = 0;
  for (std::uint32_t use = 0; use < timeline.uses(); ++use) bytes[use] += fetched_bytes += delta[use];
}

}  // namespace

Schedule schedule_transfers(const Timeline& timeline, const std::vector<After>& after, std::uint64_t capacity) {
  Schedule schedule;
  schedule.writes = list_writes(timeline, after);
  schedule.occupied = kept_bytes(timeline, after);
  Window window(capacity);
  for (std::uint32_t use = 0; use < timeline.uses(); ++use) {
    if (use > 0) window.push(use - 1, schedule.occupied[use - 1]);
    if (!fetched(timeline, after, use)) continue;
    const std::uint32_t before = timeline.previous[use];
    const std::uint32_t earliest = before == kNoUse ? 0 : timeline.hold[before] + 1;
    schedule.fetches.push_back(use);
    schedule.fetch_from.push_back(window.add(timeline.object(use).bytes, earliest));
  }
  add_fetched(schedule.occupied, timeline, schedule);
  return schedule;
}

std::vector<std::uint64_t> occupied_bytes(const Timeline& timeline, const std::vector<After>& after,
                                          const Schedule& schedule) {
  std::vector<std::uint64_t> bytes = kept_bytes(timeline, after);
  add_fetched(bytes, timeline, schedule);
  return bytes;
}

TransferredBytes transferred_bytes(const Timeline& timeline, const Schedule& schedule) {
  TransferredBytes out;
  for (const std::uint32_t use : schedule.fetches) {
    const std::uint64_t bytes = timeline.object(use).bytes;
    out.read += bytes;
    if (timeline.previous[use] == kNoUse) out.first_read += bytes;
  }
  for (const std::uint32_t use : schedule.writes) out.written += timeline.object(use).bytes;
  return out;
}

std::uint64_t greatest(const std::vector<std::uint64_t>& bytes) {
  return bytes.empty() ? 0 : *std::ranges::max_element(bytes);
}

}  // namespace hearth::memory
