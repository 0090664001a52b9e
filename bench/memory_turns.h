#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "bench/memory_runs.h"

// Whole runs one after the other say little about a few percent: the speed of a shared machine changes by 20 % within
// half a minute. Here runs of all kinds are there at once, one of them goes on while the others are stopped, and so all
// see the same machine.
namespace hearth::bench {

/// Runs of several kinds that take turns. The first of a kind that has not been run yet gives its other figures too.
/// What a run takes is its time without that in which it was stopped. Transfers that are in flight when it is stopped
/// end meanwhile, some MiB in every turn.
class Turns {
 public:
  Turns(Deployment& deployment, std::vector<Kind*> kinds) : deployment_(deployment) {
    for (Kind* kind : kinds) runs_.push_back({kind, fmt::format("turns-{}", runs_.size()), nullptr, {}});
  }

  /// Until every kind has ended `count` runs. Kinds that are faster begin another one, so that there are always all.
  void run(int count) {
    while (std::ranges::any_of(runs_,
                               [&](const Run& r) { return r.kind->turns.size() < static_cast<std::size_t>(count); })) {
      for (Run& r : runs_) turn(r);
    }
  }

 private:
  static constexpr double kTurn = 1;  // seconds

  struct Run {
    Kind* kind;
    std::string name;  ///< of its output, and the beginning of those of other files
    std::unique_ptr<cli::ChildProcess> process;
    std::vector<std::pair<double, double>> stops;  ///< from, to; Unix time
  };

  static double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  }

  void turn(Run& r) {
    if (r.process == nullptr) {
      std::vector<std::string> shell{"-c", "exec \"$@\" >\"$0.json\" 2>\"$0.errors\"", deployment_.folder_ / r.name};
      const std::vector<std::string> arguments = deployment_.arguments_of(*r.kind, r.name);
      shell.insert(shell.end(), arguments.begin(), arguments.end());
      r.process = std::make_unique<cli::ChildProcess>("/bin/sh", shell);
      r.stops.clear();
    } else {
      r.stops.back().second = now();
      r.process->send(SIGCONT);
    }
    const double end = now() + kTurn;
    while (!r.process->ended() && now() < end) {
      deployment_.interrupts_.check();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    if (r.process->ended()) return finish(r);
    const double stopped = now();
    r.process->send(SIGSTOP);
    r.stops.emplace_back(stopped, stopped);
  }

  void finish(Run& r) {
    const int code = r.process->finish().exit_code;
    r.process.reset();
    const std::string file = deployment_.folder_ / r.name;
    require(code == 0, ErrorKind::kInternal, "{}: hearth-run ended with exit code {}: {}", r.kind->name, code,
            read_text(file + ".errors"));
    const Json json = Json::parse(read_text(file + ".json"));
    const double from = number(json, "started"), to = from + number(json, "run_seconds");
    double seconds = to - from;
    for (const auto& [stop, go] : r.stops) seconds -= std::max(0.0, std::min(go, to) - std::max(stop, from));
    deployment_.compare(*r.kind, r.name);
    r.kind->turns.push_back(seconds);
    if (r.kind->samples.empty()) r.kind->samples.push_back(Deployment::sample_of(json, seconds, seconds));
    fmt::print(stderr, "in turns: {}: {:.2f} s\n", r.kind->name, seconds);
  }

  Deployment& deployment_;
  std::vector<Run> runs_;
};

}  // namespace hearth::bench
