#pragma once

#include <complex>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ckks/bootstrap/bootstrapper.h"
#include "ckks/keys.h"
#include "ckks/linear_map.h"
#include "ckks/parameters.h"
#include "compiler/program/grid_matrix.h"
#include "compiler/program/layer_matrix.h"

/// A compiled network as a straight-line homomorphic program: plain data, printable, every level and scale static.
namespace hearth::compiler {

/// A value is a tensor: one or more ciphertexts of equal level and scale. Values are numbered by the instruction that
/// makes them (instruction i makes value i).
using Value = int;

/// The client's ciphertexts (instruction 0, and only it).
struct InputOp {};

/// The matrix of a linear operation: its diagonals, or, where that is smaller, the layer that they are made from,
/// between any two layouts or on a grid.
using LinearWeights =
    std::variant<ckks::LinearMap, std::shared_ptr<const LayerMatrix>, std::shared_ptr<const GridMatrix>>;
ckks::MapShape shape_of(const LinearWeights& weights);
/// The weights as diagonals on demand; `weights` gives them away (but for layers on a grid, whose layouts biases need).
std::shared_ptr<const ckks::LinearMapSource> take_source(LinearWeights& weights);

/// out = rescale(fold(map(x))) + bias. `map` has one input per ciphertext of x. `folds`: after the map, for each step s
/// in turn, every output is replaced by itself plus its rotation by s. Costs one level.
struct LinearOp {
  Value x = 0;
  LinearWeights map;
  ckks::BsgsPlan plan;
  double plain_scale = 1;
  std::vector<int> folds;
  /// One vector an output ciphertext (length its period, a power of two); empty for no bias.
  std::vector<std::vector<double>> bias;
  /// Instead of `bias`, of layers on a grid: one value a channel, and what is added in the margins.
  std::vector<float> channel_bias;
  double margin = 0;
};
/// What is added to output `ciphertext` of a linear operation; empty for nothing.
std::vector<double> bias_of(const LinearOp& op, int ciphertext);

/// out = a + sign * b; equal levels and scales.
struct AddOp {
  Value a = 0, b = 0;
  bool subtract = false;
};

/// out = rescale(relinearise(a * b)). Costs one level.
struct MultiplyOp {
  Value a = 0, b = 0;
};

/// out = sign * (x^2 + linear * x) + constant with the leading coefficient folded into the scale; costs one level. A
/// square is linear = constant = 0. `scale_factor`: the output's stated scale is multiplied by it (value a x^2 has
/// scale s / a).
struct QuadraticOp {
  Value x = 0;
  double linear = 0, constant = 0;
  double scale_factor = 1;
  bool negate = false;
};

/// out = sum_k coefficients[k] x^k for degree > 2; costs ckks::polynomial_depth levels.
struct PolynomialOp {
  Value x = 0;
  std::vector<double> coefficients;
};

/// out = x + constant vectors (one an output ciphertext, length its period). Free in levels.
struct AddPlainOp {
  Value x = 0;
  std::vector<std::vector<double>> constants;
};

/// out = the ciphertexts of several values, in order. All at this instruction's level; higher ones are dropped.
struct JoinOp {
  struct Part {
    Value value = 0;
    int ciphertext = 0;
  };
  std::vector<Part> parts;
};

/// out = Re sum_k coefficients[k] exp(2 pi i k x s / q0), s the scale of x, refreshed by a bootstrap. Works at the
/// level of the bootstrap's input; the result's level is that of the series or any below. Ciphertexts are taken two by
/// two.
struct ActivationOp {
  Value x = 0;
  std::vector<std::complex<double>> coefficients;
  /// Where slots have series of their own: further series, as long as `coefficients`, and for each ciphertext which one
  /// the slots of a period have (0: `coefficients`, k: variants[k - 1]); both empty where all slots have the same.
  std::vector<std::vector<std::complex<double>>> variants = {};
  std::vector<std::vector<std::uint8_t>> choices = {};
};
/// The series of one ciphertext of an activation, coefficient by coefficient.
ckks::SlotVectors series_of(const ActivationOp& op, std::size_t ciphertext);

using Op =
    std::variant<InputOp, LinearOp, AddOp, MultiplyOp, QuadraticOp, PolynomialOp, AddPlainOp, JoinOp, ActivationOp>;

/// Operands above the level an operation works at are dropped to it first (free): `work_level` is that level; `level`
/// and `scale` are those of the result (above work_level for activations).
struct Instruction {
  std::string name;  ///< of the ONNX node(s) it comes from
  Op op;
  int ciphertexts = 1;
  int work_level = 0;
  int level = 0;
  double scale = 1;
};

struct Program {
  std::string model;  ///< name of the model, for messages
  ckks::ParameterSpec parameters;
  std::optional<ckks::BootstrapSpec> bootstrap;  ///< of all activations; none where there are none
  std::vector<Instruction> instructions;
  Value output = 0;
  ckks::KeyRequest keys;  ///< every evaluation key the program uses

  const Instruction& input() const { return instructions.front(); }
};

/// Values an instruction reads.
std::vector<Value> operands(const Op& op);
std::string op_name(const Op& op);
/// One line an instruction.
std::string to_string(const Program& program);
/// Keys a program needs, from its instructions.
ckks::KeyRequest required_keys(const Program& program, const ckks::Parameters& parameters);
/// Checks every invariant above (operands before use, levels, counts, finite numbers, periods, key request). Programs
/// come from files. Throws Error(kCorrupt) naming the instruction.
void check(const Program& program, const ckks::Parameters& parameters);

}  // namespace hearth::compiler
