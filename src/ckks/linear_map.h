#pragma once

#include <complex>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "ckks/evaluator.h"
#include "ckks/packed_diagonals.h"

namespace hearth::ckks {

/// One linear map on slots in diagonal form: out_o = sum over inputs i and rotations r of diagonal(o, i, r) * rot(in_i,
/// r), where rot is a rotation to the left. A diagonal is a real or complex vector whose length is its period (a power
/// of two up to n/2; the vector repeats). Plain data, in double precision; see PreparedLinearMap for evaluation.
template <typename T>
struct BasicLinearMap {
  int inputs = 1, outputs = 1;
  /// [(output, input)][rotation in [0, n/2)] -> diagonal
  std::map<std::pair<int, int>, std::map<int, std::vector<T>>> blocks;
};

using LinearMap = BasicLinearMap<double>;
using ComplexLinearMap = BasicLinearMap<std::complex<double>>;

/// Place of one diagonal in a map, and its period.
struct DiagonalPlace {
  int output = 0, input = 0;
  int rotation = 0;  ///< in [0, n/2)
  std::size_t period = 1;
};

/// A map without its values: all that a plan depends on. No two diagonals have the same place.
struct MapShape {
  int inputs = 1, outputs = 1;
  std::vector<DiagonalPlace> diagonals;  ///< in any order
};

/// Diagonals ordered by output, input and rotation.
MapShape shape_of(const LinearMap& map);
MapShape shape_of(const ComplexLinearMap& map);

/// A linear map that gives its diagonals on demand, for maps whose diagonals should not all exist at once.
template <typename T>
class BasicLinearMapSource {
 public:
  virtual ~BasicLinearMapSource() = default;
  /// The same object for as long as the source lives.
  virtual const MapShape& shape() const = 0;
  /// Writes the values of the diagonal at `place`, one of shape().diagonals; out.size() is its period. Called from
  /// several threads at once, and possibly more than once for a place.
  virtual void diagonal(const DiagonalPlace& place, std::span<T> out) const = 0;
  /// Tables that diagonal() makes for itself last as long as what this returns, so that several calls share them.
  virtual std::shared_ptr<const void> hold() const { return nullptr; }
};

using LinearMapSource = BasicLinearMapSource<double>;
using ComplexLinearMapSource = BasicLinearMapSource<std::complex<double>>;

/// A map in memory as a source.
class StoredLinearMap final : public LinearMapSource {
 public:
  explicit StoredLinearMap(LinearMap map);
  const MapShape& shape() const override { return shape_; }
  void diagonal(const DiagonalPlace& place, std::span<double> out) const override;

 private:
  LinearMap map_;
  MapShape shape_;
};

/// Baby-step giant-step split of the rotations of a map: rotation = baby + giant modulo the number of slots. With s the
/// rotation as a signed number in [-slots/2, slots/2), baby = (s + offset) mod step - offset, so that with an offset
/// the babies lie on both sides of 0. Babies are shared by all outputs, giants by all inputs.
struct BsgsPlan {
  int step = 1;             ///< any positive number
  std::vector<int> babies;  ///< ascending, distinct, in [0, slots), possibly with 0
  std::vector<int> giants;  ///< likewise
  int offset = 0;           ///< in [0, step)
  /// If positive, giants are composed of two rotations, which takes fewer keys: the multiple of `outer` that is
  /// nearest, by which sums of an output are rotated together, and the rest.
  int outer = 0;
  /// Giants are multiples of `step`, in [-slots/2, slots/2) as signed numbers, and sums are rotated one step at a time:
  /// an output is w_0 + rot(w_1 + rot(w_2 + ...)) to either side, so that giants take the keys of step and -step alone
  /// (Horner's rule; Min-KS of Kim et al. 2022, ARK). As many key switches as giants without gaps. Not with `outer`.
  bool chained = false;
  /// If positive, babies are composed too, which takes fewer keys: inputs are rotated by multiples of `copy_step`, one
  /// step at a time, and these copies by the rest in [0, copy_step), which is what is hoisted.
  int copy_step = 0;

  int baby(int rotation, int slots) const;   ///< in [0, slots)
  int giant(int rotation, int slots) const;  ///< in [0, slots)
  /// How many steps a giant of a chained plan is; Error(kInvalidArgument) if it is no multiple of the step.
  int links(int giant, int slots) const;
  /// How many steps the copy is away that a baby is a rotation of, and by what it is rotated.
  std::pair<int, int> copy_and_rest(int baby, int slots) const;
  /// The two parts of a giant step, in [0, slots); the second is 0 where giants are not composed.
  int inner_part(int giant, int slots) const;
  int outer_part(int giant, int slots) const;
};

/// Rotations that a plan makes of all inputs and their copies, of all sums, and to make copies; those by 0 left out.
struct StepCount {
  std::size_t babies = 0, giants = 0, copies = 0;
};
StepCount count_steps(const MapShape& shape, const BsgsPlan& plan, int slots);

/// What plan_bsgs minimises. The defaults are as measured (docs/experiments.md).
struct StepCosts {
  double baby = 1;   ///< per (input, non-zero baby)
  double giant = 4;  ///< per (output, non-zero giant)
  double key = 0;    ///< per rotation that needs a key
  double copy = 0;   ///< per copy of an input, in plans that make them; 0: none may
};

/// Picks the step and offset of least cost; among equals the one with the fewest keys. Throws Error(kInvalidArgument)
/// for a rotation outside [0, slots) or a place outside the map.
BsgsPlan plan_bsgs(const MapShape& shape, int slots, const StepCosts& costs = {});
BsgsPlan plan_bsgs(const LinearMap& map, int slots, const StepCosts& costs = {});
BsgsPlan plan_bsgs(const ComplexLinearMap& map, int slots, const StepCosts& costs = {});
/// The same among chained plans, with copies or without; that of plan_bsgs where there is none with a baby step.
BsgsPlan plan_chained_bsgs(const MapShape& shape, int slots, const StepCosts& costs = {});
/// Rotations (steps in [0, slots)) for which keys are needed, in the key set of the level the map is prepared for.
/// `slots` is needed for plans that compose or chain steps, Error(kInvalidArgument).
std::vector<int> rotations(const BsgsPlan& plan, int slots = 0);

/// Where products of rotated inputs and diagonals live.
enum class Hoisting {
  kDouble,  ///< over QP: rotated inputs are not divided by P, diagonals have limbs for the special primes too
  kSingle,  ///< over Q: rotated inputs are divided by P, which costs a ModDown and the rounding of one (as large as
            ///< that of a rescale) for each rotation of an input, and saves the special limbs of every diagonal and
            ///< product
};

/// A shape cut up by a plan for one level: what the ways of evaluation share. Immutable after construction.
struct PlannedMap {
  /// One diagonal, rotated by -giant before it is encoded, that multiplies the baby-th rotation of an input.
  struct Term {
    std::size_t place = 0;  ///< index into shape.diagonals
    std::size_t input = 0;  ///< copies of one input follow each other, in the order of `copies`
    std::size_t baby = 0;   ///< index into hoisted
  };
  /// The terms that share an output and a giant rotation.
  struct Step {
    std::size_t output = 0;
    int giant = 0;            ///< rotation of their sum
    int links = 0;            ///< how many steps that is, in a chained plan
    std::vector<Term> terms;  ///< ordered by period, input and baby; never empty
  };

  /// Throws Error(kInvalidArgument) for a period that is not a power of two up to the slots, a place outside the map, a
  /// malformed plan, one that is chained without a baby step, or a rotation that `plan` does not cover.
  PlannedMap(MapShape map_shape, const BsgsPlan& bsgs, const Parameters& parameters, int at_level, double scale,
             Hoisting hoisting = Hoisting::kDouble);
  /// Throws Error unless `in` are the map's inputs at its level, of two parts and one scale.
  void check_inputs(const Evaluator& evaluator, std::span<const Ciphertext> in) const;

  MapShape shape;
  BsgsPlan plan;
  int level;
  double plain_scale;
  std::uint64_t parameters_id;
  /// How many copy steps the copies of every input are away from it, itself first, each next to one before it.
  std::vector<int> copies{0};
  std::vector<int> hoisted;  ///< rotations made of copies, ascending
  bool rotates = false;      ///< some of them is not 0
  bool extended = false;     ///< products live over QP: inputs are rotated and hoisted doubly
  ring::Basis basis;         ///< of the diagonals: QP when extended, else Q
  std::vector<Step> steps;   ///< ordered by output and giant; if chained, from the far ends of the chains to giant 0

 private:
  void list_copies(int slots);
};

/// How many bytes of rotated inputs, sums and (when streamed) diagonals an evaluation holds at once unless told
/// otherwise. Results come on top. Less memory means that inputs are rotated repeatedly.
inline constexpr std::size_t kLinearMapMemory = std::size_t{256} << 20;

/// A map encoded for one level and plaintext scale. Double hoisting (Bossuat et al. 2021, Alg. 6): one decomposition
/// per input, baby rotations stay over QP, products accumulate over QP, one ModDown + key switch per giant step, one
/// final ModDown. Periodic diagonals stay short. Differs: limb by limb, so that the rotated inputs exist for one limb
/// at a time; without baby rotations or with single hoisting products stay in Q, and without any rotation no key is
/// touched. Immutable; thread safe.
class PreparedLinearMap {
 public:
  /// Encodes every diagonal at `plain_scale` on qp_basis(level, key_set_for(level)) (on q_basis(level) when there are
  /// no baby rotations, or single hoisting). Runs in parallel. `memory`: what apply() may hold, see kLinearMapMemory;
  /// one step and the rotations of one input are held even if they need more. `store`: where encoded diagonals go
  /// instead of into memory. Throws as PlannedMap does.
  PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const LinearMap& map, const BsgsPlan& plan,
                    int level, double plain_scale, std::size_t memory = kLinearMapMemory, RowStore* store = nullptr,
                    Hoisting hoisting = Hoisting::kDouble);
  PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const ComplexLinearMap& map,
                    const BsgsPlan& plan, int level, double plain_scale, std::size_t memory = kLinearMapMemory,
                    RowStore* store = nullptr, Hoisting hoisting = Hoisting::kDouble);
  PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const LinearMapSource& map,
                    const BsgsPlan& plan, int level, double plain_scale, std::size_t memory = kLinearMapMemory,
                    RowStore* store = nullptr, Hoisting hoisting = Hoisting::kDouble);
  PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const ComplexLinearMapSource& map,
                    const BsgsPlan& plan, int level, double plain_scale, std::size_t memory = kLinearMapMemory,
                    RowStore* store = nullptr, Hoisting hoisting = Hoisting::kDouble);

  /// in.size() == inputs, all at `level` with equal scale. Result: `outputs` ciphertexts at the same level with scale
  /// in.scale * plain_scale (not rescaled). Every output must have at least one diagonal, else it is a zero encryption
  /// without secrecy (0, 0). Throws Error(kMismatch) naming a rotation whose key is missing.
  std::vector<Ciphertext> apply(const Evaluator& evaluator, std::span<const Ciphertext> in) const;
  /// The same through plain rotate / mul_plain / add: slow, obviously right; for tests.
  std::vector<Ciphertext> apply_naive(const Evaluator& evaluator, std::span<const Ciphertext> in) const;

  std::size_t bytes() const { return diagonals_.bytes(); }  ///< of encoded diagonals
  int level() const { return map_.level; }

 private:
  template <typename T, typename Values>
  void encode(const Encoder& encoder, const Values& values, std::size_t n, RowStore* store);
  Plaintext plaintext(std::size_t place) const;

  PlannedMap map_;
  std::size_t memory_;
  PackedDiagonals diagonals_;  ///< by place, rotated by -giant; in Montgomery form
};

}  // namespace hearth::ckks
