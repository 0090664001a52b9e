#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace hearth::memory {

/// The tier's time cut into buckets, and how much of each is still to be promised. A promise takes the latest time left
/// at or before its deadline, as transfers that are never started earlier than necessary would. A bucket is open while
/// a promise due in it would find time at most `window` buckets before it; once closed it stays closed. One thread.
class TierLoad {
 public:
  /// `room`: seconds of each bucket that may be promised.
  TierLoad(const std::vector<double>& room, std::uint32_t window);

  bool open(std::uint32_t bucket) const { return open_[bucket + 1]; }
  /// Promises `seconds` that are due by the end of `bucket`, as far as there is time; calls `closed` with every bucket
  /// that this closes.
  void promise(std::uint32_t bucket, double seconds, const std::function<void(std::uint32_t)>& closed);

 private:
  std::uint32_t find(std::uint32_t bucket);
  void fill(std::uint32_t bucket, const std::function<void(std::uint32_t)>& closed);

  // Bucket i is entry i + 1; entry 0 stands for the time before the program, which is never promised.
  std::vector<double> room_;
  std::vector<std::uint32_t> parent_;  // towards the latest bucket with room up to this one
  std::vector<std::uint32_t> top_;     // of a bucket with room: the last bucket whose latest room it is
  std::vector<char> open_;
  std::uint32_t window_;
};

}  // namespace hearth::memory
