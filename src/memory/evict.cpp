#include "memory/evict.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "memory/index_set.h"
#include "memory/tier_load.h"

namespace hearth::memory {
namespace {

/// A gap to give up, named by the use that ends it.
struct Victim {
  std::uint32_t end = kNoUse;
  After how = After::kEvict;
  double price = std::numeric_limits<double>::infinity();  // seconds for each byte and use of the gap that is left
};

/// Octave of the seconds that recomputing one byte takes; within one, gaps differ by their length.
int price_class(const PlannedObject& object) {
  const double seconds = object.recompute_seconds / static_cast<double>(object.bytes);
  return seconds > 0 ? std::clamp(std::ilogb(seconds), -60, 0) : -60;
}

class Sweep {
 public:
  Sweep(const Timeline& timeline, const std::vector<TransferCost>& costs, const EvictionRules& rules);
  std::vector<After> run();

 private:
  void promise(std::uint32_t due, double seconds);
  void begin_gap(std::uint32_t use);
  void end_gap(std::uint32_t end);
  bool needs_write(std::uint32_t use) const {
    return timeline_.change[use] != kNoUse && !written_[timeline_.change[use]];
  }
  double transfer_seconds(std::uint32_t use) const;
  void consider(Victim& best, const IndexSet& set, After how) const;
  Victim choose() const;
  void give_up(const Victim& victim);

  const Timeline& timeline_;
  const std::vector<TransferCost>& costs_;
  const EvictionRules& rules_;
  const bool limited_;
  TierLoad load_;
  // The gaps that are kept, by the use that ends them: unchanged or not on the tier yet; those whose fetch finds time
  // on the tier; those that can be recomputed, by price.
  IndexSet clean_, dirty_, open_clean_, open_dirty_;
  std::map<int, IndexSet> recomputable_;
  std::vector<char> kept_;     // by ending use
  std::vector<char> written_;  // by changing use: an eviction has caused it to be written
  std::vector<After> after_;
  std::uint64_t bytes_ = 0;  // of the kept gaps
  std::uint32_t now_ = 0;
};

Sweep::Sweep(const Timeline& timeline, const std::vector<TransferCost>& costs, const EvictionRules& rules)
    : timeline_(timeline),
      costs_(costs),
      rules_(rules),
      limited_(!rules.room.empty()),
      load_(rules.room, rules.window),
      clean_(timeline.uses()),
      dirty_(timeline.uses()),
      open_clean_(limited_ ? timeline.uses() : 0),
      open_dirty_(limited_ ? timeline.uses() : 0),
      kept_(timeline.uses(), false),
      written_(timeline.uses(), false),
      after_(timeline.uses(), After::kKeep) {
  if (timeline.tier && !rules.recompute) return;
  for (const PlannedObject& object : timeline.sequence.objects) {
    if (object.recompute_seconds != kNever) recomputable_.try_emplace(price_class(object), timeline.uses());
  }
}

std::vector<After> Sweep::run() {
  for (std::uint32_t use = 0; use < timeline_.uses(); ++use) {
    if (timeline_.next[use] == kNoUse) after_[use] = After::kDead;
    if (timeline_.previous[use] == kNoUse && timeline_.first_fetch(use))
      promise(use, costs_[timeline_.sequence.uses[use].object].read_busy);
  }
  for (now_ = 0; now_ < timeline_.uses(); ++now_) {
    if (kept_[now_]) end_gap(now_);
    if (now_ > 0) {
      for (std::uint32_t i = timeline_.released_at[now_ - 1]; i < timeline_.released_at[now_]; ++i)
        if (timeline_.can_drop(timeline_.released[i])) begin_gap(timeline_.released[i]);
    }
    while (bytes_ > 0 && bytes_ + timeline_.required[now_] > rules_.budget) give_up(choose());
  }
  return std::move(after_);
}

void Sweep::promise(std::uint32_t due, double seconds) {
  if (!limited_) return;
  load_.promise(rules_.bucket[due], seconds, [&](std::uint32_t closed) {
    const std::uint32_t begin = rules_.bucket_begin[closed], end = rules_.bucket_begin[closed + 1];
    for (IndexSet* set : {&open_clean_, &open_dirty_}) {
      for (std::uint32_t use = end; (use = set->last_before(use)) != IndexSet::kNone && use >= begin;) set->erase(use);
    }
  });
}

void Sweep::begin_gap(std::uint32_t use) {
  const std::uint32_t end = timeline_.next[use];
  kept_[end] = true;
  bytes_ += timeline_.object(use).bytes;
  if (timeline_.tier) {
    (needs_write(use) ? dirty_ : clean_).insert(end);
    if (limited_ && load_.open(rules_.bucket[end])) (needs_write(use) ? open_dirty_ : open_clean_).insert(end);
  }
  if (!recomputable_.empty() && timeline_.can_recompute(use))
    recomputable_.at(price_class(timeline_.object(use))).insert(end);
}

void Sweep::end_gap(std::uint32_t end) {
  const std::uint32_t use = timeline_.previous[end];
  kept_[end] = false;
  bytes_ -= timeline_.object(use).bytes;
  if (timeline_.tier) {
    (needs_write(use) ? dirty_ : clean_).erase(end);
    if (limited_) (needs_write(use) ? open_dirty_ : open_clean_).erase(end);
  }
  if (!recomputable_.empty() && timeline_.can_recompute(use))
    recomputable_.at(price_class(timeline_.object(use))).erase(end);
}

double Sweep::transfer_seconds(std::uint32_t use) const {
  const TransferCost& cost = costs_[timeline_.sequence.uses[use].object];
  return needs_write(use) ? cost.read_busy + cost.write_busy : cost.read_busy;
}

void Sweep::consider(Victim& best, const IndexSet& set, After how) const {
  const std::uint32_t end = set.last_before(timeline_.uses());
  if (end == IndexSet::kNone) return;
  const std::uint32_t use = timeline_.previous[end];
  const PlannedObject& object = timeline_.object(use);
  const double seconds = how == After::kEvict ? transfer_seconds(use) : object.recompute_seconds;
  const double price = seconds / (static_cast<double>(object.bytes) * (end - now_));
  if (best.end == kNoUse || price < best.price) best = {end, how, price};
}

Victim Sweep::choose() const {
  Victim best;
  if (limited_) {
    consider(best, open_clean_, After::kEvict);
    consider(best, open_dirty_, After::kEvict);
    if (best.end != kNoUse) return best;
  }
  consider(best, clean_, After::kEvict);
  consider(best, dirty_, After::kEvict);
  for (const auto& [price, set] : recomputable_) consider(best, set, After::kRecompute);
  return best;
}

void Sweep::give_up(const Victim& victim) {
  const std::uint32_t use = timeline_.previous[victim.end];
  end_gap(victim.end);
  after_[use] = victim.how;
  if (victim.how == After::kRecompute) return;
  const TransferCost& cost = costs_[timeline_.sequence.uses[use].object];
  promise(victim.end, cost.read_busy);
  if (!needs_write(use)) return;
  promise(now_, cost.write_busy);
  written_[timeline_.change[use]] = true;
}

}  // namespace

std::vector<After> choose_gaps(const Timeline& timeline, const std::vector<TransferCost>& costs,
                               const EvictionRules& rules) {
  return Sweep(timeline, costs, rules).run();
}

std::uint64_t read_bound(const Timeline& timeline, std::uint64_t capacity) {
  IndexSet kept(timeline.uses());
  std::vector<std::uint64_t> share(timeline.uses(), 0);  // bytes that stay, by the use that ends the gap
  std::uint64_t bytes = 0, read = 0;
  for (std::uint32_t now = 0; now < timeline.uses(); ++now) {
    bytes -= share[now];
    kept.erase(now);
    if (now > 0) {
      for (std::uint32_t i = timeline.released_at[now - 1]; i < timeline.released_at[now]; ++i) {
        const std::uint32_t use = timeline.released[i];
        if (!timeline.has_gap(use)) continue;
        kept.insert(timeline.next[use]);
        bytes += share[timeline.next[use]] = timeline.object(use).bytes;
      }
    }
    while (bytes > 0 && bytes + timeline.required[now] > capacity) {
      const std::uint32_t end = kept.last_before(timeline.uses());
      const std::uint64_t part = std::min(share[end], bytes + timeline.required[now] - capacity);
      bytes -= part;
      read += part;
      share[end] -= part;
      if (share[end] == 0) kept.erase(end);
    }
  }
  return read;
}

}  // namespace hearth::memory
