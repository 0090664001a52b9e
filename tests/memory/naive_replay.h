#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "memory/plan.h"

namespace hearth::memory {

/// Executes a plan step by step on imaginary memory and says what goes wrong first; empty: nothing. Written from the
/// description of Plan alone, as plainly as possible, to be compared with verify().
class NaiveReplay {
 public:
  NaiveReplay(const AccessSequence& sequence, const PlanOptions& options, const Plan& plan)
      : sequence_(sequence), options_(options), plan_(plan), objects_(sequence.objects.size()) {
    for (std::size_t i = 0; i < objects_.size(); ++i) {
      const PlannedObject& object = sequence.objects[i];
      objects_[i].on_tier = options.tier && !object.created;
      if (!options.tier && !object.created && object.recompute_seconds == kNever && is_used(i)) bring(i);
    }
  }

  std::string run() {
    for (now_ = 0; now_ < sequence_.uses.size() && problem_.empty(); ++now_) {
      for (std::size_t i = 0; i < objects_.size(); ++i)
        if (now_ > 0 && objects_[i].used && objects_[i].pinned_to == now_ - 1) unpin(i);
      start_fetches();
      use(sequence_.uses[now_]);
      if (bytes_ + sequence_.uses[now_].beside > options_.capacity) fails("too many bytes");
    }
    if (fetch_ != plan_.fetches.size()) fails("fetches are left over");
    return problem_;
  }

 private:
  struct Object {
    bool in_memory = false, on_tier = false, used = false;
    bool recomputable = true;  // its last change was its creation
    std::size_t pinned_to = 0, last_use = 0, last_change = 0;
  };

  bool is_used(std::size_t object) const {
    return std::ranges::any_of(sequence_.uses, [&](const Use& use) { return use.object == object; });
  }
  bool is_used_later(std::size_t object) const {
    return std::any_of(sequence_.uses.begin() + static_cast<std::ptrdiff_t>(now_), sequence_.uses.end(),
                       [&](const Use& use) { return use.object == object; });
  }
  void fails(const std::string& problem) {
    if (problem_.empty()) problem_ = problem + " at " + std::to_string(now_);
  }
  void bring(std::size_t object) {
    if (objects_[object].in_memory) fails("object is there twice");
    objects_[object].in_memory = true;
    bytes_ += sequence_.objects[object].bytes;
  }
  void drop(std::size_t object) {
    objects_[object].in_memory = false;
    bytes_ -= sequence_.objects[object].bytes;
  }

  void unpin(std::size_t index) {
    Object& object = objects_[index];
    for (const std::uint32_t use : plan_.writes) {
      if (sequence_.uses[use].object == index && use >= object.last_change && use <= object.last_use)
        object.on_tier = true;
    }
    const After after = plan_.after[object.last_use];
    if (after == After::kKeep) return;
    if (after == After::kEvict && !object.on_tier) fails("the last copy is given up");
    if (after == After::kDead && is_used_later(index)) fails("a dead object is used again");
    drop(index);
  }

  void start_fetches() {
    for (; fetch_ < plan_.fetches.size() && plan_.fetch_from[fetch_] <= now_; ++fetch_) {
      const std::size_t object = sequence_.uses[plan_.fetches[fetch_]].object;
      if (!objects_[object].on_tier) fails("nothing to fetch");
      if (objects_[object].used && plan_.after[objects_[object].last_use] != After::kEvict) fails("needless fetch");
      bring(object);
    }
  }

  void use(const Use& use) {
    Object& object = objects_[use.object];
    const PlannedObject& planned = sequence_.objects[use.object];
    const bool creates = planned.created && !object.used;
    if (!object.in_memory) {
      const bool dropped = object.used ? plan_.after[object.last_use] == After::kRecompute : !options_.tier;
      const bool anew = dropped && object.recomputable && planned.recompute_seconds != kNever;
      if (!creates && !anew) fails("a use of what is not there");
      bring(use.object);
    }
    if (use.writes || creates) {
      object.recomputable = creates;
      object.on_tier = false;
      object.last_change = now_;
    }
    object.pinned_to = std::max<std::size_t>(object.pinned_to, use.last);
    object.last_use = now_;
    object.used = true;
  }

  const AccessSequence& sequence_;
  const PlanOptions& options_;
  const Plan& plan_;
  std::vector<Object> objects_;
  std::uint64_t bytes_ = 0;
  std::size_t now_ = 0, fetch_ = 0;
  std::string problem_;
};

inline std::string naive_replay(const AccessSequence& sequence, const PlanOptions& options, const Plan& plan) {
  return NaiveReplay(sequence, options, plan).run();
}

}  // namespace hearth::memory
