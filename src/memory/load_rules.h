#pragma once

#include "memory/evict.h"

namespace hearth::memory {

/// One way to fill memory and tier. Spare and window go together: what is fetched ahead has to lie somewhere.
struct Tuning {
  double spare = 0;          ///< memory left to prefetching, in fetches of mean size
  std::uint32_t window = 0;  ///< buckets of four fetches that a fetch may be promised before its deadline
  double spread = 1.1;       ///< promised time over the load to be expected around; MIN's choice is never quite even
  double limit = 1.05;       ///< at most this share of any time is promised
  bool recompute = false;
};

/// Rules from what pure MIN would transfer: its load, which comes in bursts, averaged over times as long as the gaps
/// that it gives up.
class LoadRules {
 public:
  LoadRules(const Timeline& timeline, const std::vector<TransferCost>& costs, const std::vector<After>& min);
  EvictionRules rules(const Tuning& tuning, std::uint64_t capacity) const;

 private:
  double measure(const std::vector<After>& min);
  void fill_buckets(const std::vector<After>& min);
  void average(double seconds);

  const Timeline& timeline_;
  const std::vector<TransferCost>& costs_;
  double width_ = 0;                                  // seconds of a bucket
  std::vector<std::uint32_t> bucket_, bucket_begin_;  // as in EvictionRules
  std::vector<double> first_, load_;                  // by bucket: seconds of first loads, of everything else
  double fetch_bytes_ = 0;                            // of the mean fetch
};

}  // namespace hearth::memory
