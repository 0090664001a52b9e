#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "compiler/program/program.h"

/// What running a program consists of, counted in the primitive operations whose time can be measured. Used to predict
/// time (with measured costs) and to tell how far a run is (with nominal ones).
namespace hearth::compiler {

enum class Primitive : std::uint8_t {
  kHoist,        ///< decomposing and raising one ciphertext
  kHoisted,      ///< one more rotation of a decomposed ciphertext, over QP
  kRotate,       ///< a full rotation (or another key switch)
  kModDown,      ///< both parts of one ciphertext
  kProductTerm,  ///< one diagonal times one ciphertext over QP
  kProduct,      ///< a square, relinearised and rescaled
  kRescale,
  kEncode,  ///< a vector of full period over QP
  kRaise    ///< both parts of one ciphertext from one prime to all of the level's
};
inline constexpr std::size_t kPrimitives = 9;
inline constexpr std::array<const char*, kPrimitives> kPrimitiveNames = {
    "hoist", "hoisted", "rotate", "mod_down", "product_term", "product", "rescale", "encode", "raise"};

/// One number for each primitive, counts or costs.
using PrimitiveArray = std::array<double, kPrimitives>;

/// What the cost of a primitive depends on.
struct LevelShape {
  int log_n = 0;
  int q_primes = 0;        ///< of the ciphertext
  int special_primes = 0;  ///< of the key set used at that level
  int digit_primes = 0;
  bool operator==(const LevelShape&) const = default;
};
LevelShape level_shape(const ckks::Parameters& parameters, int level);

/// Roughly how much work a primitive is, in NTTs of one limb, from the number of limbs it touches. Ratios between
/// shapes of one ring degree are good to some ten percent, ratios between primitives to a factor of about two.
double nominal_cost(Primitive primitive, const LevelShape& shape);

/// Bytes of keys and ciphertexts (and of what is between the two: decomposed ones, sums over QP) that a primitive reads
/// as operands and writes as results, each once; what passes between its own steps is not counted. A product term's
/// diagonal is left out, because its size depends on its period; an encoding counts its diagonal written and read.
double moved_bytes(Primitive primitive, const LevelShape& shape);

/// One factor of an embedding, without its values, and the level it is applied at.
struct EmbeddingFactor {
  ckks::MapShape shape;
  int level = 0;
};
/// Of SlotsToCoeffs, then of CoeffsToSlots.
std::vector<EmbeddingFactor> embedding_factors(const ckks::BootstrapSpec& spec, const ckks::Parameters& parameters);

/// How often each primitive is used at each level.
using Work = std::map<int, PrimitiveArray>;
/// Of every instruction of a checked program, as the runtime evaluates it: diagonals are encoded in the course of a run
/// where encoded_ahead (compiler/program/encoding.h) says so.
std::vector<Work> count_work(const Program& program, const ckks::Parameters& parameters);
/// In nominal costs; at least a little even for instructions that are nearly free.
double nominal_cost(const Work& work, const ckks::Parameters& parameters);
/// Of all its primitives; diagonals that are kept encoded are left out.
double moved_bytes(const Work& work, const ckks::Parameters& parameters);

}  // namespace hearth::compiler
