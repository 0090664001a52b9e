#include "ckks/packed_diagonals.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/dry_run.h"
#include "base/parallel.h"
#include "ring/kernels/kernels.h"

namespace hearth::ckks {

PackedDiagonals::PackedDiagonals(std::span<const std::size_t> sizes, std::size_t limbs, std::size_t n, RowStore* store,
                                 std::span<const std::size_t> parts)
    : limbs_(limbs),
      n_(n),
      sizes_(sizes.begin(), sizes.end()),
      parts_(parts.begin(), parts.end()),
      offsets_(sizes.size()),
      store_(store) {
  parts_.resize(sizes.size());
  const std::size_t count = parts_.empty() ? 1 : *std::ranges::max_element(parts_) + 1;
  std::vector<std::size_t> order(sizes.size()), words(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });
  for (const std::size_t d : order) offsets_[d] = std::exchange(words[parts_[d]], words[parts_[d]] + sizes[d]);
  begins_.assign(count + 1, 0);
  std::inclusive_scan(words.begin(), words.end(), begins_.begin() + 1);
  if (store_ != nullptr) source_ = store_->place(limbs_ * count, rows());
}

std::size_t PackedDiagonals::rows() const {
  std::size_t most = 0;
  for (std::size_t part = 0; part < part_count(); ++part) most = std::max(most, rows(part));
  return most;
}

void PackedDiagonals::fill(const Fill& fill, std::size_t recipe_bytes) {
  const double start = dry_run() ? DryRun::seconds() : 0;
  data_ = Buffer<std::uint32_t>((store_ != nullptr ? 1 : limbs_) * words());
  for (std::size_t j = 0; j < limbs_; ++j) {
    std::uint32_t* const limb = data_.data() + (store_ != nullptr ? 0 : j * words());
    parallel_for(0, count(), [&](std::size_t d) { fill(d, j, limb + begin(d)); });
    for (std::size_t part = 0; store_ != nullptr && part < part_count(); ++part) {
      store_->put(*source_, j * part_count() + part, {limb + begins_[part], limb + begins_[part + 1]});
    }
  }
  if (store_ == nullptr) return;
  data_ = {};
  if (recipe_bytes == 0) return;
  RowRecipe recipe{.make = {}, .bytes = recipe_bytes, .dry_seconds = 0};
  if (dry_run()) {
    recipe.dry_seconds = (DryRun::seconds() - start) / static_cast<double>(limbs_ * part_count());
  } else {
    recipe.make = [fill, offsets = offsets_, parts = parts_, count = part_count(), n = n_](
                      std::size_t limb, std::size_t row, std::uint32_t* out) {
      for (std::size_t d = 0; d < offsets.size(); ++d) {
        if (parts[d] == limb % count && offsets[d] / n == row) fill(d, limb / count, out + offsets[d] % n);
      }
    };
  }
  store_->learn(*source_, std::move(recipe));
}

PackedDiagonals::Limb::Limb(const PackedDiagonals& all, std::size_t j, std::size_t part) : all_(all), limb_(j) {
  if (all.source_) held_.emplace(*all.source_, j * all.part_count() + part, all.rows(part));
}

const std::uint32_t* PackedDiagonals::Limb::residues(std::size_t diagonal, std::size_t from, std::size_t count,
                                                     std::uint32_t* room) const {
  if (!held_) return all_.data_.data() + limb_ * all_.words() + all_.begin(diagonal) + from;
  const std::size_t offset = all_.offsets_[diagonal] + from;
  const std::size_t within = offset % all_.n_, skipped = within % ring::kPackGroup;
  ring::kernels().unpack(room, (*held_)[offset / all_.n_] + ring::packed_words(within - skipped),
                         std::max(count, ring::kPackGroup));
  return room + skipped;
}

}  // namespace hearth::ckks
