#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "ckks/keys.h"
#include "ckks/row_source.h"
#include "ring/packed.h"

namespace hearth::ckks::testing {

/// Stands in for a store on slow storage: rows are copied out when they are acquired and destroyed by the last release,
/// so that whoever reads too early or too late reads junk. Thread safe.
class ShelfRows final : public RowSource {
 public:
  ShelfRows(std::size_t limbs, std::size_t rows, std::size_t n)
      : rows_(rows), n_(n), kept_(limbs), out_(limbs), holders_(limbs, 0) {}
  ~ShelfRows() override { EXPECT_EQ(held(), 0) << "every acquire() has its release()"; }

  std::size_t limbs() const override { return kept_.size(); }
  std::size_t rows() const override { return rows_; }

  void acquire(std::size_t limb, std::span<const std::uint32_t*> out) const override {
    const std::lock_guard lock(mutex_);
    EXPECT_LE(out.size(), rows_);
    EXPECT_LE(out.size() * ring::packed_words(n_), kept_.at(limb).size()) << "limb " << limb << " was never put";
    if (holders_[limb]++ == 0) out_[limb] = kept_[limb];
    for (std::size_t r = 0; r < out.size(); ++r) out[r] = out_[limb].data() + r * ring::packed_words(n_);
    ++acquired_;
  }
  void release(std::size_t limb) const noexcept override {
    const std::lock_guard lock(mutex_);
    if (--holders_[limb] > 0) return;
    std::fill(out_[limb].begin(), out_[limb].end(), 0xA5A5A5A5);
  }

  /// The rest of the rows is filled up with zeros.
  void put(std::size_t limb, std::span<const std::uint32_t> words) {
    std::vector<std::uint32_t> all(words.begin(), words.end());
    all.resize(rows_ * n_);
    const std::lock_guard lock(mutex_);
    kept_.at(limb).resize(ring::packed_words(all.size()));
    ring::pack_words(kept_[limb].data(), all.data(), all.size());
  }

  int held() const {
    const std::lock_guard lock(mutex_);
    int sum = 0;
    for (const int holders : holders_) sum += holders;
    return sum;
  }
  std::uint64_t acquired() const { return acquired_; }

 private:
  std::size_t rows_, n_;
  mutable std::mutex mutex_;
  std::vector<std::vector<std::uint32_t>> kept_;
  mutable std::vector<std::vector<std::uint32_t>> out_;
  mutable std::vector<int> holders_;
  mutable std::atomic<std::uint64_t> acquired_{0};
};

/// A store of such rows.
class Shelf final : public RowStore {
 public:
  explicit Shelf(std::size_t n) : n_(n) {}

  std::shared_ptr<const RowSource> place(std::size_t limbs, std::size_t rows) override {
    places_.push_back(std::make_shared<ShelfRows>(limbs, rows, n_));
    return places_.back();
  }
  void put(const RowSource& place, std::size_t limb, std::span<const std::uint32_t> words) override {
    EXPECT_LE(words.size(), place.rows() * n_);
    for (const auto& one : places_) {
      if (one.get() == &place) one->put(limb, words);
    }
  }

  void learn(const RowSource& place, RowRecipe recipe) override {
    EXPECT_EQ(&place, places_.back().get()) << "right after its rows";
    recipes_.push_back(std::move(recipe));
  }

  const std::vector<RowRecipe>& recipes() const { return recipes_; }
  const std::vector<std::shared_ptr<ShelfRows>>& places() const { return places_; }
  std::uint64_t acquired() const {
    std::uint64_t sum = 0;
    for (const auto& one : places_) sum += one->acquired();
    return sum;
  }

 private:
  std::size_t n_;
  std::vector<std::shared_ptr<ShelfRows>> places_;
  std::vector<RowRecipe> recipes_;
};

/// The same key with its rows on a shelf.
inline SwitchingKey shelved(const SwitchingKey& key, Shelf& shelf) {
  const std::size_t limbs = key.b.front().limbs(), n = key.b.front().size();
  const auto rows = shelf.place(limbs, key.b.size());
  for (std::size_t limb = 0; limb < limbs; ++limb) {
    std::vector<std::uint32_t> words;
    for (const ring::Poly& digit : key.b) words.insert(words.end(), digit.limb(limb), digit.limb(limb) + n);
    shelf.put(*rows, limb, words);
  }
  return {.set = key.set, .b = {}, .a = {}, .seed = key.seed, .rows = rows};
}

inline EvaluationKeys shelved(const EvaluationKeys& keys, Shelf& shelf) {
  EvaluationKeys out;
  out.parameters_id = keys.parameters_id;
  for (const auto& [set, key] : keys.relinearisation) out.relinearisation.emplace(set, shelved(key, shelf));
  for (const auto& [name, key] : keys.galois) out.galois.emplace(name, shelved(key, shelf));
  if (keys.to_sparse) out.to_sparse = shelved(*keys.to_sparse, shelf);
  if (keys.from_sparse) out.from_sparse = shelved(*keys.from_sparse, shelf);
  return out;
}

}  // namespace hearth::ckks::testing
