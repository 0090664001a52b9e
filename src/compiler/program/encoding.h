#pragma once

#include <cstddef>
#include <vector>

#include "compiler/program/program.h"

namespace hearth::compiler {

/// Bytes that encoded weights may take in memory unless told otherwise.
inline constexpr std::size_t kEncodedBudget = std::size_t{256} << 20;

/// Primes on which the diagonals of a linear instruction are encoded: with those of its key set where inputs are
/// rotated before they are multiplied.
std::size_t encoded_limbs(const Instruction& instruction, const ckks::Parameters& parameters);
/// Bytes of an instruction's encoded diagonals; 0 for what is not linear.
std::size_t encoded_bytes(const Instruction& instruction, const ckks::Parameters& parameters);

/// Bytes that the diagonals of one layer on a grid may take, encoded for the time that it is evaluated, and that its
/// evaluation may hold besides.
inline constexpr std::size_t kGridEncoded = std::size_t{512} << 20;
inline constexpr std::size_t kGridMemory = std::size_t{1} << 30;
/// Whether a linear instruction whose diagonals are not encoded ahead encodes all of them before it uses the first:
/// layers on a grid, whose diagonals are short.
bool encoded_at_once(const Instruction& instruction, const ckks::Parameters& parameters);

/// For every instruction, whether its diagonals are encoded when the program is loaded: all, if that fits the budget,
/// else none. What a part would save in each run is not worth its memory: encoding fills about a gigabyte a second.
std::vector<bool> encoded_ahead(const Program& program, const ckks::Parameters& parameters,
                                std::size_t budget = kEncodedBudget);

/// How a linear instruction whose diagonals are encoded in every run is evaluated: rotated inputs are divided by P
/// where the limbs that this saves in diagonals and products are worth it. The noise of the division is that of a key
/// switch, which predictions count in any case.
ckks::Hoisting streamed_hoisting(const Instruction& instruction, const ckks::Parameters& parameters);

}  // namespace hearth::compiler
