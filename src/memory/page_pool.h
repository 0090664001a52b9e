#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace hearth::memory {

/// Which of a row of pages are free. Pages are given out in as few runs of neighbours as there are, since a run is
/// moved at once. Not thread safe.
class PagePool {
 public:
  explicit PagePool(std::uint32_t pages);

  std::size_t free() const { return free_; }
  /// `count` <= free() pages, runs ascending within.
  std::vector<std::uint32_t> take(std::size_t count);
  void give(std::span<const std::uint32_t> pages);
  /// Until open(), the first pages are not given out; what comes back of them does not count as free.
  void close(std::uint32_t pages);
  void open(std::span<const std::uint32_t> held);  ///< those that were closed are free, but for these

 private:
  void add(std::uint32_t begin, std::uint32_t length);
  void remove(std::uint32_t begin, std::uint32_t length);
  void give_run(std::uint32_t begin, std::uint32_t length);

  std::size_t free_ = 0;
  std::uint32_t closed_ = 0;
  std::map<std::uint32_t, std::uint32_t> runs_;                // length by first page
  std::set<std::pair<std::uint32_t, std::uint32_t>> by_size_;  // (length, first page)
};

}  // namespace hearth::memory
