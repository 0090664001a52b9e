#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ring/kernels/kernels.h"

namespace hearth::bench {

/// Times in microseconds of repeated runs of one thing.
struct Timing {
  double minimum = 0, median = 0;
};

/// Runs `body` a few times to warm up, then at least `repetitions` times, one time stamp pair each. For bodies of less
/// than a microsecond let one body do the thing `inner` times; results are per thing.
template <typename Body>
Timing measure(int repetitions, Body&& body, int inner = 1) {
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < std::max(1, repetitions / 10); ++i) body();
  std::vector<double> times(static_cast<std::size_t>(std::max(1, repetitions)));
  for (double& time : times) {
    const auto start = Clock::now();
    body();
    time = std::chrono::duration<double, std::micro>(Clock::now() - start).count() / inner;
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

/// Collects a benchmark's results; finish() prints them and writes them as JSON: a list of
/// {"name", "value", "unit", "command", "isa"}. Option: --json FILE, by default build/bench/<benchmark>.json below the
/// current folder; missing folders are made. Exits with a message and status 2 on other arguments.
class Report {
 public:
  Report(const std::string& benchmark, int argc, char** argv) : path_("build/bench/" + benchmark + ".json") {
    for (int i = 0; i < argc; ++i) command_ += (i ? " " : "") + std::string(argv[i]);
    for (int i = 1; i < argc; ++i) {
      if (std::string(argv[i]) == "--json" && i + 1 < argc) {
        path_ = argv[++i];
      } else {
        fmt::print(stderr, "usage: {} [--json FILE]   (writes {} by default)\n", argv[0], path_.string());
        std::exit(2);
      }
    }
  }

  /// For benchmarks that read their arguments themselves.
  Report(std::string command, std::filesystem::path path) : path_(std::move(path)), command_(std::move(command)) {}

  void add(std::string name, double value, std::string unit, std::string isa = ring::kernels().name) {
    entries_.push_back({std::move(name), value, std::move(unit), std::move(isa)});
  }

  /// Returns the process's exit status.
  int finish() const {
    nlohmann::json list = nlohmann::json::array();
    fmt::print("\n{:<34} {:>14}  {:<8} {}\n", "name", "value", "unit", "isa");
    for (const Entry& e : entries_) {
      fmt::print("{:<34} {:>14.6g}  {:<8} {}\n", e.name, e.value, e.unit, e.isa);
      list.push_back({{"name", e.name}, {"value", e.value}, {"unit", e.unit}, {"command", command_}, {"isa", e.isa}});
    }
    try {
      if (path_.has_parent_path()) std::filesystem::create_directories(path_.parent_path());
      std::ofstream file(path_);
      file << list.dump(2) << '\n';
      if (!file.flush()) throw std::runtime_error("cannot write the file");
    } catch (const std::exception& e) {
      fmt::print(stderr, "{}: {}\n", path_.string(), e.what());
      return 1;
    }
    fmt::print("written to {}\n", path_.string());
    return 0;
  }

 private:
  struct Entry {
    std::string name;
    double value;
    std::string unit, isa;
  };

  std::filesystem::path path_;
  std::string command_;
  std::vector<Entry> entries_;
};

}  // namespace hearth::bench
