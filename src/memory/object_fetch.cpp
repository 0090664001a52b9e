// How objects come from the tier: fetches by plan, out of order where need be, and verified.
#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "base/error.h"
#include "base/spin_lock.h"
#include "base/trace.h"
#include "memory/object_store.h"

namespace hearth::memory {
namespace {

constexpr std::uint8_t kAttempts = 2;

}  // namespace

/// Takes pages, which must be there, and prepares the transfers.
void ObjectStore::load(std::uint32_t object, Starts& starts) {
  Object& o = objects_[object];
  if (o.pages.empty()) take_pages(object);
  o.state = State::kLoading;
  for_each_piece(object, [&](const Transfer& transfer) {
    starts.push_back({object, transfer});
    ++o.transfers;
    ++in_flight_;
  });
  ++figures_.fetches;
  figures_.read_bytes += info_[object].bytes;
}

/// Starts what the plan wants next, as far as memory and the tier allow.
void ObjectStore::pump(Starts& starts) {
  if (!running_) return;
  for (; next_fetch_ < queue_.size(); ++next_fetch_) {
    const std::uint32_t use = queue_[next_fetch_].use, object = sequence_->uses[use].object;
    Object& o = objects_[object];
    const std::uint32_t next = next_use(object);
    if (next == kNoUse || next > use) continue;                           // has been used already
    if (next < use || (o.state != State::kAbsent && o.pins > 0)) return;  // an earlier use is still to come or to end
    if (is_too_early(queue_[next_fetch_])) return;
    o.planned = true;
    o.fetched_for = use;
    o.fetch = next_fetch_;
    if (o.state != State::kAbsent) continue;
    if (make_ && is_made(use)) {
      if (!drop_leftovers(rows_of(object))) return;
      reserve(object);
      continue;
    }
    if (in_flight_ >= tier_->depth() || !drop_leftovers(rows_of(object))) return;
    o.attempts = 0;
    load(object, starts);
  }
}

void ObjectStore::start(Starts& starts) {
  for (const auto& [object, transfer] : starts) {
    try {
      const std::int64_t begin = trace::enabled() ? trace::clock() : 0;
      const std::size_t bytes = transfer.memory.size();
      tier_->start(transfer, [this, id = object, begin, bytes](const std::exception_ptr& error) {
        if (begin != 0) trace_transfer(begin, bytes);
        transferred(id, error);
      });
    } catch (...) {
      transferred(object, std::current_exception());
    }
  }
  starts.clear();
}

/// Transfers overlap; what is shown of one is the time since the tier ended the one before.
void ObjectStore::trace_transfer(std::int64_t begin, std::size_t bytes) {
  const auto lock = spin_lock(mutex_);
  const std::int64_t end = trace::clock();
  trace::span(track_, trace::Category::kRead, "fetch", std::max(begin, last_transfer_), end,
              static_cast<double>(bytes));
  last_transfer_ = end;
}

void ObjectStore::transferred(std::uint32_t object, const std::exception_ptr& error) {
  Starts starts;
  {
    const auto lock = spin_lock(mutex_);
    Object& o = objects_[object];
    if (error) o.error = error;
    --o.transfers;
    --in_flight_;
    if (o.transfers == 0) {
      if (!o.error) {
        o.state = State::kLoaded;
      } else if (++o.attempts < kAttempts && running_) {
        o.error = nullptr;
        ++figures_.retries;
        load(object, starts);
      } else {
        drop(object);  // whoever needs it finds the error
      }
    }
    pump(starts);
    notify();
  }
  start(starts);
}

std::uint64_t ObjectStore::checksum_of(std::uint32_t object) {
  std::uint64_t sum = 0;
  for (const std::uint32_t index : objects_[object].pages) sum = checksum64({page(index), row_bytes_}, sum);
  return sum;
}

/// By the first thread that needs it, which reads the data anyway.
void ObjectStore::verify_contents(std::uint32_t object, std::unique_lock<std::mutex>& lock, Starts& starts) {
  Object& o = objects_[object];
  o.state = State::kVerifying;
  ++held_;  // others may hope that it will be released
  lock.unlock();
  for_each_piece(object, [&](const Transfer& transfer) { tier_->settle(transfer); });
  const bool right = checksum_of(object) == o.checksum;
  lock = spin_lock(mutex_);
  --held_;
  if (right) {
    o.state = State::kResident;
  } else if (++o.attempts < kAttempts) {
    ++figures_.retries;
    load(object, starts);
  } else {
    drop(object);
    o.error = std::make_exception_ptr(
        Error(ErrorKind::kCorrupt, fmt::format("tier {} gave back other data than were written to it", tier_->name())));
  }
  notify();
}

/// Takes pages, which must be there, for contents to be made. Nothing to wait for: false.
bool ObjectStore::reserve(std::uint32_t object) {
  take_pages(object);
  objects_[object].state = State::kReserved;
  return false;
}

/// By the thread that needs them.
void ObjectStore::make_contents(std::uint32_t object, std::unique_lock<std::mutex>& lock) {
  Object& o = objects_[object];
  o.state = State::kVerifying;
  std::vector<std::byte*> rows;
  for (const std::uint32_t index : o.pages) rows.push_back(page(index));
  ++held_;
  lock.unlock();
  try {
    make_(object, rows);
  } catch (...) {
    lock.lock();
    --held_;
    drop(object);
    notify();
    throw;
  }
  lock.lock();
  --held_;
  o.state = State::kResident;
  ++figures_.made;
  notify();
}

/// One step towards having a pinned object at hand. Whether there is nothing to do but wait; `patient`: for the plan to
/// get to it, as long as there is hope.
bool ObjectStore::step(std::uint32_t object, bool patient, std::unique_lock<std::mutex>& lock, Starts& starts) {
  Object& o = objects_[object];
  if (o.error) std::rethrow_exception(std::exchange(o.error, nullptr));
  if (o.state == State::kLoaded) {
    verify_contents(object, lock, starts);
    return false;
  }
  if (o.state == State::kReserved) {
    make_contents(object, lock);
    return false;
  }
  if (o.state != State::kAbsent) return true;
  require(tier_ != nullptr, ErrorKind::kInternal, "object {} was never put into the store", object);
  const std::uint32_t use = use_of(object, o.started - 1);
  const bool makes = make_ && use != kNoUse && is_made(use);
  if (makes && drop_leftovers(rows_of(object))) return reserve(object);
  // Others will free memory, or what is on its way will be used; then it is this object's turn.
  const bool hopeful = held_ > 0 || in_flight_ > 0;
  if (hopeful && patient) return true;
  if (!make_room(rows_of(object))) {
    require(hopeful, ErrorKind::kResource, "an object of {} bytes does not fit the {} of the store",
            info_[object].bytes, capacity_);
    return true;
  }
  if (makes) return reserve(object);
  o.attempts = 0;
  ++figures_.unplanned;
  load(object, starts);
  return false;
}

}  // namespace hearth::memory
