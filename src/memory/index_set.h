#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hearth::memory {

/// A set of numbers below a limit that knows its greatest member below a bound. All functions take O(log64(limit)).
/// One thread at a time.
class IndexSet {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  explicit IndexSet(std::size_t limit) {
    do {
      limit = limit / 64 + 1;
      levels_.emplace_back(limit, 0);
    } while (limit > 1);
  }

  bool contains(std::uint32_t x) const { return (levels_[0][x / 64] >> (x % 64) & 1) != 0; }

  void insert(std::uint32_t x) {
    for (auto& words : levels_) {
      words[x / 64] |= std::uint64_t{1} << (x % 64);
      x /= 64;
    }
  }

  void erase(std::uint32_t x) {
    for (auto& words : levels_) {
      words[x / 64] &= ~(std::uint64_t{1} << (x % 64));
      if (words[x / 64] != 0) return;
      x /= 64;
    }
  }

  /// The greatest member below `end` (at most the limit), or kNone.
  std::uint32_t last_before(std::uint32_t end) const {
    for (std::size_t level = 0; level < levels_.size(); ++level) {
      const std::uint64_t below = end % 64 == 0 ? 0 : levels_[level][end / 64] & ((std::uint64_t{1} << (end % 64)) - 1);
      if (below != 0) return descend(level, end / 64, below);
      end /= 64;
    }
    return kNone;
  }

 private:
  std::uint32_t descend(std::size_t level, std::uint32_t word, std::uint64_t bits) const {
    for (;;) {
      word = word * 64 + 63 - static_cast<std::uint32_t>(std::countl_zero(bits));
      if (level == 0) return word;
      bits = levels_[--level][word];
    }
  }

  std::vector<std::vector<std::uint64_t>> levels_;  // bit i of a level: word i of the level before is not 0
};

}  // namespace hearth::memory
