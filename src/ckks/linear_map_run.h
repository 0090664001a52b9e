#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "ckks/key_switching.h"
#include "ckks/linear_map.h"

namespace hearth::ckks {

/// A rotation of an input that some term needs: `baby` is an index into PlannedMap::hoisted.
struct InputRotation {
  std::size_t input = 0, baby = 0;
};

/// Half pairs of one limb; both null where the value is zero.
struct LimbRows {
  const std::uint32_t *c0 = nullptr, *c1 = nullptr;
};

/// To how many of so many limbs the digits of inputs and sums are raised at a time. More take memory when a map holds
/// most of it; fewer, time: every round scales the coefficients again, which takes as long as converting them to a limb
/// or two.
std::size_t raised_at_once(std::size_t limbs);

/// What one evaluation of a planned map knows, however it orders its work: the inputs, their baby rotations, and how
/// sums over QP become outputs. References must outlive it; const methods are thread safe.
class MapRun {
 public:
  /// Makes the copies. Throws Error(kMismatch) when a key is missing, before work starts.
  MapRun(const PlannedMap& map, const Evaluator& evaluator, std::span<const Ciphertext> in);

  const PlannedMap& map() const { return map_; }
  const Evaluator& evaluator() const { return evaluator_; }
  const SwitchLayout& layout() const { return layout_; }
  /// Inputs and their copies, in the order of PlannedMap::Term::input.
  const Ciphertext& input(std::size_t i) const { return *in_[i]; }
  std::size_t n() const { return layout_.n(); }
  /// Limbs of products and sums: those of QP when the map is extended, else those of Q.
  std::size_t limbs() const { return map_.basis.size(); }
  std::size_t pair_bytes() const { return 2 * limbs() * n() * sizeof(std::uint32_t); }

  /// The rotations that steps [begin, end) use, by input and baby.
  std::vector<InputRotation> rotations(std::size_t begin, std::size_t end) const;
  /// Position of (input, baby) in a table of all of them.
  std::size_t index(std::size_t input, std::size_t baby) const { return input * map_.hoisted.size() + baby; }
  std::size_t index_count() const { return in_.size() * map_.hoisted.size(); }

  bool needs_hoisting(const InputRotation& r) const { return map_.hoisted[r.baby] != 0; }
  /// Of maps that are not extended: the rotated input itself, over Q. Only where needs_hoisting().
  Ciphertext rotate_whole(const InputRotation& r, const Hoisted& hoisted) const {
    return evaluator_.rotate(*in_[r.input], hoisted, map_.hoisted[r.baby]);
  }
  std::size_t hoisted_bytes() const;  ///< of the digits of one input, raised to all limbs
  Hoisted hoist(std::size_t input) const { return evaluator_.hoist(in_[input]->parts[1], map_.level); }
  /// Limb j of a rotated input, times P, when the map is extended: in row0 and row1, which hold n words each. Else limb
  /// j of the input itself, where it lies. `digits` is not looked at where needs_hoisting() is false.
  LimbRows rotate_limb_of(const InputRotation& r, const DigitRows* digits, std::size_t j, std::uint32_t* row0,
                          std::uint32_t* row1) const;

  ExtendedPair sum() const;  ///< an uninitialised pair on limbs() primes
  ring::Poly poly(std::size_t limbs) const;
  std::uint32_t galois(int step) const { return galois_element(step, evaluator_.parameters().log_n()); }

 private:
  void check_keys() const;
  void make_copies(std::span<const Ciphertext> in);

  const PlannedMap& map_;
  const Evaluator& evaluator_;
  std::vector<Ciphertext> copies_;
  std::vector<const Ciphertext*> in_;
  SwitchLayout layout_;
};

/// Calls what(first, last, hoists) for every stretch of rotations of one input; `hoists`: some of them are not 0.
template <typename What>
void for_each_input(const MapRun& run, std::span<const InputRotation> rotations, const What& what) {
  for (std::size_t first = 0, last = 0; first < rotations.size(); first = last) {
    bool hoists = false;
    for (; last < rotations.size() && rotations[last].input == rotations[first].input; ++last) {
      hoists = hoists || run.needs_hoisting(rotations[last]);
    }
    what(first, last, hoists);
  }
}

/// Gathers the sums of one output's steps, in the order of the planned map. Not thread safe.
class OutputSum {
 public:
  /// Adds the rotation by its giant of the sum of `step`, which may lose its contents.
  void add(const MapRun& run, ExtendedPair& sum, const PlannedMap::Step& step);
  /// The output: everything added so far, divided by P; (0, 0) if that is nothing. Empties this object.
  Ciphertext finish(const MapRun& run);

 private:
  /// What is rotated together at the end.
  struct Group {
    ExtendedPair total;      ///< over QP, times P
    ExtendedPair unrotated;  ///< over Q: a sum that is neither rotated nor extended
  };
  /// total += the rotation of `sum`, over QP and times P; `total` may be the sum itself if that is extended, and is
  /// then replaced.
  static void add_rotated(const MapRun& run, ExtendedPair& total, const ExtendedPair& sum, std::uint32_t g,
                          bool extended);
  /// The same where both are over Q.
  static void add_divided(const MapRun& run, ExtendedPair& total, const ExtendedPair& sum, std::uint32_t g);
  void add_link(const MapRun& run, ExtendedPair& sum, int links);
  /// Where a chain ends.
  ExtendedPair& home(const MapRun& run) { return run.map().extended ? groups_[0].total : groups_[0].unrotated; }
  /// Rotates what the chain holds until it is `links` steps from where it belongs, and adds it to `sum` (which may be
  /// empty).
  void fold(const MapRun& run, ExtendedPair& sum, int links);

  std::map<int, Group> groups_;  ///< by the outer part of their giant steps
  ExtendedPair chain_;           ///< of a chained plan: a sum that is still `links_` steps from where it belongs
  int links_ = 0;
};

}  // namespace hearth::ckks
