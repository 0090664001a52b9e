#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ckks/row_source.h"
#include "ring/poly.h"

namespace hearth::ckks {

/// The encoded diagonals of a linear map, limb by limb: what a limb has of them lies together, longest first, so that
/// none crosses a multiple of n words. In memory or in a RowSource. Thread safe once filled.
class PackedDiagonals {
 public:
  PackedDiagonals() = default;
  /// `sizes`: residues a limb of every diagonal, powers of two up to n. Contents are undefined until set.
  PackedDiagonals(std::span<const std::size_t> sizes, std::size_t limbs, std::size_t n);

  std::size_t count() const { return sizes_.size(); }
  std::size_t size(std::size_t diagonal) const { return sizes_[diagonal]; }
  std::size_t limbs() const { return limbs_; }
  std::size_t words() const { return words_; }  ///< of a limb
  std::size_t rows() const {
    return (words_ + n_ - 1) / n_;
  }  ///< of n words that a limb fills, the last one perhaps in part
  std::size_t bytes() const { return limbs_ * words_ * sizeof(std::uint32_t); }

  void set(std::size_t diagonal, const ring::Poly& values);
  /// All diagonals of a limb: words() residues. Only while they are in memory.
  const std::uint32_t* limb(std::size_t j) const { return data_.data() + j * words_; }
  /// From now on they are read from `source`, whose limbs will hold what limb() gives.
  void read_from(std::shared_ptr<const RowSource> source);
  /// Frees the memory of what is read from elsewhere.
  void release() { data_ = {}; }

  /// The diagonals of one limb for the time of a scope.
  class Limb {
   public:
    Limb(const PackedDiagonals& all, std::size_t j);
    const std::uint32_t* operator[](std::size_t diagonal) const {
      const std::size_t offset = all_.offsets_[diagonal];
      return held_ ? (*held_)[offset / all_.n_] + offset % all_.n_ : all_.limb(limb_) + offset;
    }

   private:
    const PackedDiagonals& all_;
    std::size_t limb_;
    std::optional<HeldRows> held_;
  };

 private:
  std::size_t limbs_ = 0, n_ = 1, words_ = 0;
  std::vector<std::size_t> sizes_, offsets_;
  Buffer<std::uint32_t> data_;
  std::shared_ptr<const RowSource> source_;
};

}  // namespace hearth::ckks
