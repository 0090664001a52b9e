#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"
#include "memory/mapped_tier.h"
#include "memory/object_store.h"
#include "memory/tier_base.h"
#include "tests/memory/faulty_tier.h"
#include "tests/memory/programs.h"

namespace hearth::testing {

/// Bytes in memory; transfers end within start(), so that one thread sees the same every time.
class InstantTier final : public memory::TierBase {
 public:
  explicit InstantTier(std::uint64_t size)
      : TierBase("instant", memory::flat_speed(1e9, 1e-6, 64), size, 64), bytes_(size) {}
  std::size_t depth() const override { return 4; }

 private:
  void begin(const memory::Transfer& transfer, memory::TransferDone done) override {
    std::byte* const here = bytes_.data() + transfer.offset;
    const std::span<std::byte> there = transfer.memory;
    if (transfer.direction == memory::Direction::kRead) {
      std::memcpy(there.data(), here, there.size());
    } else {
      std::memcpy(here, there.data(), there.size());
    }
    done(nullptr);
  }
  std::vector<std::byte> bytes_;
};

/// Outlives its tier, and says what was in flight when that was destroyed.
struct LastWords {
  bool destroyed = false;
  std::uint64_t in_flight = 0;
};

/// Passes everything on.
class WatchedTier final : public memory::Tier {
 public:
  WatchedTier(std::unique_ptr<FaultyTier> inner, LastWords& words) : inner_(std::move(inner)), words_(words) {}
  ~WatchedTier() override { words_ = {.destroyed = true, .in_flight = inner_->in_flight()}; }
  const std::string& name() const override { return inner_->name(); }
  const memory::TierSpeed& speed() const override { return inner_->speed(); }
  std::uint64_t capacity() const override { return inner_->capacity(); }
  std::size_t alignment() const override { return inner_->alignment(); }
  std::size_t depth() const override { return inner_->depth(); }
  void start(const memory::Transfer& transfer, memory::TransferDone done) override {
    inner_->start(transfer, std::move(done));
  }
  void poll() noexcept override { inner_->poll(); }
  void settle(const memory::Transfer& transfer) override { inner_->settle(transfer); }

 private:
  std::unique_ptr<FaultyTier> inner_;
  LastWords& words_;
};

/// A program, its plan, and a store on a tier that can be made to fail.
class StoreWorld {
 public:
  static constexpr std::size_t kRow = 64;
  using Rows = std::vector<const std::byte*>;

  /// `sequence`: sizes in rows. `threaded`: transfers are done by other threads. `bandwidth`: what the plan believes of
  /// the tier. The store is still empty.
  StoreWorld(memory::AccessSequence sequence, std::uint64_t rows, bool threaded = false, double bandwidth = 1e9)
      : sequence_(std::move(sequence)) {
    for (memory::PlannedObject& object : sequence_.objects) object.bytes *= kRow;
    options_ = memory::options_for(rows * kRow, bandwidth, 1e-6);
    const std::uint64_t total = std::max<std::uint64_t>(memory::total_bytes(sequence_), 4096);
    std::unique_ptr<memory::Tier> inner;
    if (threaded) {
      inner = std::make_unique<memory::MappedTier>("mapped", memory::MappedMemory::anonymous(total));
    } else {
      inner = std::make_unique<InstantTier>(total);
    }
    auto faulty = std::make_unique<FaultyTier>(std::move(inner));
    tier_ = faulty.get();
    plan_ = memory::make_plan(sequence_, options_);
    store_ = std::make_unique<memory::ObjectStore>(
        memory::ObjectStore::Options{.capacity = options_.capacity,
                                     .row_bytes = kRow,
                                     .tier = std::make_unique<WatchedTier>(std::move(faulty), words_),
                                     .objects = sequence_.objects,
                                     .make = [this](std::uint32_t object, std::span<std::byte* const> to) {
                                       if (object == unmakable_) throw Error(ErrorKind::kInternal, "cannot be made");
                                       const std::vector<std::byte> contents = contents_of(object);
                                       for (std::size_t r = 0; r < to.size(); ++r) {
                                         std::memcpy(to[r], contents.data() + r * kRow, kRow);
                                       }
                                     }});
  }
  /// Making this object anew fails from now on.
  void fail_to_make(std::uint32_t object) { unmakable_ = object; }

  StoreWorld(const StoreWorld&) = delete;
  StoreWorld& operator=(const StoreWorld&) = delete;

  memory::ObjectStore& store() { return *store_; }
  FaultyTier& tier() { return *tier_; }
  const memory::AccessSequence& sequence() const { return sequence_; }
  const memory::Plan& plan() const { return plan_; }
  const memory::PlanOptions& options() const { return options_; }
  std::uint32_t objects() const { return static_cast<std::uint32_t>(sequence_.objects.size()); }
  /// What the tier had in flight when the store was destroyed.
  LastWords destroy() {
    store_.reset();
    return words_;
  }

  std::size_t rows_of(std::uint32_t object) const {
    return static_cast<std::size_t>(sequence_.objects[object].bytes / kRow);
  }
  std::vector<std::byte> contents_of(std::uint32_t object) const {
    std::mt19937 random(object + 1);
    std::vector<std::byte> out(rows_of(object) * kRow);
    for (std::byte& byte : out) byte = static_cast<std::byte>(random());
    return out;
  }
  void put(std::uint32_t object) {
    const std::vector<std::byte> contents = contents_of(object);
    Rows rows;
    for (std::size_t r = 0; r < rows_of(object); ++r) rows.push_back(contents.data() + r * kRow);
    store_->put(object, rows);
  }
  void put_all() {
    for (std::uint32_t i = 0; i < objects(); ++i) put(i);
  }

  void begin() { store_->begin(sequence_, plan_); }
  /// Pins an object and looks at what is in it.
  void acquire(std::uint32_t object) {
    Rows rows(rows_of(object));
    store_->acquire(object, rows);
    const std::vector<std::byte> contents = contents_of(object);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      EXPECT_EQ(std::memcmp(rows[r], contents.data() + r * kRow, kRow), 0) << object << " row " << r;
    }
  }
  void use(std::uint32_t object) {
    acquire(object);
    store_->release(object);
  }
  /// All uses, or those before `end`, as recorded.
  void use_in_order(std::size_t end = static_cast<std::size_t>(-1)) {
    std::vector<std::vector<std::uint32_t>> pinned_to(sequence_.uses.size());
    end = std::min(end, sequence_.uses.size());
    for (std::size_t u = 0; u < end; ++u) {
      const memory::Use& use = sequence_.uses[u];
      acquire(use.object);
      pinned_to[std::min<std::size_t>(use.last, end - 1)].push_back(use.object);
      for (const std::uint32_t object : pinned_to[u]) store_->release(object);
    }
  }
  void run() {
    begin();
    use_in_order();
    store_->end();
  }

 private:
  memory::AccessSequence sequence_;
  memory::PlanOptions options_;
  memory::Plan plan_;
  LastWords words_;
  FaultyTier* tier_ = nullptr;
  std::atomic<std::uint32_t> unmakable_ = static_cast<std::uint32_t>(-1);
  std::unique_ptr<memory::ObjectStore> store_;
};

inline std::uint32_t below(std::mt19937& random, std::uint32_t end) {
  return static_cast<std::uint32_t>(random() % end);
}

/// Objects of 1 to `most` rows, used at random, some longer than others.
inline memory::AccessSequence random_uses(std::mt19937& random, std::uint32_t objects, std::uint32_t uses,
                                          std::uint32_t most = 4, bool pins = true) {
  memory::AccessSequence out;
  for (std::uint32_t i = 0; i < objects; ++i) out.objects.push_back({.bytes = 1 + below(random, most)});
  for (std::uint32_t u = 0; u < uses; ++u) {
    const std::uint32_t last =
        pins && below(random, 4) == 0 ? std::min<std::uint32_t>(u + below(random, 4), uses - 1) : u;
    out.uses.push_back({.object = below(random, objects), .seconds = 1e-6 * below(random, 10), .last = last});
  }
  return out;
}

}  // namespace hearth::testing
