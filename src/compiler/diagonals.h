#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ckks/linear_map.h"
#include "compiler/affine.h"
#include "compiler/program/layer_matrix.h"
#include "compiler/program/layout.h"

namespace hearth::compiler {

/// A matrix between two layouts, as rotations and diagonals.
///
/// With periods P_in and P_out, a weight from slot a to slot b uses rotation r = (a - b) mod min(P_in, P_out). Where
/// P_in > P_out the weight moves to the copy b + k P_out of its row that reads slot a with that r, and the P_in / P_out
/// copies are summed afterwards by rotations ("folds"): the hybrid method of Halevi and Shoup (2014) for any matrix.
struct PlacedAffine {
  ckks::LinearMap map;
  std::vector<int> folds;
  std::vector<std::vector<double>> bias;  ///< one vector of length P_out a ciphertext; empty when all zero
};

/// Diagonals are cut to their least period.
PlacedAffine place(const Affine& affine, const Layout& in, const Layout& out);

/// A layer whose matrix is `affine`, placed without its diagonals. Both layouts are injective.
std::shared_ptr<const LayerMatrix> place_layer(const Convolution& layer, const Affine& affine,
                                               std::shared_ptr<const Layout> in, std::shared_ptr<const Layout> out);
/// What place() gives beside the map.
std::vector<int> fold_steps(const Layout& in, const Layout& out);
std::vector<std::vector<double>> place_bias(const std::vector<double>& bias, const Layout& out);

/// What the steps of a placed matrix cost, in units of one hoisted rotation.
struct MapCosts {
  double baby = 1;
  double giant = 2.2;
  double fold = 2.5;
  double key = 0.5;        ///< per rotation used, for the memory that its key takes
  double diagonal = 0.12;  ///< per diagonal: the product
  double number = 0;       ///< per number of a diagonal (as many as its period): encoding it in the run
};

/// Ways to evaluate maps, of which each takes the cheaper one, and what else layouts decide.
struct LayoutCosts {
  std::vector<MapCosts> ways = {MapCosts{}};
  double activation = 0;  ///< per two ciphertexts of an activation
  double level = 50;      ///< of a repacking map, on top of its rotations
};
/// For networks whose weights are encoded in every run: as measured at n = 2^15 on 4 primes and 5 special ones
/// (docs/experiments.md), with double and with single hoisting.
LayoutCosts streamed_costs(int slots);

/// The cheapest baby-step giant-step split: that of plan_bsgs for weights encoded ahead, else at these costs.
ckks::BsgsPlan plan_at(const ckks::MapShape& shape, int slots, const LayoutCosts& costs);

/// Work of a placed matrix, for comparing layouts: counted without building it.
struct PlacementCost {
  int rotations = 0;  ///< distinct rotations (keys)
  int babies = 0;     ///< hoisted rotations, summed over inputs, at the best baby-step giant-step split
  int giants = 0;     ///< full rotations, summed over outputs
  int folds = 0;      ///< full rotations
  std::int64_t diagonals = 0;
  double numbers = 0;  ///< in all diagonals, estimated from a few of them
  double total = 0;    ///< at the given costs
};
/// `layer`: what the matrix comes from, if known; without it all diagonals are taken to have full period.
PlacementCost placement_cost(const Affine& affine, const Layout& in, const Layout& out, const LayoutCosts& costs = {},
                             const Convolution* layer = nullptr);

/// The vector with its repetitions removed: shortest prefix of power-of-two length that generates it.
std::vector<double> least_period(std::vector<double> v);

}  // namespace hearth::compiler
