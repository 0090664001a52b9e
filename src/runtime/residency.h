#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ckks/row_source.h"
#include "memory/object_store.h"

namespace hearth::runtime {

/// A budget of memory, and where data go that it has no room for.
struct MemoryOptions {
  std::uint64_t limit = 0;             ///< bytes of DRAM for the whole process
  std::unique_ptr<memory::Tier> tier;  ///< may be null: then all keys must fit
};

/// What a budget means for a program, known before it runs.
struct MemoryForecast {
  std::uint64_t limit = 0, smallest = 0;  ///< bytes; the least that this program can run in, with the same tier
  std::uint64_t process_bytes = 0;        ///< code, libraries, the program: all that is not in Buffers
  std::uint64_t fixed_bytes = 0;          ///< tables and what else stays
  std::uint64_t working_bytes = 0;        ///< most that live ciphertexts and what is between them take
  std::uint64_t store_bytes = 0;          ///< for keys and plaintexts
  std::uint64_t lent_bytes = 0;           ///< of working_bytes: for keys and plaintexts as well, most of the time
  std::uint64_t recipe_bytes = 0;         ///< for making plaintexts anew, if the plan does; not part of the others
  /// Bytes of all objects that the program uses, by class; keys and plaintexts packed.
  std::array<std::uint64_t, memory::kObjectClasses> working_set{};
  std::string tier;  ///< its name; empty without
  bool emulated = false;
  memory::PlanFigures figures;
  double moving_seconds = 0;  ///< of computing that starting and verifying transfers costs
  double seconds() const { return figures.seconds + moving_seconds; }
  double planning_seconds = 0;
};

/// Which rows of keys and diagonals a program uses when, found out by dry runs, and the store that they lie in for
/// real. First sources are added and every instruction is gone through in a dry run between record_instruction() calls;
/// then plan() and open(); then contents are put; then runs. As the store of rows of encoded diagonals it is asked for
/// the same places twice, in the same order: in the dry run, where contents are left out, and for real. Recording is
/// for one thread, runs are one at a time; rows may be acquired by any thread.
class Residency : public ckks::RowStore {
 public:
  /// `row_words`: residues of a row, a multiple of ring::kPackGroup.
  explicit Residency(std::size_t row_words);
  ~Residency() override;

  /// Rows of a new source; it outlives this object but cannot be used without it.
  std::shared_ptr<const ckks::RowSource> add(memory::ObjectClass kind, std::size_t limbs, std::size_t rows);

  /// What follows is done by instruction `index`; they come in order, and their number after the last one.
  void record_instruction(std::size_t index);
  /// What is recorded between these two is done again at every repeat_part(), by the same instruction.
  void begin_part();
  void end_part();
  void repeat_part();
  /// Bytes that were held at most since the last use, besides the fixed ones; `small`: in blocks too small to be lent.
  void record_working_bytes(std::size_t bytes, std::size_t small = 0);

  /// What a process has taken before a plan is made.
  struct Taken {
    std::uint64_t process = 0;  ///< outside of Buffers
    std::uint64_t fixed = 0;    ///< chunks of Buffers that stay
  };
  /// Ends the recording. `seconds`: predicted, by instruction; empty if unknown. Error(kResource) naming the smallest
  /// limit if this one cannot work.
  void plan(MemoryOptions options, std::span<const double> seconds, const Taken& taken);
  /// Takes the store's memory. Once, after plan(), when the limit of Buffers is set.
  void open();
  const MemoryForecast& forecast() const { return forecast_; }
  const memory::AccessSequence& sequence() const { return sequence_; }
  const memory::Plan& residency_plan() const { return plan_; }

  /// Contents of one limb of a source: its rows, not packed. What no instruction uses is let go.
  void put_rows(const ckks::RowSource& source, std::size_t limb, std::span<const std::uint32_t* const> rows);

  std::shared_ptr<const ckks::RowSource> place(std::size_t limbs, std::size_t rows) override;
  void put(const ckks::RowSource& place, std::size_t limb, std::span<const std::uint32_t> words) override;
  /// Recipes are wanted if the plan makes rows anew while the tier is busy.
  void learn(const ckks::RowSource& place, ckks::RowRecipe recipe) override;

  /// Instructions from `first` on are about to run.
  void begin(std::size_t first);
  void end() noexcept { store_->end(); }
  memory::StoreFigures figures() const { return store_->figures(); }

 private:
  friend class StoredRows;
  struct Record {
    std::uint32_t source = 0, limb = 0;
    double begin = 0, end = 0;  // in dry seconds
    std::uint64_t working = 0;  // bytes held at most around the use
  };

  void record(std::uint32_t source, std::size_t limb, std::size_t rows);
  void record_release(std::uint32_t source, std::size_t limb);
  std::uint32_t object_of(std::uint32_t source, std::size_t limb) const { return objects_[source][limb]; }
  void build_sequence(std::span<const double> seconds);
  void plan_with_recipes(std::uint64_t least);
  void make_rows(std::uint32_t object, std::span<std::byte* const> rows) const;
  std::uint64_t share_memory(std::uint64_t limit, const Taken& taken);
  void lend_memory();
  memory::AccessSequence tail(std::size_t first) const;

  std::size_t row_words_, row_bytes_;                           // row_bytes_: packed, in whole pages
  std::vector<memory::ObjectClass> kinds_;                      // by source
  std::vector<std::vector<std::uint32_t>> rows_used_;           // by source and limb
  std::vector<std::vector<std::uint32_t>> objects_;             // by source and limb
  std::vector<std::shared_ptr<const ckks::RowSource>> places_;  // of diagonals
  std::size_t next_place_ = 0;
  std::map<std::uint32_t, ckks::RowRecipe> recipes_;  // by source
  std::map<std::uint32_t, std::pair<std::uint32_t, std::size_t>>
      made_from_;  // source and limb, by object with a recipe
  std::vector<Record> records_;
  std::vector<std::size_t> first_record_;  // by instruction, and the end
  std::vector<double> start_;              // in dry seconds, by instruction, and the end
  struct {
    std::size_t first = 0, last = 0;  // records
    double begin = 0, end = 0;        // dry seconds
  } part_;
  double seconds_per_dry_ = 1;  // over the whole program
  std::uint64_t working_bytes_ = 0;
  std::uint64_t always_bytes_ = 0;  // of working memory, before the first use
  memory::AccessSequence sequence_, tail_;
  memory::Plan plan_, tail_plan_;
  memory::PlanOptions plan_options_;
  MemoryForecast forecast_;
  std::unique_ptr<memory::Tier> tier_;  // until the store has it
  std::unique_ptr<memory::ObjectStore> store_;
};

}  // namespace hearth::runtime
