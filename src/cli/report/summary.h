#pragma once

#include <string>
#include <vector>

#include "base/trace.h"

/// What a recorded run comes to. Plain functions of a recording.
namespace hearth::cli {

/// Spans that have something in common.
struct Total {
  std::string name, detail;
  std::size_t count = 0;
  double seconds = 0;
  double bytes = 0;       ///< that they moved themselves
  double tier_bytes = 0;  ///< of reads and writes that began while they went on; for compute only
  /// 0 where nothing is known.
  double rate() const { return seconds > 0 ? bytes / seconds : 0; }
};

/// The memory that classes of objects have, at moments at equal distances.
struct Occupancy {
  std::vector<std::string> classes;
  std::vector<double> times;                ///< seconds
  std::vector<std::vector<double>> values;  ///< bytes, [class][time]: the largest since the moment before
  std::vector<double> peaks;                ///< of each class
  double peak = 0;                          ///< of all together, at one moment
};

struct TraceSummary {
  double seconds = 0;             ///< from the first event's begin to the last one's end
  std::vector<Total> layers;      ///< of compute, in the order they began; detail: the operation
  std::vector<Total> operations;  ///< of compute, the longest first
  std::vector<Total> traffic;     ///< of reads, writes and checkpoints; name: track, detail: category
  std::vector<Total> waits;       ///< the longest first; detail: track
  Occupancy resident;             ///< of the counters "resident"
};

/// Compute spans within compute spans of the same track count with the outer one.
TraceSummary summarise(const trace::Recording& recording, std::size_t moments = 20);

}  // namespace hearth::cli
