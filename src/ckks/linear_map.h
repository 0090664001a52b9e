#pragma once

#include <map>
#include <span>
#include <vector>

#include "ckks/evaluator.h"

namespace hearth::ckks {

/// One linear map on slots in diagonal form: out_o = sum over inputs i and rotations r of diagonal(o, i, r) * rot(in_i, r),
/// where rot is a rotation to the left. A diagonal is a real vector whose length is its period (a power of two up to
/// n/2; the vector repeats). Plain data, in double precision; see PreparedLinearMap for evaluation.
struct LinearMap {
  int inputs = 1, outputs = 1;
  /// [(output, input)][rotation in [0, n/2)] -> diagonal
  std::map<std::pair<int, int>, std::map<int, std::vector<double>>> blocks;
};

/// Baby-step giant-step split of the rotations of a map: rotation r = baby + giant with giant a multiple of `step`...
/// any r is baby(r) = r mod step, giant(r) = r - baby(r). Babies are shared by all outputs, giants by all inputs.
struct BsgsPlan {
  int step = 1;              ///< power of two or any positive number
  std::vector<int> babies;   ///< ascending, distinct, possibly with 0
  std::vector<int> giants;
};

/// Picks the step that minimises `baby_cost` per (input, non-zero baby) plus `giant_cost` per (output, non-zero giant).
BsgsPlan plan_bsgs(const LinearMap& map, int slots, double baby_cost = 1, double giant_cost = 2);
/// Rotations (steps in [0, slots)) for which keys are needed.
std::vector<int> rotations(const BsgsPlan& plan);

/// A map encoded for one level and plaintext scale. Double hoisting (Bossuat et al. 2021, Alg. 6): one decomposition per
/// input, baby rotations stay over QP, products accumulate over QP, one ModDown + key switch per giant step, one final
/// ModDown. Periodic diagonals stay short.
class PreparedLinearMap {
 public:
  /// Encodes every diagonal at `plain_scale` on qp_basis(level, key_set_for(level)). Runs in parallel.
  PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const LinearMap& map, const BsgsPlan& plan,
                    int level, double plain_scale);

  /// in.size() == inputs, all at `level` with equal scale. Result: `outputs` ciphertexts at the same level with scale
  /// in.scale * plain_scale (not rescaled). Every output must have at least one diagonal, else it is a zero encryption
  /// without secrecy (0, 0).
  std::vector<Ciphertext> apply(const Evaluator& evaluator, std::span<const Ciphertext> in) const;
  /// The same through plain rotate / mul_plain / add: slow, obviously right; for tests.
  std::vector<Ciphertext> apply_naive(const Evaluator& evaluator, std::span<const Ciphertext> in) const;

  std::size_t bytes() const;  ///< of encoded diagonals
  int level() const { return level_; }

 private:
  int level_ = 0, inputs_ = 0, outputs_ = 0;
  double plain_scale_ = 1;
  BsgsPlan plan_;
  // [output][giant index][(input, baby index)] -> encoded diagonal, already rotated by -giant
  std::vector<std::vector<std::map<std::pair<int, int>, Plaintext>>> diagonals_;
};

}  // namespace hearth::ckks
