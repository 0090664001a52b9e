#include "memory/object_store.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/block_cache.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/spin_lock.h"
#include "base/trace.h"

namespace hearth::memory {
namespace {

constexpr double kPollInterval = 50e-6;  // seconds
constexpr double kPatience = 0.001;      // seconds to wait for the plan before an object is fetched out of order

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// At least so many bytes, aligned as tiers need it: small blocks would be aligned for arithmetic only.
Buffer<std::byte> aligned_rows(std::uint64_t bytes, BlockPlace place = BlockPlace::kLow) {
  return Buffer<std::byte>(bytes == 0 ? 0 : std::max<std::uint64_t>(bytes, kMappedBlock), place);
}

}  // namespace

ObjectStore::ObjectStore(Options options)
    : row_bytes_(options.row_bytes),
      tier_(std::move(options.tier)),
      info_(std::move(options.objects)),
      make_(std::move(options.make)),
      objects_(info_.size()) {
  require(row_bytes_ > 0 && (!tier_ || row_bytes_ % tier_->alignment() == 0), ErrorKind::kInvalidArgument,
          "rows of {} bytes cannot be stored on {}", row_bytes_, tier_ ? tier_->name() : "nothing");
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < info_.size(); ++i) {
    require(info_[i].bytes % row_bytes_ == 0, ErrorKind::kInternal, "object {} of {} bytes is not made of rows", i,
            info_[i].bytes);
    objects_[i].tier_offset = total;
    total += info_[i].bytes;
  }
  const std::uint64_t own = options.capacity - options.shared;
  if (total <= own) tier_.reset();
  const std::uint64_t capacity = std::min(tier_ ? options.capacity : own, total) / row_bytes_ * row_bytes_;
  require(total <= capacity || tier_, ErrorKind::kResource,
          "{} bytes of keys and plaintexts do not fit {} of memory, and there is no tier for them; add one with --tier",
          total, options.capacity);
  require(!tier_ || total <= tier_->capacity(), ErrorKind::kResource,
          "{} bytes of keys and plaintexts do not fit the {} of tier {}", total, tier_ ? tier_->capacity() : 0,
          tier_ ? tier_->name() : "");
  capacity_ = capacity;
  take_arena(capacity, tier_ ? options.shared : 0);
  if (tier_) {
    tier_->register_memory({first_page_, capacity});
    track_ = trace::track(tier_->name());
  }
  free_ = PagePool(static_cast<std::uint32_t>(capacity / row_bytes_));
}

void ObjectStore::take_arena(std::uint64_t capacity, std::uint64_t shared) {
  arena_ = aligned_rows(capacity, BlockPlace::kHigh);
  first_page_ = arena_.data();
  if (shared == 0) return;
  require(shared % row_bytes_ == 0 && shared >= kMappedBlock && capacity >= shared + kMappedBlock, ErrorKind::kInternal,
          "{} of {} bytes cannot be shared", shared, capacity);
  shared_ = std::move(arena_);
  arena_ = shared_.split(shared);
  shared_pages_ = static_cast<std::uint32_t>(shared / row_bytes_);
  set_block_lender([this] { return lend(); });
}

ObjectStore::~ObjectStore() {
  if (shared_pages_ > 0) set_block_lender({});
  std::unique_lock lock = spin_lock(mutex_);
  wait_idle(lock);
  lock.unlock();
  if (tier_) tier_->forget_memory();
}

void ObjectStore::wait_idle(std::unique_lock<std::mutex>& lock) {
  while (in_flight_ > 0) wait_a_little(lock);
}

/// Until something has changed, or soon.
void ObjectStore::wait_a_little(std::unique_lock<std::mutex>& lock) {
  const std::uint64_t before = changes_;
  lock.unlock();
  if (tier_) tier_->poll();
  lock = spin_lock(mutex_);
  if (changes_ == before) changed_.wait_for(lock, std::chrono::duration<double>(kPollInterval));
}

void ObjectStore::notify() {
  ++changes_;
  changed_.notify_all();
}

void ObjectStore::put(std::uint32_t object, std::span<const std::byte* const> rows) {
  require(rows.size() == rows_of(object), ErrorKind::kInternal, "object {} of {} rows was given {}", object,
          rows_of(object), rows.size());
  std::uint64_t sum = 0;
  for (const std::byte* row : rows) sum = checksum64({row, row_bytes_}, sum);
  std::vector<std::uint32_t> pages;
  {
    const auto lock = spin_lock(mutex_);
    Object& o = objects_[object];
    o.checksum = sum;
    if (o.pages.empty() && free_.free() >= rows.size()) take_pages(object);
    if (!o.pages.empty()) o.state = State::kVerifying;  // nobody else may take the pages away yet
    pages = o.pages;
  }
  for (std::size_t i = 0; i < pages.size(); ++i) std::memcpy(page(pages[i]), rows[i], row_bytes_);
  try {
    if (tier_) write_out(object, rows);
  } catch (...) {
    const auto lock = spin_lock(mutex_);
    if (!pages.empty()) drop(object);
    throw;
  }
  const auto lock = spin_lock(mutex_);
  if (!pages.empty()) objects_[object].state = State::kResident;
  if (tier_) figures_.written_bytes += info_[object].bytes;
}

/// How many pages from `first` on lie behind one another, up to `most` but one at least.
std::size_t ObjectStore::contiguous(const std::vector<std::uint32_t>& pages, std::size_t first, std::size_t most) {
  std::size_t count = 1;
  while (count < most && first + count < pages.size() && pages[first + count] == pages[first] + count) ++count;
  return count;
}

void ObjectStore::write_out(std::uint32_t object, std::span<const std::byte* const> rows) {
  const std::vector<std::uint32_t>& pages = objects_[object].pages;
  const std::size_t most = std::max<std::size_t>(1, std::min(kLargestTransfer / row_bytes_, rows.size()));
  Buffer<std::byte> staging = aligned_rows(pages.empty() ? most * row_bytes_ : 0);
  for (std::size_t i = 0; i < rows.size();) {
    const std::size_t count = pages.empty() ? std::min(most, rows.size() - i) : contiguous(pages, i, most);
    for (std::size_t k = 0; pages.empty() && k < count; ++k) {
      std::memcpy(staging.data() + k * row_bytes_, rows[i + k], row_bytes_);
    }
    std::byte* const from = pages.empty() ? staging.data() : page(pages[i]);
    transfer_now(*tier_,
                 {Direction::kWrite, objects_[object].tier_offset + i * row_bytes_, {from, count * row_bytes_}});
    i += count;
  }
}

void ObjectStore::begin(const AccessSequence& sequence, const Plan& plan) {
  require(sequence.objects.size() == objects_.size(), ErrorKind::kInternal, "a plan for {} objects in a store of {}",
          sequence.objects.size(), objects_.size());
  std::unique_lock lock = spin_lock(mutex_);
  wait_idle(lock);
  sequence_ = &sequence;
  plan_ = &plan;
  first_use_.assign(objects_.size() + 1, 0);
  for (const Use& use : sequence.uses) ++first_use_[use.object + 1];
  for (std::size_t i = 0; i < objects_.size(); ++i) first_use_[i + 1] += first_use_[i];
  uses_.resize(sequence.uses.size());
  std::vector<std::uint32_t> next(first_use_.begin(), first_use_.end() - 1);
  for (std::uint32_t u = 0; u < sequence.uses.size(); ++u) uses_[next[sequence.uses[u].object]++] = u;
  list_queue();
  list_loans();
  for (std::uint32_t i = 0; i < objects_.size(); ++i) {
    Object& o = objects_[i];
    if (o.state == State::kReserved) drop(i);  // for a use that the run before did not live to see
    o.started = o.ended = 0;
    o.planned = false;
    o.error = nullptr;  // of a fetch that the run before did not live to need
    o.attempts = 0;
  }
  next_fetch_ = 0;
  leftovers_.clear();
  for (std::uint32_t i = 0; i < objects_.size(); ++i) list_leftover(i);
  std::stable_sort(leftovers_.begin(), leftovers_.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return next_use(a) < next_use(b); });
  running_ = true;
  const auto resident = figures_.resident_bytes;
  const std::uint64_t written = figures_.written_bytes;
  figures_ = {};
  figures_.resident_bytes = figures_.peak_bytes = resident;
  figures_.written_bytes = written;
  for (const std::uint64_t bytes : resident) figures_.peak_total += bytes;
  Starts starts;
  pump(starts);
  lock.unlock();
  start(starts);
}

/// Whether the plan lets a use make its object anew.
bool ObjectStore::is_made(std::uint32_t use) const {
  const std::uint32_t object = sequence_->uses[use].object;
  const auto first = uses_.begin() + first_use_[object], last = uses_.begin() + first_use_[object + 1];
  const auto found = std::lower_bound(first, last, use);
  return found != first && plan_->after[*std::prev(found)] == After::kRecompute;
}

/// Fetches in their order, and what is made anew before the first fetch that may start after it.
void ObjectStore::list_queue() {
  queue_.clear();
  std::size_t fetch = 0;
  const auto add_fetches = [&](std::uint32_t until) {
    for (; fetch < plan_->fetches.size() && plan_->fetch_from[fetch] <= until; ++fetch) {
      queue_.push_back({plan_->fetches[fetch], plan_->fetch_from[fetch]});
    }
  };
  const bool makes = make_ && std::ranges::find(plan_->after, After::kRecompute) != plan_->after.end();
  for (std::uint32_t use = 0; makes && use < sequence_->uses.size(); ++use) {
    if (!is_made(use)) continue;
    add_fetches(use);
    queue_.push_back({use, use});
  }
  add_fetches(kNoUse);
}

void ObjectStore::end() noexcept {
  std::unique_lock lock = spin_lock(mutex_);
  running_ = false;
  wait_idle(lock);
  sequence_ = nullptr;
  plan_ = nullptr;
}

StoreFigures ObjectStore::figures() const {
  const auto lock = spin_lock(mutex_);
  return figures_;
}

/// The use of an object with that number in the run, or kNoUse.
std::uint32_t ObjectStore::use_of(std::uint32_t object, std::uint32_t number) const {
  const std::size_t at = std::size_t{first_use_[object]} + number;
  return at < first_use_[object + 1] ? uses_[at] : kNoUse;
}

/// Of the uses that have not begun.
std::uint32_t ObjectStore::next_use(std::uint32_t object) const { return use_of(object, objects_[object].started); }

void ObjectStore::take_pages(std::uint32_t object) {
  Object& o = objects_[object];
  o.pages = free_.take(rows_of(object));
  auto& resident = figures_.resident_bytes;
  const auto kind = static_cast<std::size_t>(info_[object].kind);
  resident[kind] += info_[object].bytes;
  figures_.peak_bytes[kind] = std::max(figures_.peak_bytes[kind], resident[kind]);
  trace_resident(info_[object].kind);
  std::uint64_t total = 0;
  for (const std::uint64_t bytes : resident) total += bytes;
  figures_.peak_total = std::max(figures_.peak_total, total);
}

void ObjectStore::drop(std::uint32_t object) {
  Object& o = objects_[object];
  free_.give(o.pages);
  o.pages.clear();
  o.state = State::kAbsent;
  o.planned = false;
  figures_.resident_bytes[static_cast<std::size_t>(info_[object].kind)] -= info_[object].bytes;
  trace_resident(info_[object].kind);
}

void ObjectStore::trace_resident(ObjectClass kind) const {
  if (!trace::enabled()) return;
  trace::counter("resident", to_string(kind),
                 static_cast<double>(figures_.resident_bytes[static_cast<std::size_t>(kind)]));
}

/// Here, or with memory to be made in, and nobody's at the moment.
bool ObjectStore::is_idle(const Object& o) {
  return o.pins == 0 && (o.state == State::kResident || o.state == State::kLoaded || o.state == State::kReserved);
}

void ObjectStore::list_leftover(std::uint32_t object) {
  const Object& o = objects_[object];
  if (!o.planned && is_idle(o)) leftovers_.push_back(object);
}

/// Frees rows by dropping what is here though the plan does not ask for it. Whether there are enough.
bool ObjectStore::drop_leftovers(std::size_t rows) {
  while (free_.free() < rows && !leftovers_.empty()) {
    const std::uint32_t object = leftovers_.back();
    leftovers_.pop_back();
    const Object& o = objects_[object];
    if (!o.planned && is_idle(o)) drop(object);
  }
  return free_.free() >= rows;
}

/// Frees rows by dropping objects that nobody uses: best those that were fetched for a use still to come, which the
/// queue then fetches again; the one needed last first. Whether there are enough.
bool ObjectStore::make_room(std::size_t rows) {
  while (free_.free() < rows) {
    std::uint32_t victim = kNoUse;
    std::pair<bool, std::uint32_t> best;
    for (std::uint32_t i = 0; i < objects_.size(); ++i) {
      const Object& o = objects_[i];
      const std::pair value{!o.planned || o.fetched_for == next_use(i), next_use(i)};
      if (!is_idle(o) || (victim != kNoUse && value <= best)) continue;
      victim = i;
      best = value;
    }
    if (victim == kNoUse) return false;
    if (objects_[victim].planned && best.first) next_fetch_ = std::min(next_fetch_, objects_[victim].fetch);
    drop(victim);
  }
  return true;
}

void ObjectStore::acquire(std::uint32_t object, std::span<const std::byte*> rows) {
  Starts starts;
  std::unique_lock lock = spin_lock(mutex_);
  Object& o = objects_[object];
  require(running_, ErrorKind::kInternal, "object {} is used outside of a run", object);
  follow_loans(lock, starts);
  ++o.started;
  ++o.pins;
  try {
    double since = 0;
    const std::int64_t begin = trace::enabled() ? trace::clock() : 0;
    while (o.state != State::kResident) {
      const bool patient = since == 0 || now() - since < kPatience;
      const bool waits = step(object, patient, lock, starts);
      if (!starts.empty()) {
        lock.unlock();
        start(starts);
        lock.lock();
      }
      if (!waits) continue;
      if (since == 0) since = now();
      wait_a_little(lock);
    }
    if (since != 0) {
      const double waited = now() - since;
      ++figures_.waits;
      if (begin != 0) {
        trace::span(trace::thread_track(), trace::Category::kWait, to_string(info_[object].kind), begin,
                    trace::clock());
      }
      figures_.wait_seconds += waited;
      if (!o.used) figures_.first_wait_seconds += waited;
    }
  } catch (...) {
    --o.pins;
    --o.started;
    notify();
    throw;
  }
  o.used = true;
  ++held_;
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = page(o.pages[i]);
}

/// Gives the object up if the plan says so of its latest use to end.
void ObjectStore::finish_use(std::uint32_t object) {
  Object& o = objects_[object];
  --o.pins;
  --held_;
  ++o.ended;
  if (o.pins > 0 || plan_ == nullptr) return;
  const std::uint32_t use = use_of(object, o.ended - 1);
  const After after = use != kNoUse ? plan_->after[use] : After::kDead;
  o.planned = after == After::kKeep;
  if (tier_ && (after == After::kEvict || after == After::kRecompute)) return drop(object);
  list_leftover(object);
}

void ObjectStore::release(std::uint32_t object) noexcept {
  Starts starts;
  {
    const auto lock = spin_lock(mutex_);
    finish_use(object);
    if (tier_) pump(starts);
    notify();
  }
  start(starts);
  if (tier_) tier_->poll();
}

}  // namespace hearth::memory
