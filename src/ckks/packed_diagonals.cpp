#include "ckks/packed_diagonals.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace hearth::ckks {

PackedDiagonals::PackedDiagonals(std::span<const std::size_t> sizes, std::size_t limbs, std::size_t n)
    : limbs_(limbs), n_(n), sizes_(sizes.begin(), sizes.end()), offsets_(sizes.size()) {
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });
  for (const std::size_t d : order) {
    offsets_[d] = words_;
    words_ += sizes[d];
  }
  data_ = Buffer<std::uint32_t>(limbs_ * words_);
}

void PackedDiagonals::set(std::size_t diagonal, const ring::Poly& values) {
  require(values.size() == sizes_[diagonal] && values.limbs() == limbs_, ErrorKind::kInternal,
          "a diagonal of {} residues on {} limbs, expected {} on {}", values.size(), values.limbs(), sizes_[diagonal],
          limbs_);
  for (std::size_t j = 0; j < limbs_; ++j) {
    ring::copy_words(data_.data() + j * words_ + offsets_[diagonal], values.limb(j), values.size());
  }
}

void PackedDiagonals::read_from(std::shared_ptr<const RowSource> source) {
  require(source->limbs() == limbs_ && source->rows() == rows(), ErrorKind::kInternal,
          "diagonals of {} limbs and {} rows read from {} and {}", limbs_, rows(), source->limbs(), source->rows());
  source_ = std::move(source);
}

PackedDiagonals::Limb::Limb(const PackedDiagonals& all, std::size_t j) : all_(all), limb_(j) {
  if (all.source_) held_.emplace(*all.source_, j, all.rows());
}

}  // namespace hearth::ckks
