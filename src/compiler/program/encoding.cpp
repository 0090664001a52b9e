#include "compiler/program/encoding.h"

#include <algorithm>

namespace hearth::compiler {

std::size_t encoded_limbs(const Instruction& instruction, const ckks::Parameters& parameters) {
  const auto& babies = std::get<LinearOp>(instruction.op).plan.babies;
  const int level = instruction.work_level;
  if (std::ranges::all_of(babies, [](int b) { return b == 0; })) return parameters.q_basis(level).size();
  return parameters.qp_basis(level, parameters.key_set_for(level)).size();
}

std::size_t encoded_bytes(const Instruction& instruction, const ckks::Parameters& parameters) {
  const auto* op = std::get_if<LinearOp>(&instruction.op);
  if (!op) return 0;
  std::size_t words = 0;  // a limb
  for (const ckks::DiagonalPlace& place : shape_of(op->map).diagonals) words += 2 * place.period;
  return words * sizeof(std::uint32_t) * encoded_limbs(instruction, parameters);
}

bool encoded_at_once(const Instruction& instruction, const ckks::Parameters& parameters) {
  const auto* op = std::get_if<LinearOp>(&instruction.op);
  return op && std::holds_alternative<std::shared_ptr<const GridMatrix>>(op->map) &&
         encoded_bytes(instruction, parameters) <= kGridEncoded;
}

std::vector<bool> encoded_ahead(const Program& program, const ckks::Parameters& parameters, std::size_t budget) {
  std::size_t bytes = 0;
  for (const Instruction& instruction : program.instructions) bytes += encoded_bytes(instruction, parameters);
  std::vector<bool> ahead;
  for (const Instruction& instruction : program.instructions) {
    ahead.push_back(bytes <= budget && std::holds_alternative<LinearOp>(instruction.op));
  }
  return ahead;
}

ckks::Hoisting streamed_hoisting(const Instruction& instruction, const ckks::Parameters& parameters) {
  const auto& op = std::get<LinearOp>(instruction.op);
  const ckks::MapShape shape = shape_of(op.map);
  const double q = static_cast<double>(parameters.q_basis(instruction.work_level).size());
  const double special = static_cast<double>(encoded_limbs(instruction, parameters)) - q;
  const auto moved = static_cast<double>(std::ranges::count_if(op.plan.babies, [](int b) { return b != 0; }));
  // In transforms of one limb (docs/experiments.md).
  constexpr double kConvert = 0.1, kProduct = 0.2;
  const double division = 2 * (special + q * (1 + kConvert * special));
  double saved = 0;
  for (const ckks::DiagonalPlace& place : shape.diagonals) {
    saved += special * (static_cast<double>(place.period) / static_cast<double>(parameters.slots()) + kProduct);
  }
  return saved > division * moved * shape.inputs ? ckks::Hoisting::kSingle : ckks::Hoisting::kDouble;
}

}  // namespace hearth::compiler
