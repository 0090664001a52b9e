#include "memory/replay.h"

#include <algorithm>
#include <array>
#include <queue>

namespace hearth::memory {
namespace {

/// A tier that is busy with one transfer at a time.
class Server {
 public:
  /// When a transfer ends that is asked for at `time`.
  double transfer(double time, double busy, double latency) {
    double& slot = ends_[count_++ % kInFlight];
    const double start = std::max(time, slot);  // the transfer this many before has ended
    free_ = std::max(free_, start) + busy;
    return slot = std::max(free_, start + latency);
  }

 private:
  std::array<double, kInFlight> ends_{};
  std::size_t count_ = 0;
  double free_ = 0;
};

/// Memory that has been given up but is still being written from.
class Lingering {
 public:
  void add(double end, std::uint64_t bytes) {
    ends_.push({end, bytes});
    bytes_ += bytes;
  }
  /// The time, not before `time`, at which at most `allowed` bytes linger.
  double wait(double time, std::uint64_t allowed) {
    while (!ends_.empty() && (bytes_ > allowed || ends_.top().first <= time)) {
      time = std::max(time, ends_.top().first);
      bytes_ -= ends_.top().second;
      ends_.pop();
    }
    return time;
  }

 private:
  using Entry = std::pair<double, std::uint64_t>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ends_;
  std::uint64_t bytes_ = 0;
};

class Replay {
 public:
  Replay(const Timeline& timeline, const std::vector<TransferCost>& costs, const std::vector<After>& after,
         const Schedule& schedule, std::uint64_t capacity)
      : timeline_(timeline),
        costs_(costs),
        after_(after),
        schedule_(schedule),
        capacity_(capacity),
        write_end_(schedule.writes.empty() ? 0 : timeline.uses(), 0) {
    for (const std::uint32_t use : schedule.writes) write_end_[use] = kPending;
  }

  ReplayedTime run() {
    ReplayedTime out;
    for (std::uint32_t use = 0; use < timeline_.uses(); ++use) {
      if (use > 0) release(use - 1);
      start_fetches(use);
      const double ready = lingering_.wait(std::max(time_, arrival(use)), capacity_ - schedule_.occupied[use]);
      out.wait_seconds += ready - time_;
      const double again = recompute_seconds(use);
      out.recompute_seconds += again;
      time_ = ready + again + timeline_.sequence.uses[use].seconds;
    }
    out.seconds = time_;
    return out;
  }

 private:
  static constexpr double kPending = -1;

  const TransferCost& cost(std::uint32_t use) const { return costs_[timeline_.sequence.uses[use].object]; }

  /// What was pinned up to `use` is written, then given up.
  void release(std::uint32_t use) {
    for (std::uint32_t i = timeline_.released_at[use]; i < timeline_.released_at[use + 1]; ++i) {
      const std::uint32_t freed = timeline_.released[i];
      const std::uint32_t change = timeline_.change[freed];
      if (write_end_.empty() || change == kNoUse) continue;
      double& end = write_end_[change];
      if (end == kPending) end = server_.transfer(time_, cost(freed).write_busy, cost(freed).write_latency);
      if (after_[freed] == After::kEvict && end > time_) lingering_.add(end, timeline_.object(freed).bytes);
    }
  }

  void start_fetches(std::uint32_t now) {
    for (; started_ < schedule_.fetches.size() && schedule_.fetch_from[started_] <= now; ++started_) {
      const std::uint32_t use = schedule_.fetches[started_];
      fetch_time_ = lingering_.wait(std::max(fetch_time_, time_), capacity_ - schedule_.occupied[now]);
      arrivals_.push(server_.transfer(fetch_time_, cost(use).read_busy, cost(use).read_latency));
    }
  }

  /// When the object that a use needs has been fetched; 0 if it need not be.
  double arrival(std::uint32_t use) {
    if (arrived_ == schedule_.fetches.size() || schedule_.fetches[arrived_] != use) return 0;
    ++arrived_;
    const double end = arrivals_.front();
    arrivals_.pop();
    return end;
  }

  double recompute_seconds(std::uint32_t use) const {
    const std::uint32_t before = timeline_.previous[use];
    const bool again = before != kNoUse
                           ? after_[before] == After::kRecompute
                           : !timeline_.tier && !timeline_.object(use).created && !timeline_.there_from_start(use);
    return again ? timeline_.object(use).recompute_seconds : 0;
  }

  const Timeline& timeline_;
  const std::vector<TransferCost>& costs_;
  const std::vector<After>& after_;
  const Schedule& schedule_;
  std::uint64_t capacity_;
  std::vector<double> write_end_;  // by changing use; 0: not written, kPending: not yet
  Server server_;
  Lingering lingering_;
  std::queue<double> arrivals_;  // of the fetches from arrived_ to started_
  std::size_t started_ = 0, arrived_ = 0;
  double time_ = 0, fetch_time_ = 0;
};

}  // namespace

ReplayedTime replay(const Timeline& timeline, const std::vector<TransferCost>& costs, const std::vector<After>& after,
                    const Schedule& schedule, std::uint64_t capacity) {
  return Replay(timeline, costs, after, schedule, capacity).run();
}

}  // namespace hearth::memory
