// How a part of the store's memory is lent to working memory while the plan leaves it to that.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/spin_lock.h"
#include "memory/object_store.h"

namespace hearth::memory {
namespace {

/// To wait for what lies in memory that is to be lent and is in use. Whoever needs a block may be the one that uses it.
constexpr std::chrono::seconds kLendPatience{1};

}  // namespace

void ObjectStore::list_loans() {
  loans_.clear();
  next_loan_ = begun_ = 0;
  for (std::uint32_t use = 0; shared_pages_ > 0 && use < sequence_->uses.size(); ++use) {
    if (sequence_->uses[use].beside == 0) continue;
    if (loans_.empty() || loans_.back().second != use) loans_.emplace_back(use, use);
    loans_.back().second = use + 1;
  }
}

/// As a use begins.
void ObjectStore::follow_loans(std::unique_lock<std::mutex>& lock, Starts& starts) {
  const std::uint32_t use = begun_++;
  if (shared_pages_ == 0) return;
  while (next_loan_ < loans_.size() && loans_[next_loan_].second <= use) ++next_loan_;
  const bool due = next_loan_ < loans_.size() && loans_[next_loan_].first <= use;
  if (due || borrowers_ > 0) {
    if (loan_ == Loan::kUsed) begin_clearing();
    if (loan_ == Loan::kClearing) clear_idle();
  } else if (loan_ != Loan::kUsed) {
    use_shared(starts);
  }
  if (starts.empty()) return;
  lock.unlock();
  start(starts);
  lock = spin_lock(mutex_);
}

/// What is used after the next loan is there during it, for which the plan alone knows whether there is room.
bool ObjectStore::is_too_early(const Queued& queued) const {
  std::size_t loan = next_loan_;
  if (loan < loans_.size() && loans_[loan].first < begun_) ++loan;
  return loan < loans_.size() && loans_[loan].first <= queued.use && begun_ < queued.from;
}

/// Of an object, in shared memory.
std::size_t ObjectStore::shared_rows(const Object& o) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(o.pages, [&](std::uint32_t page) { return page < shared_pages_; }));
}

/// An idle object, to other pages if there are any; what is needed last has to go. Transfers that are not settled yet
/// will be settled where it lies then.
void ObjectStore::move_out(std::uint32_t object) {
  Object& o = objects_[object];
  const std::size_t count = shared_rows(o);
  if (!running_) return drop(object);
  if (!drop_leftovers(count) && !o.pages.empty()) make_room(count);
  if (o.pages.empty()) return;
  std::vector<std::uint32_t> others = free_.take(count);
  for (std::uint32_t& index : o.pages) {
    if (index >= shared_pages_) continue;
    std::memcpy(page(others.back()), page(index), row_bytes_);
    index = others.back();
    others.pop_back();
  }
}

void ObjectStore::begin_clearing() {
  loan_ = Loan::kClearing;
  free_.close(shared_pages_);
  for (std::uint32_t i = 0; i < objects_.size(); ++i) {
    if (shared_rows(objects_[i]) > 0) in_the_way_.push_back(i);
  }
}

/// What is in use or on its way has to wait for another time.
void ObjectStore::clear_idle() {
  std::erase_if(in_the_way_, [&](std::uint32_t object) {
    const Object& o = objects_[object];
    if (shared_rows(o) > 0 && is_idle(o)) move_out(object);
    return shared_rows(o) == 0;
  });
  if (!in_the_way_.empty()) return;
  loan_ = Loan::kReady;
  ++figures_.cleared;
  notify();
}

/// For objects again, once whoever borrowed it has given all of it back.
void ObjectStore::use_shared(Starts& starts) {
  if (loan_ == Loan::kLent) shared_ = Buffer<std::byte>::at(first_page_, std::size_t{shared_pages_} * row_bytes_);
  if (shared_.empty()) return;
  std::vector<std::uint32_t> held;
  for (const std::uint32_t object : std::exchange(in_the_way_, {})) {
    held.insert(held.end(), objects_[object].pages.begin(), objects_[object].pages.end());
  }
  free_.open(held);
  loan_ = Loan::kUsed;
  pump(starts);
}

/// To somebody who needs a block now. Whether it is worth looking for one again.
bool ObjectStore::lend() {
  const auto until = std::chrono::steady_clock::now() + kLendPatience;
  std::unique_lock lock = spin_lock(mutex_);
  if (loan_ == Loan::kLent) return false;
  if (loan_ == Loan::kUsed) begin_clearing();
  ++borrowers_;
  while (true) {
    if (loan_ == Loan::kClearing) clear_idle();
    if (loan_ != Loan::kClearing || std::chrono::steady_clock::now() > until) break;
    wait_a_little(lock);
  }
  --borrowers_;
  if (loan_ == Loan::kClearing) return false;
  if (loan_ == Loan::kReady) {
    shared_ = {};
    loan_ = Loan::kLent;
    ++figures_.loans;
  }
  return true;
}

}  // namespace hearth::memory
