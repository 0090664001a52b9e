#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace hearth::ckks {

/// Rows of n residues, a multiple of ring::kPackGroup, that lie outside of any Poly, grouped by limb, perhaps on
/// storage slower than memory: halves of evaluation keys (row d of limb j is digit d modulo the key's j-th prime) and
/// encoded diagonals (parts of limbs, one after the other, see PackedDiagonals). Bytes are what such storage has few
/// of, so rows are packed (ring/packed.h). Thread safe.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual std::size_t limbs() const = 0;
  virtual std::size_t rows() const = 0;  ///< of every limb
  /// Points `out` at the first out.size() <= rows() packed rows of a limb, waiting until they are there. They stay
  /// until release(limb), once for each acquire(). Throws what kept them from coming.
  virtual void acquire(std::size_t limb, std::span<const std::uint32_t*> out) const = 0;
  virtual void release(std::size_t limb) const noexcept = 0;
};

/// How rows can be made anew that are not worth keeping.
struct RowRecipe {
  /// Writes one row of a limb, not packed; the end of the last row may be left as it is. Several at once.
  std::function<void(std::size_t limb, std::size_t row, std::uint32_t* out)> make;
  std::size_t bytes = 0;   ///< of memory that `make` needs for as long as it exists
  double dry_seconds = 0;  ///< for one limb, as DryRun counts
};

/// Where rows may be put instead of into memory. Thread safe.
class RowStore {
 public:
  virtual ~RowStore() = default;
  /// Room for so many rows a limb. Contents are there once put() was called for every limb that will be used.
  virtual std::shared_ptr<const RowSource> place(std::size_t limbs, std::size_t rows) = 0;
  /// `words`: of the first rows of the limb, the last one perhaps in part. No more rows of it will be acquired.
  virtual void put(const RowSource& place, std::size_t limb, std::span<const std::uint32_t> words) = 0;
  /// Tells how rows of a place can be made, after they were put. In a dry run `make` is empty. The store drops what it
  /// does not want.
  virtual void learn(const RowSource& /*place*/, RowRecipe /*recipe*/) {}
};

/// Rows acquired for the time of a scope.
class HeldRows {
 public:
  HeldRows(const RowSource& source, std::size_t limb, std::size_t count) : source_(source), limb_(limb), rows_(count) {
    source_.acquire(limb, rows_);
  }
  ~HeldRows() { source_.release(limb_); }
  HeldRows(const HeldRows&) = delete;
  HeldRows& operator=(const HeldRows&) = delete;
  const std::uint32_t* operator[](std::size_t row) const { return rows_[row]; }

 private:
  const RowSource& source_;
  std::size_t limb_;
  std::vector<const std::uint32_t*> rows_;
};

}  // namespace hearth::ckks
