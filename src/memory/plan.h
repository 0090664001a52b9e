#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "memory/tier_speed.h"

namespace hearth::memory {

/// Classes of large objects, for accounting.
enum class ObjectClass : std::uint8_t { kEvaluationKey, kPlaintext, kCiphertext, kWeights };
inline constexpr std::size_t kObjectClasses = 4;
const char* to_string(ObjectClass kind);

/// A recomputation that is impossible.
inline constexpr double kNever = std::numeric_limits<double>::infinity();

struct PlannedObject {
  std::uint64_t bytes = 0;
  ObjectClass kind = ObjectClass::kEvaluationKey;
  /// Comes into being in DRAM with its first use, which writes it; else it lies on the tier from the start. (Where
  /// there is no tier: in DRAM from the start, or it is made at its first use if it can be recomputed.)
  bool created = false;
  /// Compute time of making it anew once it has been dropped; kNever: it can only be fetched. What a use after the
  /// first has written cannot be made anew.
  double recompute_seconds = kNever;
};

/// One access. While a use lasts its object is pinned.
struct Use {
  std::uint32_t object = 0;
  double seconds = 0;      ///< predicted compute time between the beginnings of this use and the next
  std::uint32_t last = 0;  ///< pinned to the end of this use, an index into the sequence; itself for most
  bool writes = false;     ///< changes the object: a copy on the tier is stale from here on
  std::uint64_t beside = 0;  ///< of the capacity that something else takes from this use to the next
};

/// What a program does to its large objects, in the order in which it does it. Data-oblivious: known before it runs.
struct AccessSequence {
  std::vector<PlannedObject> objects;
  std::vector<Use> uses;
};

struct PlanOptions {
  std::uint64_t capacity = 0;  ///< bytes of DRAM for these objects
  TierSpeed speed;
  bool tier = true;  ///< without one, nothing can be fetched or written
  /// Of computing that a byte costs that is fetched or written: submission, interrupts, checksums. Weighed in the
  /// choice of plans; not part of their predicted times.
  double moving_seconds = 0;
};

/// What becomes of an object's DRAM when a use of it has ended.
enum class After : std::uint8_t {
  kKeep,       ///< stays until its next use
  kEvict,      ///< given up; fetched for its next use (written out before if the tier has no current copy)
  kRecompute,  ///< given up; made anew at its next use
  kDead        ///< no use follows
};
const char* to_string(After after);

struct PlanFigures {
  std::uint64_t read_bytes = 0, written_bytes = 0;
  std::uint64_t first_read_bytes = 0;  ///< of read_bytes: first loads, which no capacity could avoid
  /// No plan of this capacity that never recomputes moves less (reads, without the first loads). 0 without a tier.
  std::uint64_t bound_bytes = 0;
  double compute_seconds = 0, recompute_seconds = 0;
  double wait_seconds = 0;  ///< predicted time in which a use waits for its fetch
  double seconds = 0;       ///< predicted total
  std::uint64_t peak_bytes = 0;  ///< of the capacity, Use::beside included
};

/// Residency of every object at every time. Plain data: equal inputs give equal plans.
///
/// An object is held from the use that its memory was granted for to the end of the last use that pins it: what is said
/// "after use u" happens when every use up to uses[u].last has ended, and the last of those that are pinned together
/// decides. The bytes of a plan count by position in the sequence: at position q lie those that are kept from a use
/// before q to one after it, those pinned at q, and those fetched for a use after q from the position in fetch_from on.
/// Never are these more than the capacity. An executor that starts a fetch only when all uses before fetch_from have
/// ended and the memory is there, in order, can therefore not get stuck, whatever time anything takes.
struct Plan {
  std::vector<After> after;            ///< by use
  std::vector<std::uint32_t> fetches;  ///< uses for which the object is fetched, in the order in which fetches start
  /// By fetch, ascending: it starts when every use before this one has ended, or later. At most its own use.
  std::vector<std::uint32_t> fetch_from;
  std::vector<std::uint32_t> writes;  ///< uses after which the object is written to the tier, ascending
  PlanFigures figures;
};

/// Smallest capacity that a plan is possible for. Without a tier: everything that can be neither fetched nor recomputed
/// stays.
std::uint64_t smallest_capacity(const AccessSequence& sequence, bool tier = true);

/// Chooses keep, evict or recompute for every gap between uses. Error(kResource) naming smallest_capacity() below it,
/// Error(kInvalidArgument) for a malformed sequence. Time O(uses * log(objects)), roughly.
Plan make_plan(const AccessSequence& sequence, const PlanOptions& options);

/// Throws Error(kInternal) saying what is wrong unless the plan is one for this sequence that never exceeds the
/// capacity, never lets a use begin before its object is there, and writes every changed object before giving up the
/// last current copy.
void verify(const AccessSequence& sequence, const PlanOptions& options, const Plan& plan);

/// One line a use, for people and golden files.
std::string print(const AccessSequence& sequence, const Plan& plan);

}  // namespace hearth::memory
