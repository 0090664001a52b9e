#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "ckks/ciphertext.h"
#include "compiler/program/program.h"

namespace hearth::runtime {

/// Of every instruction the last one that reads its result: 0 where none does, the number of instructions for the
/// output.
std::vector<std::size_t> last_uses(const compiler::Program& program);

/// The instructions whose results are needed once the first `done` ones were evaluated, ascending: operands of later
/// ones, and the output. The input (instruction 0) is there before anything is done.
std::vector<std::size_t> live_values(const compiler::Program& program, std::size_t done);

/// A run between two instructions.
struct RunState {
  std::size_t next = 0;  ///< instruction; all before it are done
  /// Results of live_values(program, next), in that order.
  std::vector<std::vector<ckks::Ciphertext>> values;
};

/// The result of an instruction that is live.
using ResultLookup = std::function<const std::vector<ckks::Ciphertext>&(std::size_t instruction)>;

/// Error(kMismatch), naming `what`, unless `value` has the count, parameters, level and scale of the instruction's
/// result.
void check_result(const compiler::Instruction& instruction, const ckks::Parameters& parameters,
                  const std::vector<ckks::Ciphertext>& value, const std::string& what);

/// Error(kMismatch) unless the state is one of this program.
void check_state(const compiler::Program& program, const ckks::Parameters& parameters, const RunState& state);

}  // namespace hearth::runtime
