// Evaluation of a prepared linear map, limb by limb.
#include <algorithm>
#include <bit>
#include <memory>

#include "base/dry_run.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "ckks/linear_map_run.h"
#include "ring/limbs.h"

namespace hearth::ckks {
namespace {

/// All rotated inputs of one block of coefficients should stay in the second-level cache while the sums read them.
constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
constexpr std::size_t kMinBlock = 512;

using Step = PlannedMap::Step;
using Term = PlannedMap::Term;

/// One call of PreparedLinearMap::apply: steps in groups whose sums fit the memory, for each of them the inputs in
/// groups whose rotations fit it, and for those one limb after the other.
class PreparedRun {
 public:
  PreparedRun(const MapRun& run, const PackedDiagonals& diagonals, std::size_t memory)
      : run_(run), diagonals_(diagonals), memory_(memory), totals_(outputs()), out_(outputs()) {}

  std::vector<Ciphertext> apply() {
    const std::size_t fitting = std::max<std::size_t>(1, memory_ / 2 / run_.pair_bytes());
    for (std::size_t begin = 0; begin < steps().size(); begin += fitting) {
      const std::size_t end = std::min(begin + fitting, steps().size());
      multiply_steps(begin, end);
      collect(begin, end);
    }
    for (std::size_t o = 0; o < out_.size(); ++o) {
      if (out_[o].parts.empty()) out_[o] = totals_[o].finish(run_);
    }
    return std::move(out_);
  }

 private:
  /// Steps and inputs that are worked on, and where the rotated inputs of one limb lie.
  struct Group {
    std::size_t first_step;
    std::span<const InputRotation> rotations;
    /// [input - rotations.front().input], null for those that are not rotated.
    std::vector<std::unique_ptr<DigitRows>> digits;
    /// Of maps that are not extended, by rotation: the rotated input, empty for one that is not rotated.
    std::vector<Ciphertext> rotated;
    std::vector<std::size_t> position;  // [index(input, baby)] -> index into rotations, or kNone
    bool accumulate;                    // the sums hold something already
  };
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  std::size_t outputs() const { return static_cast<std::size_t>(run_.map().shape.outputs); }
  const std::vector<Step>& steps() const { return run_.map().steps; }
  std::size_t n() const { return run_.n(); }

  void multiply_steps(std::size_t begin, std::size_t end) {
    sums_.clear();
    for (std::size_t s = begin; s < end; ++s) sums_.push_back(run_.sum());
    const std::vector<InputRotation> all = run_.rotations(begin, end);
    for (std::size_t from = 0; from < all.size();) {
      const std::size_t to = group_end(all, from);
      Group group{.first_step = begin,
                  .rotations = std::span(all).subspan(from, to - from),
                  .digits = {},
                  .rotated = {},
                  .position = std::vector<std::size_t>(run_.index_count(), kNone),
                  .accumulate = from > 0};
      for (std::size_t k = from; k < to; ++k) group.position[run_.index(all[k].input, all[k].baby)] = k - from;
      const std::size_t most = decompose(group);
      for (std::size_t first = 0; first < run_.limbs(); first += most) {
        const std::size_t last = std::min(first + most, run_.limbs());
        raise(group, first, last);
        ring::for_each_limb_in_order(last - first, (to - from) * n(),
                                     [&](std::size_t i) { multiply_limb_of(group, first + i); });
      }
      from = to;
    }
  }

  /// Of one input at least: its coefficients, and what they are raised to in one round.
  std::size_t digit_bytes() const {
    if (!run_.map().extended) return 0;
    const std::size_t raised = raised_at_once(run_.limbs()) * run_.layout().digits().size();
    return (run_.layout().q_limbs() + raised) * n() * sizeof(std::uint32_t);
  }

  /// End of the longest run of whole inputs whose rotations (one limb for each thread, or all over Q) and digits fit
  /// the memory.
  std::size_t group_end(const std::vector<InputRotation>& all, std::size_t from) const {
    const bool whole = !run_.map().extended;
    const std::size_t at_once = whole ? run_.limbs() : std::min(static_cast<std::size_t>(threads()), run_.limbs());
    const std::size_t row_pair = 2 * at_once * n() * sizeof(std::uint32_t);
    std::size_t to = from, inputs = 0;
    while (to < all.size()) {
      std::size_t next = to;
      while (next < all.size() && all[next].input == all[to].input) ++next;
      const bool fits = (next - from) * row_pair <= memory_ / 4 && ++inputs * digit_bytes() <= memory_ / 4;
      if (!fits && to > from) break;
      to = next;
    }
    return to;
  }

  /// Prepares the digits of inputs that are rotated. Returns to how many limbs they can be raised at a time.
  std::size_t decompose(Group& group) const {
    if (!run_.map().extended) {
      rotate(group);
      return run_.limbs();
    }
    const std::size_t first = group.rotations.front().input;
    std::vector<bool> needed(group.rotations.back().input - first + 1);
    for (const InputRotation& r : group.rotations) {
      if (run_.needs_hoisting(r)) needed[r.input - first] = true;
    }
    group.digits.resize(needed.size());
    if (std::ranges::find(needed, true) == needed.end()) return run_.limbs();
    const std::size_t most = raised_at_once(run_.limbs());
    // By this thread, which gives their memory back: scratch stays with its thread.
    for (std::size_t i = 0; i < needed.size(); ++i) {
      if (needed[i]) group.digits[i] = std::make_unique<DigitRows>(run_.layout(), run_.input(first + i).parts[1], most);
    }
    return most;
  }

  /// All limbs of a group's rotations over Q.
  void rotate(Group& group) const {
    group.rotated.resize(group.rotations.size());
    for_each_input(run_, group.rotations, [&](std::size_t begin, std::size_t end, bool hoists) {
      if (!hoists) return;
      const Hoisted hoisted = run_.hoist(group.rotations[begin].input);
      ring::for_each_limb_in_order(end - begin, 8 * run_.limbs() * n(), [&](std::size_t i) {
        const InputRotation& r = group.rotations[begin + i];
        if (run_.needs_hoisting(r)) group.rotated[begin + i] = run_.rotate_whole(r, hoisted);
      });
    });
  }

  void raise(const Group& group, std::size_t first, std::size_t last) const {
    for (const auto& digits : group.digits) {
      if (digits) digits->raise(first, last);
    }
  }

  void multiply_limb_of(const Group& group, std::size_t j) {
    run_.evaluator().checkpoint();
    const std::size_t stride = n() + 64, count = group.rotations.size();
    Scratch<std::uint32_t> storage(run_.map().extended ? 2 * count * stride : 0);
    std::vector<LimbRows> rows(count);
    for (const auto& digits : group.digits) {
      if (digits) digits->finish(j);
    }
    ring::for_each_limb(count, n(), [&](std::size_t k) {
      const InputRotation& r = group.rotations[k];
      if (!group.rotated.empty() && !group.rotated[k].parts.empty()) {
        rows[k] = {group.rotated[k].parts[0].limb(j), group.rotated[k].parts[1].limb(j)};
        return;
      }
      std::uint32_t* row = storage.data() + 2 * k * stride;
      rows[k] = run_.rotate_limb_of(r, digits_of(group, r), j, row, row + stride);
    });
    multiply_terms(group, rows, j);
  }

  static const DigitRows* digits_of(const Group& group, const InputRotation& r) {
    return group.digits.empty() ? nullptr : group.digits[r.input - group.rotations.front().input].get();
  }

  /// All steps on limb j, those together whose diagonals are in one part.
  void multiply_terms(const Group& group, const std::vector<LimbRows>& rows, std::size_t j) {
    const auto part_of = [&](std::size_t s) { return diagonals_.part(steps()[group.first_step + s].terms[0].place); };
    for (std::size_t first = 0, last = 0; first < sums_.size(); first = last) {
      while (last < sums_.size() && part_of(last) == part_of(first)) ++last;
      const PackedDiagonals::Limb diagonals(diagonals_, j, part_of(first));
      if (dry_run()) {
        count_terms(group, first, last, j);
      } else {
        multiply_part(group, rows, diagonals, first, last, j);
      }
    }
  }

  /// Sums [first, last) on limb j, block by block so that the rotated inputs are read from cache.
  void multiply_part(const Group& group, const std::vector<LimbRows>& rows, const PackedDiagonals::Limb& diagonals,
                     std::size_t first, std::size_t last, std::size_t j) {
    const std::size_t fitting = kBlockBytes / (2 * rows.size() * sizeof(std::uint32_t));
    const std::size_t block = std::min(n(), std::max(kMinBlock, std::bit_floor(fitting)));
    ring::for_each_limb(n() / block, rows.size() * block, [&](std::size_t k) {
      // A step has at most one term for each rotation.
      Operands operands{
          .c0 = {}, .c1 = {}, .diagonals = {}, .room = Scratch<std::uint32_t>(rows.size() * diagonals.room(block))};
      for (std::size_t s = first; s < last; ++s) {
        sum_terms(group, rows, diagonals, s, j, k * block, block, operands);
      }
    });
  }

  /// The work of multiply_part, for dry runs.
  void count_terms(const Group& group, std::size_t first, std::size_t last, std::size_t j) const {
    std::size_t terms = 0;
    for (std::size_t s = first; s < last; ++s) terms += steps()[group.first_step + s].terms.size();
    for (int half = 0; half < 2; ++half) {
      ring::kernels().dot(nullptr, nullptr, nullptr, terms, 0, true, n(), run_.layout().modulus(j));
    }
  }

  /// Working memory for sum_terms.
  struct Operands {
    std::vector<const std::uint32_t*> c0, c1, diagonals;
    Scratch<std::uint32_t> room;  // for the diagonals of a step
  };

  /// Adds the group's terms of sum s on `count` coefficients from `from` on; one dot product for each length of
  /// diagonals.
  void sum_terms(const Group& group, const std::vector<LimbRows>& rows, const PackedDiagonals::Limb& diagonals,
                 std::size_t s, std::size_t j, std::size_t from, std::size_t count, Operands& operands) {
    const ring::Kernels& k = ring::kernels();
    const ring::Modulus& m = run_.layout().modulus(j);
    const std::vector<Term>& terms = steps()[group.first_step + s].terms;
    bool accumulate = group.accumulate;
    for (std::size_t t = 0; t < terms.size();) {
      const std::size_t size = diagonals_.size(terms[t].place);
      const int run = std::countr_zero(n()) - std::countr_zero(size);
      operands.c0.clear(), operands.c1.clear(), operands.diagonals.clear();
      std::uint32_t* room = operands.room.data();
      for (; t < terms.size() && diagonals_.size(terms[t].place) == size; ++t) {
        const std::size_t position = group.position[run_.index(terms[t].input, terms[t].baby)];
        if (position == kNone || rows[position].c0 == nullptr) continue;
        operands.c0.push_back(rows[position].c0 + from);
        operands.c1.push_back(rows[position].c1 + from);
        operands.diagonals.push_back(diagonals.residues(terms[t].place, from >> run, count >> run, room));
        room += diagonals.room(count >> run);
      }
      const std::size_t products = operands.diagonals.size();
      if (products == 0 && accumulate) continue;
      const std::uint32_t* const* b = operands.diagonals.data();
      k.dot(sums_[s].c0.limb(j) + from, operands.c0.data(), b, products, run, accumulate, count, m);
      k.dot(sums_[s].c1.limb(j) + from, operands.c1.data(), b, products, run, accumulate, count, m);
      accumulate = true;
    }
  }

  /// Adds the sums of steps [begin, end) to their outputs and finishes those that have no step left.
  void collect(std::size_t begin, std::size_t end) {
    parallel_for_in_order(steps()[begin].output, steps()[end - 1].output + 1, [&](std::size_t o) {
      bool last = false;
      for (std::size_t s = begin; s < end; ++s) {
        if (steps()[s].output != o) continue;
        totals_[o].add(run_, sums_[s - begin], steps()[s]);
        sums_[s - begin] = {};
        last = s + 1 == steps().size() || steps()[s + 1].output != o;
      }
      if (last) out_[o] = totals_[o].finish(run_);
    });
  }

  const MapRun& run_;
  const PackedDiagonals& diagonals_;
  const std::size_t memory_;
  std::vector<ExtendedPair> sums_;  // of the current steps
  std::vector<OutputSum> totals_;
  std::vector<Ciphertext> out_;
};

}  // namespace

std::vector<Ciphertext> PreparedLinearMap::apply(const Evaluator& evaluator, std::span<const Ciphertext> in) const {
  map_.check_inputs(evaluator, in);
  const MapRun run(map_, evaluator, in);
  return PreparedRun(run, diagonals_, memory_).apply();
}

}  // namespace hearth::ckks
