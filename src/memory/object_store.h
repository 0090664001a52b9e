#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "memory/page_pool.h"
#include "memory/plan.h"
#include "memory/tier.h"

namespace hearth::memory {

/// What a store did since begin().
struct StoreFigures {
  std::uint64_t read_bytes = 0;     ///< from the tier
  std::uint64_t written_bytes = 0;  ///< to it, loading included
  std::uint64_t fetches = 0;
  std::uint64_t unplanned = 0;    ///< fetches that no plan had foreseen, or not yet: uses came in another order
  std::uint64_t made = 0;         ///< objects made anew
  std::uint64_t retries = 0;      ///< transfers repeated after an error or a wrong checksum
  std::uint64_t waits = 0;        ///< uses that had to wait
  double wait_seconds = 0;        ///< summed over threads
  double first_wait_seconds = 0;  ///< of that: for objects that no use had needed before
  std::array<std::uint64_t, kObjectClasses> resident_bytes{}, peak_bytes{};  ///< by class
  std::uint64_t peak_total = 0;
  std::uint64_t cleared = 0, loans = 0;  ///< times that shared memory was emptied, and lent
};

/// Large objects within a budget of DRAM, the rest of them on a tier, moved by a plan. Objects are rows of equal length
/// that are written once and then read in every run. While a run lasts, uses come in about the order of the plan, from
/// any thread; a use that comes out of order is served all the same. Data from the tier are verified. Thread safe.
class ObjectStore {
 public:
  struct Options {
    std::uint64_t capacity = 0;  ///< bytes of DRAM, taken at once; rounded down to whole rows
    /// Of these bytes: lent where a block (base/block_cache.h) would be refused otherwise. No object lies there while
    /// uses leave memory to something else (Use::beside); at other times objects have to be moved or dropped first.
    /// Whole rows, kMappedBlock or more, and not all but less than that. Of one store at a time.
    std::uint64_t shared = 0;
    std::size_t row_bytes = 0;   ///< a multiple of the tier's alignment
    std::unique_ptr<Tier> tier;  ///< may be null if all objects fit
    std::vector<PlannedObject> objects;
    /// Makes the contents of an object anew where the plan says so; several at once. Contents that it makes are not
    /// verified.
    std::function<void(std::uint32_t object, std::span<std::byte* const> rows)> make = {};
  };
  /// Error(kResource) if the objects fit neither DRAM nor, altogether, the tier.
  explicit ObjectStore(Options options);
  ~ObjectStore();
  ObjectStore(const ObjectStore&) = delete;
  ObjectStore& operator=(const ObjectStore&) = delete;

  std::uint64_t capacity() const { return capacity_; }
  bool has_tier() const { return tier_ != nullptr; }

  /// Gives an object its contents, or other ones, while no run lasts. If the tier fails, so that this throws, the
  /// object has none until it is put again.
  void put(std::uint32_t object, std::span<const std::byte* const> rows);

  /// A run begins: what follows are the uses of `sequence`, whose objects are the store's; both outlive the run. No use
  /// may be pending.
  void begin(const AccessSequence& sequence, const Plan& plan);
  /// It has ended, perhaps early. Throws nothing; objects stay where they are.
  void end() noexcept;

  /// Points `rows` at the first rows of an object, which stays until release(). Waits for it if need be. Throws
  /// Error(kIo) if the tier fails twice, Error(kCorrupt) if what it gives is not what was put, Error(kResource) if all
  /// DRAM is in use by others for ever.
  void acquire(std::uint32_t object, std::span<const std::byte*> rows);
  void release(std::uint32_t object) noexcept;

  StoreFigures figures() const;

 private:
  /// Of shared memory: objects lie in it; they are on their way out; it is free to be lent; it is lent.
  enum class Loan : std::uint8_t { kUsed, kClearing, kReady, kLent };
  static constexpr std::uint32_t kNoUse = static_cast<std::uint32_t>(-1);
  static constexpr std::size_t kLargestTransfer = std::size_t{1} << 20;
  /// kReserved: pages without contents, for one that is made anew.
  enum class State : std::uint8_t { kAbsent, kReserved, kLoading, kLoaded, kVerifying, kResident };
  struct Object {
    std::uint64_t tier_offset = 0;
    std::uint64_t checksum = 0;
    std::vector<std::uint32_t> pages;  // rows of the arena, empty when absent
    std::uint32_t pins = 0;
    std::uint32_t started = 0, ended = 0;  // uses in this run
    std::uint32_t transfers = 0;           // outstanding
    std::uint8_t attempts = 0;
    State state = State::kAbsent;
    bool planned = false;           // here because the plan wants it
    std::uint32_t fetched_for = 0;  // use, and place in the queue, if planned
    std::size_t fetch = 0;
    bool used = false;  // in this run or an earlier one
    std::exception_ptr error;
  };
  /// A use for which the plan gives an object memory, to fetch it or to make it anew.
  struct Queued {
    std::uint32_t use = 0, from = 0;  // the plan does not ask for it before use `from`
  };
  /// Transfers to be started once the lock is released.
  using Starts = std::vector<std::pair<std::uint32_t, Transfer>>;

  std::size_t rows_of(std::uint32_t object) const { return static_cast<std::size_t>(info_[object].bytes / row_bytes_); }
  static std::size_t contiguous(const std::vector<std::uint32_t>& pages, std::size_t first, std::size_t most);
  /// Calls what(transfer) for every piece of a read of the object into its pages.
  template <typename What>
  void for_each_piece(std::uint32_t object, What&& what) {
    const Object& o = objects_[object];
    for (std::size_t i = 0; i < o.pages.size();) {
      const std::size_t count = contiguous(o.pages, i, kLargestTransfer / row_bytes_);
      what(Transfer{Direction::kRead, o.tier_offset + i * row_bytes_, {page(o.pages[i]), count * row_bytes_}});
      i += count;
    }
  }
  std::byte* page(std::uint32_t index) { return first_page_ + std::size_t{index} * row_bytes_; }
  std::uint32_t use_of(std::uint32_t object, std::uint32_t number) const;
  std::uint32_t next_use(std::uint32_t object) const;

  static bool is_idle(const Object& o);
  void write_out(std::uint32_t object, std::span<const std::byte* const> rows);
  void take_pages(std::uint32_t object);
  void drop(std::uint32_t object);
  bool make_room(std::size_t rows);
  bool drop_leftovers(std::size_t rows);
  void list_leftover(std::uint32_t object);
  void load(std::uint32_t object, Starts& starts);
  void pump(Starts& starts);
  void start(Starts& starts);
  void transferred(std::uint32_t object, const std::exception_ptr& error);
  void trace_transfer(std::int64_t begin, std::size_t bytes);
  void trace_resident(ObjectClass kind) const;
  void finish_use(std::uint32_t object);
  bool step(std::uint32_t object, bool patient, std::unique_lock<std::mutex>& lock, Starts& starts);
  void verify_contents(std::uint32_t object, std::unique_lock<std::mutex>& lock, Starts& starts);
  std::uint64_t checksum_of(std::uint32_t object);
  bool reserve(std::uint32_t object);
  void make_contents(std::uint32_t object, std::unique_lock<std::mutex>& lock);
  bool is_made(std::uint32_t use) const;
  bool is_too_early(const Queued& queued) const;
  void list_queue();
  void take_arena(std::uint64_t capacity, std::uint64_t shared);
  void list_loans();
  void follow_loans(std::unique_lock<std::mutex>& lock, Starts& starts);
  std::size_t shared_rows(const Object& o) const;
  void move_out(std::uint32_t object);
  void begin_clearing();
  void clear_idle();
  void use_shared(Starts& starts);
  bool lend();
  void wait_idle(std::unique_lock<std::mutex>& lock);
  void wait_a_little(std::unique_lock<std::mutex>& lock);
  void notify();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t changes_ = 0;  // that waiting threads were told of
  const std::size_t row_bytes_;
  std::unique_ptr<Tier> tier_;
  std::vector<PlannedObject> info_;
  std::function<void(std::uint32_t, std::span<std::byte* const>)> make_;
  std::vector<Object> objects_;
  std::uint64_t capacity_ = 0;
  // Pages lie one behind another, those in shared_ first; it is empty while lent.
  Buffer<std::byte> shared_, arena_;
  std::byte* first_page_ = nullptr;
  std::uint32_t shared_pages_ = 0;
  Loan loan_ = Loan::kUsed;
  std::vector<std::pair<std::uint32_t, std::uint32_t>>
      loans_;  // uses from which on and before which memory is to be ready
  std::size_t next_loan_ = 0;
  std::vector<std::uint32_t> in_the_way_;  // objects to be moved out of shared memory
  std::size_t borrowers_ = 0;              // threads that wait for that
  std::uint32_t begun_ = 0;                // uses of this run
  PagePool free_{0};
  std::size_t in_flight_ = 0;  // transfers
  std::size_t held_ = 0;       // uses that last
  bool running_ = false;
  std::uint32_t track_ = 0;         // of the tier, in traces
  std::int64_t last_transfer_ = 0;  // when the latest transfer ended, by trace::clock()

  const AccessSequence* sequence_ = nullptr;
  const Plan* plan_ = nullptr;
  std::vector<std::uint32_t> uses_, first_use_;  // [object]: its uses, in order
  std::vector<Queued> queue_;
  std::size_t next_fetch_ = 0;            // in the queue
  std::vector<std::uint32_t> leftovers_;  // what may be here though the plan does not ask for it, least urgent last
  StoreFigures figures_;
};

}  // namespace hearth::memory
