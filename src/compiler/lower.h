#pragma once

#include <optional>
#include <vector>

#include "compiler/layout_search.h"
#include "compiler/program/program.h"

namespace hearth::compiler {

/// What the slots of a node's ciphertexts hold over the calibration inputs.
struct NodeRange {
  double abs_max = 0;   ///< of all slots, also those without an element: an overflow anywhere spoils every slot
  double slot_rms = 0;  ///< of all slots
  double rms = 0;       ///< of the elements
};
std::vector<NodeRange> measure_ranges(const LayoutPlan& plan, const std::vector<std::vector<double>>& inputs);

/// Prime bits of one level and of special primes: the width DESIGN.md settles on.
inline constexpr int kPrimeBits = 30;

/// Chooses the modulus chain and key sets for a program with these levels on a ring of degree 2^log_n. `base_primes`:
/// of level 0. `key_levels`: levels at which keys are used. Empty when 128 bits of security (if asked for) cannot be
/// had.
std::optional<ckks::ParameterSpec> choose_parameters(int log_n, int base_primes, int max_level,
                                                     const std::vector<int>& key_levels, ckks::Security security);

/// Levels at which a graph's operations need evaluation keys, ascending.
std::vector<int> key_levels(const LayoutPlan& plan, const Levels& levels);

/// Standard deviations of the noise that operations add to the real part of a slot, in absolute units (to be divided by
/// the scale): sqrt(n / 2) times that of a coefficient. n = ring degree, h = weight of the secret.
struct NoiseModel {
  explicit NoiseModel(const ckks::Parameters& parameters);
  double fresh = 0;    ///< secret-key encryption, encoding included: sqrt(n/2 (sigma^2 + 1/12))
  double rescale = 0;  ///< rounding in rescale and ModDown: sqrt(n/2 (1 + h) / 12)
  /// Rounding of an encoded plaintext of this period, which has 2 period coefficients: sqrt(period / 12).
  double plain(int period) const;
  /// Key switch at `level`: per digit, uniform residues below the digit times a Gaussian error, over P, plus rounding.
  double key_switch(int level) const;
  /// What a bootstrap adds to the value of its series, in that value's units.
  double activation(const ckks::BootstrapSpec& spec, const FourierSeries& series) const;

 private:
  const ckks::Parameters& parameters_;
};

struct Lowered {
  Program program;
  Layout input_layout, output_layout;
  std::vector<double> error;         ///< predicted rms error of every instruction's elements, absolute
  std::vector<double> added_noise;   ///< what each instruction itself adds to that, series left out
  std::vector<Value> value_of_node;  ///< the instruction that holds each node of the graph
  std::vector<bool> made_by_node;    ///< whether that instruction was written for the node (views reuse another's)
  double output_error = 0;           ///< of an output once the client has averaged the repetitions of its slot
  double output_bound = 0;           ///< outputs beyond wrap around
};

/// Writes the program: levels, scales (backward: the scale each value should have for least noise and no overflow;
/// forward: what it gets), diagonals, keys. `margin`: headroom of every value over its largest calibrated magnitude.
/// `bootstrap`: needed when the graph has activations, which have been through calibrate_activations. `key_budget`:
/// bytes that the rotation keys of layers on a grid may take in memory, where that is possible (rotation_keys.h).
inline constexpr double kKeyBudget = 0x1p29;
Lowered lower(const LayoutPlan& plan, const std::vector<NodeRange>& ranges, const ckks::Parameters& parameters,
              double margin, const std::optional<ckks::BootstrapSpec>& bootstrap = std::nullopt,
              double key_budget = kKeyBudget);

}  // namespace hearth::compiler
