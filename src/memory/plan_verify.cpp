#include "base/error.h"
#include "memory/prefetch.h"
#include "memory/timeline.h"

namespace hearth::memory {
namespace {

/// Checks the parts of a plan one after the other; later ones rely on earlier ones.
class Verification {
 public:
  Verification(const Timeline& timeline, const PlanOptions& options, const Plan& plan)
      : timeline_(timeline), options_(options), plan_(plan) {}

  void run() const {
    check_after();
    check_fetches();
    check_writes();
    check_bytes();
  }

 private:
  template <typename... Args>
  static void expect(bool holds, fmt::format_string<Args...> format, Args&&... args) {
    require(holds, ErrorKind::kInternal, "the residency plan is wrong: {}",
            fmt::format(format, std::forward<Args>(args)...));
  }

  void check_after() const {
    expect(plan_.after.size() == timeline_.uses(), "it is for {} uses; expected {}", plan_.after.size(),
           timeline_.uses());
    for (std::uint32_t use = 0; use < timeline_.uses(); ++use) check_after(use);
  }

  void check_after(std::uint32_t use) const {
    const After after = plan_.after[use];
    expect((after == After::kDead) == (timeline_.next[use] == kNoUse), "use {} {} the last of its object", use,
           after == After::kDead ? "is not" : "is");
    if (after == After::kKeep || after == After::kDead) return;
    expect(timeline_.has_gap(use), "after use {} its object is given up, but is still in use", use);
    if (after == After::kEvict) expect(timeline_.tier, "after use {} its object is evicted, but there is no tier", use);
    if (after == After::kRecompute)
      expect(timeline_.can_recompute(use), "after use {} its object is dropped, but cannot be recomputed", use);
  }

  bool needs_fetch(std::uint32_t use) const {
    const std::uint32_t before = timeline_.previous[use];
    return before == kNoUse ? timeline_.first_fetch(use) : plan_.after[before] == After::kEvict;
  }

  void check_fetches() const {
    expect(plan_.fetch_from.size() == plan_.fetches.size(), "{} fetches start at {} places", plan_.fetches.size(),
           plan_.fetch_from.size());
    std::size_t fetch = 0;
    std::uint32_t latest = 0;
    for (std::uint32_t use = 0; use < timeline_.uses(); ++use) {
      if (!needs_fetch(use)) continue;
      expect(fetch < plan_.fetches.size() && plan_.fetches[fetch] == use, "use {} lacks its fetch at place {}", use,
             fetch);
      const std::uint32_t from = plan_.fetch_from[fetch++], before = timeline_.previous[use];
      expect(from <= use && from >= latest, "the fetch for use {} starts at {}; expected {} to {}", use, from, latest,
             use);
      expect(before == kNoUse || from > timeline_.hold[before],
             "the fetch for use {} starts at {}, when the object is still there", use, from);
      latest = from;
    }
    expect(fetch == plan_.fetches.size(), "{} fetches; expected {}", plan_.fetches.size(), fetch);
  }

  void check_writes() const {
    std::vector<std::uint32_t> written(timeline_.uses(), kNoUse);  // by changing use
    std::uint32_t least = 0;
    for (const std::uint32_t use : plan_.writes) {
      expect(use >= least && use < timeline_.uses(), "a write after use {}; expected {} to {}", use, least,
             timeline_.uses());
      expect(timeline_.tier && timeline_.change[use] != kNoUse, "after use {} there is nothing to write", use);
      least = use + 1;
      if (written[timeline_.change[use]] == kNoUse) written[timeline_.change[use]] = use;
    }
    for (std::uint32_t use = 0; use < timeline_.uses(); ++use) {
      if (plan_.after[use] != After::kEvict || timeline_.change[use] == kNoUse) continue;
      expect(written[timeline_.change[use]] <= use, "after use {} its object is evicted, but the tier has no copy",
             use);
    }
  }

  void check_bytes() const {
    Schedule schedule{plan_.fetches, plan_.fetch_from, plan_.writes, {}};
    schedule.occupied = occupied_bytes(timeline_, plan_.after, schedule);
    for (std::uint32_t use = 0; use < timeline_.uses(); ++use) {
      expect(schedule.occupied[use] <= options_.capacity, "at use {} there are {} bytes; expected {} or less", use,
             schedule.occupied[use], options_.capacity);
    }
    const TransferredBytes bytes = transferred_bytes(timeline_, schedule);
    const PlanFigures& figures = plan_.figures;
    expect(figures.peak_bytes == greatest(schedule.occupied) && figures.read_bytes == bytes.read &&
               figures.first_read_bytes == bytes.first_read && figures.written_bytes == bytes.written,
           "its figures are not its own");
  }

  const Timeline& timeline_;
  const PlanOptions& options_;
  const Plan& plan_;
};

}  // namespace

void verify(const AccessSequence& sequence, const PlanOptions& options, const Plan& plan) {
  check(sequence);
  const Timeline timeline(sequence, options.tier);
  Verification(timeline, options, plan).run();
}

}  // namespace hearth::memory
