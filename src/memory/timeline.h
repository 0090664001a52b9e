#pragma once

#include <cstdint>
#include <vector>

#include "memory/plan.h"

namespace hearth::memory {

inline constexpr std::uint32_t kNoUse = ~std::uint32_t{0};

/// Throws Error(kInvalidArgument) naming the first use or object of a sequence that makes no sense.
void check(const AccessSequence& sequence);

/// What follows from an access sequence alone. The gap after a use is the time between its object's being unpinned and
/// the object's next use; it may be empty. Refers to the sequence, which must outlive it.
struct Timeline {
  /// The sequence must have passed check().
  Timeline(const AccessSequence& sequence, bool tier);

  std::uint32_t uses() const { return static_cast<std::uint32_t>(sequence.uses.size()); }
  const PlannedObject& object(std::uint32_t use) const { return sequence.objects[sequence.uses[use].object]; }
  bool has_gap(std::uint32_t use) const { return next[use] != kNoUse && next[use] > hold[use] + 1; }
  /// Nothing after the object's creation has changed it.
  bool can_recompute(std::uint32_t use) const;
  /// Giving the object up in the gap after a use is possible at all.
  bool can_drop(std::uint32_t use) const { return has_gap(use) && (tier || can_recompute(use)); }
  /// Of a first use: the object is in DRAM before the program begins.
  bool there_from_start(std::uint32_t use) const;
  /// Of a first use: the object is fetched for it.
  bool first_fetch(std::uint32_t use) const { return tier && !object(use).created; }

  const AccessSequence& sequence;
  bool tier;
  // By use.
  std::vector<std::uint32_t> next, previous;  ///< of the same object, or kNoUse
  std::vector<std::uint32_t> hold;            ///< the last use to whose end this one or an earlier one pins the object
  std::vector<std::uint32_t> change;  ///< the last use up to this one that changed the object; kNoUse: as on the tier
  std::vector<std::uint32_t> first_change;  ///< the first such use
  std::vector<std::uint64_t> required;      ///< bytes that no plan can do without during a use
  std::vector<double> begin;  ///< compute time at which a use begins if nothing ever waits; then the end of the last
  /// Uses by hold, ascending; those with hold h are the ones from released_at[h] to released_at[h + 1].
  std::vector<std::uint32_t> released, released_at;

 private:
  void link();
  void require_bytes();
  void sort_by_hold();
};

}  // namespace hearth::memory
