#include "runtime/residency.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "base/block_cache.h"
#include "base/buffer.h"
#include "base/dry_run.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "ring/packed.h"
#include "runtime/loan.h"

namespace hearth::runtime {
namespace {

constexpr std::uint32_t kUnused = static_cast<std::uint32_t>(-1);

// Working memory is cut from chunks in blocks of many sizes, between which gaps remain.
constexpr std::uint64_t kGapShare = 8, kGaps = std::uint64_t{1} << 20;

constexpr std::uint64_t kUseBytes = 48;  // of a use in the sequence, the plan and the store
// Of one core for a byte that is fetched: submission, interrupts, and a checksum at the speed of memory. Measured as
// the difference of the processor time of two runs, docs/experiments.md.
constexpr double kMovingSeconds = 0.22e-9;
constexpr std::uint64_t kAhead = 16;  // objects
/// Recipes are worth their memory if the rows take so many times as much.
constexpr std::uint64_t kRecipeShare = 4;
/// Share of the time that making rows anew must save, by prediction, which thinks too little of what it costs. Where
/// waits are less there is no need to plan for it.
constexpr double kGain = 0.03;

/// Smaller loans are not worth the trouble.
constexpr std::uint64_t kLeastLoan = std::uint64_t{256} << 10;
constexpr std::size_t kGuard = 16;  // uses

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

/// Rows of one source, in the store, or only spoken of in a dry run.
class StoredRows : public ckks::RowSource {
 public:
  StoredRows(Residency& residency, std::uint32_t source, std::size_t limbs, std::size_t rows)
      : residency_(residency), source_(source), limbs_(limbs), rows_(rows) {}

  std::uint32_t number() const { return source_; }
  std::size_t limbs() const override { return limbs_; }
  std::size_t rows() const override { return rows_; }

  void acquire(std::size_t limb, std::span<const std::uint32_t*> out) const override {
    if (dry_run()) return residency_.record(source_, limb, out.size());
    std::array<const std::byte*, kMostRows> pointers;
    require(out.size() <= kMostRows, ErrorKind::kInternal, "a limb of {} rows was asked for, at most {} are supported",
            out.size(), kMostRows);
    residency_.store_->acquire(residency_.object_of(source_, limb), std::span(pointers).first(out.size()));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = reinterpret_cast<const std::uint32_t*>(pointers[i]);
  }

  void release(std::size_t limb) const noexcept override {
    if (dry_run()) return residency_.record_release(source_, limb);
    residency_.store_->release(residency_.object_of(source_, limb));
  }

 private:
  static constexpr std::size_t kMostRows = 1024;
  Residency& residency_;
  std::uint32_t source_;
  std::size_t limbs_, rows_;
};

namespace {

std::uint64_t total_bytes(const memory::AccessSequence& sequence) {
  std::uint64_t sum = 0;
  for (const memory::PlannedObject& object : sequence.objects) sum += object.bytes;
  return sum;
}

double moving_seconds(const memory::Plan& plan) {
  return kMovingSeconds * static_cast<double>(plan.figures.read_bytes) / threads();
}

std::uint32_t number_of(const ckks::RowSource& source) { return dynamic_cast<const StoredRows&>(source).number(); }

}  // namespace

Residency::Residency(std::size_t row_words)
    : row_words_(row_words), row_bytes_(block_bytes(ring::packed_words(row_words) * sizeof(std::uint32_t))) {
  require(row_words % ring::kPackGroup == 0, ErrorKind::kInvalidArgument,
          "rows of {} residues cannot be stored: their number must be a multiple of {}", row_words, ring::kPackGroup);
}

Residency::~Residency() = default;

std::shared_ptr<const ckks::RowSource> Residency::add(memory::ObjectClass kind, std::size_t limbs, std::size_t rows) {
  const auto number = static_cast<std::uint32_t>(kinds_.size());
  kinds_.push_back(kind);
  rows_used_.emplace_back(limbs, 0);
  return std::make_shared<StoredRows>(*this, number, limbs, rows);
}

void Residency::record_instruction(std::size_t index) {
  require(index == first_record_.size(), ErrorKind::kInternal, "instruction {} is recorded out of order", index);
  first_record_.push_back(records_.size());
  start_.push_back(DryRun::seconds());
}

void Residency::record_working_bytes(std::size_t bytes, std::size_t small) {
  working_bytes_ = std::max<std::uint64_t>(working_bytes_, bytes + small);
  std::uint64_t& around = records_.empty() ? always_bytes_ : records_.back().working;
  around = std::max<std::uint64_t>(around, bytes);
}

void Residency::record(std::uint32_t source, std::size_t limb, std::size_t rows) {
  const double now = DryRun::seconds();
  const std::size_t held = DryRun::take_peak_bytes();
  record_working_bytes(held);
  records_.push_back({source, static_cast<std::uint32_t>(limb), now, now, held});
  rows_used_[source][limb] = std::max(rows_used_[source][limb], static_cast<std::uint32_t>(rows));
}

void Residency::record_release(std::uint32_t source, std::size_t limb) {
  // One thread goes through everything, so what was acquired last is released first.
  for (std::size_t r = records_.size(); r-- > 0;) {
    if (records_[r].source != source || records_[r].limb != limb) continue;
    records_[r].end = DryRun::seconds();
    return;
  }
}

void Residency::begin_part() { part_ = {.first = records_.size(), .last = 0, .begin = DryRun::seconds(), .end = 0}; }

void Residency::end_part() {
  part_.last = records_.size();
  part_.end = DryRun::seconds();
}

void Residency::repeat_part() {
  const double later = DryRun::seconds() - part_.begin;
  for (std::size_t r = part_.first; r < part_.last; ++r) {
    Record record = records_[r];
    record.begin += later;
    record.end += later;
    records_.push_back(record);
  }
  add_dry_seconds(part_.end - part_.begin);
}

/// Objects are the limbs of sources that are used, in the order of their first use, so that those used together lie
/// together.
void Residency::build_sequence(std::span<const double> seconds) {
  const double dry_total = start_.back() - start_.front(), total = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  if (dry_total > 0 && total > 0) seconds_per_dry_ = total / dry_total;
  for (const auto& limbs : rows_used_) objects_.emplace_back(limbs.size(), kUnused);
  for (std::size_t i = 0; i + 1 < first_record_.size(); ++i) {
    const std::size_t last = first_record_[i + 1];
    const double until = start_[i + 1], dry = until - start_[i];
    const bool known = !seconds.empty() && seconds[i] > 0 && dry > 0;
    const double factor = known ? seconds[i] / dry : 1.0;
    // Threads work side by side on what the dry run went through one after the other.
    const auto at = [&](std::size_t r) { return records_.begin() + static_cast<std::ptrdiff_t>(r); };
    std::stable_sort(at(first_record_[i]), at(last),
                     [](const Record& a, const Record& b) { return a.begin < b.begin; });
    for (std::size_t r = first_record_[i]; r < last; ++r) {
      const Record& record = records_[r];
      std::uint32_t& object = objects_[record.source][record.limb];
      if (object == kUnused) {
        object = static_cast<std::uint32_t>(sequence_.objects.size());
        sequence_.objects.push_back({.bytes = rows_used_[record.source][record.limb] * row_bytes_,
                                     .kind = kinds_[record.source],
                                     .created = false,
                                     .recompute_seconds = memory::kNever});
      }
      const double next = r + 1 < last ? records_[r + 1].begin : until;
      std::size_t with = r;  // the last use that begins while this one lasts
      while (with + 1 < last && records_[with + 1].begin < record.end) ++with;
      sequence_.uses.push_back({.object = object,
                                .seconds = (next - record.begin) * factor,
                                .last = static_cast<std::uint32_t>(with),
                                .writes = false});
    }
  }
}

/// How the limit is shared. Returns the least that the store works with.
std::uint64_t Residency::share_memory(std::uint64_t limit, const Taken& taken) {
  std::uint64_t largest = 0;
  for (const memory::PlannedObject& object : sequence_.objects) {
    largest = std::max(largest, object.bytes);
    forecast_.working_set[static_cast<std::size_t>(object.kind)] += object.bytes;
  }
  const bool tier = tier_ != nullptr;
  const std::uint64_t total = total_bytes(sequence_);
  // Every thread may hold one object while another is on its way.
  const std::uint64_t at_once = largest * static_cast<std::uint64_t>(threads() + 1);
  const std::uint64_t least = tier ? std::min(total, std::max(memory::smallest_capacity(sequence_), at_once)) : total;
  MemoryForecast& f = forecast_;
  f.limit = limit;
  f.process_bytes = taken.process + kUseBytes * sequence_.uses.size();
  f.fixed_bytes = taken.fixed;
  // Arenas of threads that have worked already are among what is taken.
  const std::uint64_t arenas = static_cast<std::uint64_t>(threads()) * kScratchArena;
  f.working_bytes = working_bytes_ + working_bytes_ / kGapShare + kGaps + arenas -
                    std::min<std::uint64_t>(arenas, scratch_arena_bytes());
  f.working_set[static_cast<std::size_t>(memory::ObjectClass::kCiphertext)] = f.working_bytes;
  const std::uint64_t others = f.process_bytes + f.fixed_bytes + f.working_bytes;
  f.smallest = others + least;
  require(f.limit >= f.smallest, ErrorKind::kResource,
          "{} MiB of memory are too little: this program needs at least {} MiB {} ({} MiB of code and program, {} MiB "
          "of tables, {} MiB of live ciphertexts and what is between them, {} MiB of keys and plaintexts)",
          f.limit >> 20, (f.smallest >> 20) + 1, tier ? "with this tier" : "without a tier", f.process_bytes >> 20,
          f.fixed_bytes >> 20, f.working_bytes >> 20, least >> 20);
  f.store_bytes = std::min(total, f.limit - others);
  if (tier) {
    f.tier = tier_->name();
    f.emulated = tier_->emulated();
  }
  return least;
}

/// Lets the store have a part of the working memory while that is not needed.
void Residency::lend_memory() {
  const std::uint64_t missing = total_bytes(sequence_) - forecast_.store_bytes;
  if (forecast_.store_bytes < kLeastLoan) return;
  std::vector<std::uint64_t> held;
  for (const Record& record : records_) held.push_back(record.working);
  const std::size_t guard = kGuard + 4 * static_cast<std::size_t>(threads());
  const Loan loan = choose_loan(sequence_.uses, held, always_bytes_, missing, row_bytes_, guard);
  if (loan.bytes < kLeastLoan) return;
  forecast_.lent_bytes = loan.bytes;
  for (std::size_t u = 0; u < loan.due.size(); ++u) sequence_.uses[u].beside = loan.due[u] != 0 ? loan.bytes : 0;
}

/// Plans again for less room, in which objects with recipes can be made anew instead, and takes what is faster.
void Residency::plan_with_recipes(std::uint64_t least) {
  constexpr std::size_t kUses = 4;  // of an object, from which on a recipe may be worth its memory
  std::vector<std::size_t> uses(sequence_.objects.size());
  for (const memory::Use& use : sequence_.uses) ++uses[use.object];
  std::erase_if(recipes_, [&](const auto& entry) {
    return std::ranges::all_of(objects_[entry.first],
                               [&](std::uint32_t object) { return object == kUnused || uses[object] < kUses; });
  });
  std::uint64_t bytes = 0;
  for (const auto& [source, recipe] : recipes_) bytes += recipe.bytes;
  const auto seconds = [&](const memory::Plan& plan) { return plan.figures.seconds + moving_seconds(plan); };
  if (bytes > 0 && bytes + least + forecast_.lent_bytes <= plan_options_.capacity) {
    memory::AccessSequence sequence = sequence_;
    for (const auto& [source, recipe] : recipes_) {
      for (const std::uint32_t object : objects_[source]) {
        if (object != kUnused) sequence.objects[object].recompute_seconds = recipe.dry_seconds * seconds_per_dry_;
      }
    }
    memory::PlanOptions options = plan_options_;
    options.capacity = (options.capacity - bytes) / row_bytes_ * row_bytes_;
    memory::Plan plan = memory::make_plan(sequence, options);
    if (seconds(plan) < (1 - kGain) * seconds(plan_)) {
      forecast_.recipe_bytes = bytes;
      forecast_.store_bytes -= bytes;
      sequence_ = std::move(sequence);
      plan_options_ = options;
      plan_ = std::move(plan);
    }
  }
  if (forecast_.recipe_bytes == 0) return;
  for (const auto& [source, recipe] : recipes_) {
    for (std::size_t limb = 0; limb < objects_[source].size(); ++limb) {
      if (objects_[source][limb] != kUnused) made_from_[objects_[source][limb]] = {source, limb};
    }
  }
}

void Residency::make_rows(std::uint32_t object, std::span<std::byte* const> rows) const {
  const auto [source, limb] = made_from_.at(object);
  Scratch<std::uint32_t> words(row_words_);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    recipes_.at(source).make(limb, r, words.data());
    ring::pack_words(reinterpret_cast<std::uint32_t*>(rows[r]), words.data(), row_words_);
  }
}

void Residency::plan(MemoryOptions options, std::span<const double> seconds, const Taken& taken) {
  const double start = now();
  build_sequence(seconds);
  tier_ = std::move(options.tier);
  const std::uint64_t least = share_memory(options.limit, taken), total = total_bytes(sequence_);
  plan_options_.tier = tier_ != nullptr && forecast_.store_bytes < total;
  if (plan_options_.tier) lend_memory();
  records_ = {};
  const std::uint64_t room = forecast_.store_bytes + forecast_.lent_bytes;
  if (tier_) plan_options_.speed = tier_->speed();
  // What the plan leaves free lets fetches run ahead of uses that come in another order than planned.
  const std::uint64_t ahead = plan_options_.tier ? kAhead * total / sequence_.objects.size() : 0;
  plan_options_.capacity =
      std::max(least + forecast_.lent_bytes, (room - std::min(room, ahead)) / row_bytes_ * row_bytes_);
  plan_options_.moving_seconds = kMovingSeconds / threads();
  plan_ = memory::make_plan(sequence_, plan_options_);
  if (plan_.figures.wait_seconds > kGain * plan_.figures.seconds) plan_with_recipes(least);
  if (forecast_.recipe_bytes == 0) recipes_.clear();
  forecast_.figures = plan_.figures;
  forecast_.moving_seconds = moving_seconds(plan_);
  forecast_.planning_seconds = now() - start;
  malloc_trim(0);
}

void Residency::open() {
  store_ = std::make_unique<memory::ObjectStore>(memory::ObjectStore::Options{
      .capacity = forecast_.store_bytes + forecast_.lent_bytes,
      .shared = forecast_.lent_bytes,
      .row_bytes = row_bytes_,
      .tier = std::move(tier_),
      .objects = sequence_.objects,
      .make = [this](std::uint32_t object, std::span<std::byte* const> rows) { make_rows(object, rows); }});
}

void Residency::put_rows(const ckks::RowSource& source, std::size_t limb, std::span<const std::uint32_t* const> rows) {
  const std::uint32_t number = number_of(source), used = rows_used_[number][limb];
  if (used == 0) return;
  const std::size_t pitch = row_bytes_ / sizeof(std::uint32_t), packed = ring::packed_words(row_words_);
  Scratch<std::uint32_t> words(used * pitch);
  std::vector<const std::byte*> bytes;
  for (std::size_t r = 0; r < used; ++r) {
    std::uint32_t* const out = words.data() + r * pitch;
    ring::pack_words(out, rows[r], row_words_);
    std::fill(out + packed, out + pitch, 0);
    bytes.push_back(reinterpret_cast<const std::byte*>(out));
  }
  store_->put(object_of(number, limb), bytes);
}

std::shared_ptr<const ckks::RowSource> Residency::place(std::size_t limbs, std::size_t rows) {
  if (dry_run()) return places_.emplace_back(add(memory::ObjectClass::kPlaintext, limbs, rows));
  require(next_place_ < places_.size(), ErrorKind::kInternal, "more diagonals are encoded than the dry run saw");
  const auto& place = places_[next_place_++];
  require(place->limbs() == limbs && place->rows() == rows, ErrorKind::kInternal,
          "diagonals of {} limbs and {} rows are encoded where the dry run saw {} and {}", limbs, rows, place->limbs(),
          place->rows());
  return place;
}

void Residency::put(const ckks::RowSource& place, std::size_t limb, std::span<const std::uint32_t> words) {
  if (dry_run()) return;
  const std::size_t n = row_words_, whole = words.size() / n;
  std::vector<const std::uint32_t*> rows;
  for (std::size_t r = 0; r < whole; ++r) rows.push_back(words.data() + r * n);
  Buffer<std::uint32_t> last;
  if (words.size() > whole * n) {
    last = Buffer<std::uint32_t>::zeros(n);
    std::copy(words.begin() + static_cast<std::ptrdiff_t>(whole * n), words.end(), last.data());
    rows.push_back(last.data());
  }
  put_rows(place, limb, rows);
}

void Residency::learn(const ckks::RowSource& place, ckks::RowRecipe recipe) {
  const std::uint32_t number = number_of(place);
  if (!dry_run()) {
    const auto found = recipes_.find(number);
    if (found == recipes_.end()) return;
    require(recipe.bytes <= found->second.bytes, ErrorKind::kInternal,
            "{} bytes are needed to make rows anew, planned were {}", recipe.bytes, found->second.bytes);
    found->second.make = std::move(recipe.make);
    return;
  }
  const std::uint64_t rows = std::uint64_t{place.limbs()} * place.rows() * row_bytes_;
  if (recipe.bytes * kRecipeShare <= rows) recipes_[number] = std::move(recipe);
}

memory::AccessSequence Residency::tail(std::size_t first) const {
  memory::AccessSequence out{.objects = sequence_.objects, .uses = {}};
  const std::size_t from = first_record_[first];
  for (std::size_t u = from; u < sequence_.uses.size(); ++u) {
    out.uses.push_back(sequence_.uses[u]);
    out.uses.back().last -= static_cast<std::uint32_t>(from);
  }
  return out;
}

void Residency::begin(std::size_t first) {
  if (first == 0) return store_->begin(sequence_, plan_);
  tail_ = tail(first);
  tail_plan_ = memory::make_plan(tail_, plan_options_);
  store_->begin(tail_, tail_plan_);
}

}  // namespace hearth::runtime
