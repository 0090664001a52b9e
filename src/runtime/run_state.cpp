#include "runtime/run_state.h"

#include <cmath>

#include "base/error.h"

namespace hearth::runtime {

using namespace compiler;  // NOLINT: the program's vocabulary
using ckks::Ciphertext;

std::vector<std::size_t> last_uses(const Program& program) {
  std::vector<std::size_t> last(program.instructions.size(), 0);
  for (std::size_t i = 0; i < last.size(); ++i) {
    for (const Value v : operands(program.instructions[i].op)) last[static_cast<std::size_t>(v)] = i;
  }
  last[static_cast<std::size_t>(program.output)] = last.size();
  return last;
}

std::vector<std::size_t> live_values(const Program& program, std::size_t done) {
  const std::vector<std::size_t> last = last_uses(program);
  std::vector<std::size_t> live;
  for (std::size_t i = 0; i < last.size() && (i == 0 || i < done); ++i) {
    if (last[i] >= done) live.push_back(i);
  }
  return live;
}

void check_result(const Instruction& instruction, const ckks::Parameters& parameters,
                  const std::vector<Ciphertext>& value, const std::string& what) {
  require(value.size() == static_cast<std::size_t>(instruction.ciphertexts), ErrorKind::kMismatch,
          "{} has {} ciphertext(s), expected {}", what, value.size(), instruction.ciphertexts);
  for (const Ciphertext& c : value) {
    require(c.parameters_id == parameters.id(), ErrorKind::kMismatch,
            "{} was encrypted under other parameters than those of the model", what);
    require(c.parts.size() == 2 && c.level == instruction.level && std::abs(c.scale / instruction.scale - 1) < 1e-9,
            ErrorKind::kMismatch, "{} is at level {} and scale {}, expected level {} and scale {}", what, c.level,
            c.scale, instruction.level, instruction.scale);
  }
}

void check_state(const Program& program, const ckks::Parameters& parameters, const RunState& state) {
  require(state.next < program.instructions.size(), ErrorKind::kMismatch,
          "a run of model \"{}\" cannot go on at instruction {}: it has {}", program.model, state.next,
          program.instructions.size());
  const std::vector<std::size_t> live = live_values(program, state.next);
  require(state.values.size() == live.size(), ErrorKind::kMismatch,
          "a run of model \"{}\" needs {} value(s) to go on at instruction {}, got {}", program.model, live.size(),
          state.next, state.values.size());
  for (std::size_t k = 0; k < live.size(); ++k) {
    const Instruction& instruction = program.instructions[live[k]];
    check_result(instruction, parameters, state.values[k],
                 live[k] == 0 ? "the input of model \"" + program.model + "\""
                              : "value \"" + instruction.name + "\" of model \"" + program.model + "\"");
  }
}

}  // namespace hearth::runtime
