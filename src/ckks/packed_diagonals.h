#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "ckks/row_source.h"
#include "ring/packed.h"

namespace hearth::ckks {

/// The encoded diagonals of a linear map, limb by limb: what a limb has of the diagonals of one part lies together,
/// longest first, so that none crosses a multiple of n words. In memory or in a RowStore, which moves parts one by one.
/// Thread safe once filled.
class PackedDiagonals {
 public:
  PackedDiagonals() = default;
  /// `sizes`: residues a limb of every diagonal, powers of two up to n. Contents are undefined until filled. `store`:
  /// null for memory. `parts`: of every diagonal, numbered from 0; empty: all are in one.
  PackedDiagonals(std::span<const std::size_t> sizes, std::size_t limbs, std::size_t n, RowStore* store = nullptr,
                  std::span<const std::size_t> parts = {});

  std::size_t count() const { return sizes_.size(); }
  std::size_t size(std::size_t diagonal) const { return sizes_[diagonal]; }
  std::size_t limbs() const { return limbs_; }
  std::size_t part(std::size_t diagonal) const { return parts_[diagonal]; }
  std::size_t words() const { return begins_.back(); }  ///< of a limb
  /// Of n words that one part of a limb fills, the last one perhaps in part; of the largest part.
  std::size_t rows(std::size_t part) const { return (begins_[part + 1] - begins_[part] + n_ - 1) / n_; }
  std::size_t rows() const;
  std::size_t bytes() const { return limbs_ * words() * sizeof(std::uint32_t); }

  /// Fills limb by limb: calls fill(diagonal, j, out) for the size(diagonal) residues of every diagonal, in parallel
  /// within a limb.
  using Fill = std::function<void(std::size_t, std::size_t, std::uint32_t*)>;
  /// `recipe_bytes`: what `fill` keeps in memory, if the store may call it again later, whenever it likes; else 0.
  void fill(const Fill& fill, std::size_t recipe_bytes = 0);

  /// The diagonals of one part of a limb for the time of a scope.
  class Limb {
   public:
    Limb(const PackedDiagonals& all, std::size_t j, std::size_t part = 0);
    /// Residues [from, from + count) of a diagonal of the part; count is a power of two, from a multiple of it. Where
    /// they lie, or in `room` of room(count) words.
    const std::uint32_t* residues(std::size_t diagonal, std::size_t from, std::size_t count, std::uint32_t* room) const;
    std::size_t room(std::size_t count) const { return held_ ? std::max(count, ring::kPackGroup) : 0; }

   private:
    const PackedDiagonals& all_;
    std::size_t limb_;
    std::optional<HeldRows> held_;
  };

 private:
  std::size_t part_count() const { return begins_.size() - 1; }
  std::size_t begin(std::size_t diagonal) const { return begins_[parts_[diagonal]] + offsets_[diagonal]; }

  std::size_t limbs_ = 0, n_ = 1;
  std::vector<std::size_t> sizes_, parts_;  // by diagonal
  std::vector<std::size_t> offsets_;        // by diagonal, from where its part begins
  std::vector<std::size_t> begins_{0, 0};   // by part, within a limb, and the end
  Buffer<std::uint32_t> data_;
  RowStore* store_ = nullptr;
  std::shared_ptr<const RowSource> source_;
};

}  // namespace hearth::ckks
