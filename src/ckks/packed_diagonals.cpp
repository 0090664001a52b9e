#include "ckks/packed_diagonals.h"

#include <algorithm>
#include <numeric>

#include "base/parallel.h"

namespace hearth::ckks {

PackedDiagonals::PackedDiagonals(std::span<const std::size_t> sizes, std::size_t limbs, std::size_t n, RowStore* store)
    : limbs_(limbs), n_(n), sizes_(sizes.begin(), sizes.end()), offsets_(sizes.size()), store_(store) {
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });
  for (const std::size_t d : order) {
    offsets_[d] = words_;
    words_ += sizes[d];
  }
  if (store_ != nullptr) source_ = store_->place(limbs_, rows());
}

void PackedDiagonals::fill(const std::function<void(std::size_t, std::size_t, std::uint32_t*)>& fill) {
  data_ = Buffer<std::uint32_t>((store_ != nullptr ? 1 : limbs_) * words_);
  for (std::size_t j = 0; j < limbs_; ++j) {
    std::uint32_t* const limb = data_.data() + (store_ != nullptr ? 0 : j * words_);
    parallel_for(0, count(), [&](std::size_t d) { fill(d, j, limb + offsets_[d]); });
    if (store_ != nullptr) store_->put(*source_, j, {limb, words_});
  }
  if (store_ != nullptr) data_ = {};
}

PackedDiagonals::Limb::Limb(const PackedDiagonals& all, std::size_t j) : all_(all), limb_(j) {
  if (all.source_) held_.emplace(*all.source_, j, all.rows());
}

}  // namespace hearth::ckks
