#include "compiler/program/program.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "base/overload.h"

namespace hearth::compiler {
namespace {

const Convolution* layer_of(const LinearWeights& weights) {
  if (const auto* m = std::get_if<std::shared_ptr<const LayerMatrix>>(&weights)) return &(*m)->layer();
  if (const auto* m = std::get_if<std::shared_ptr<const GridMatrix>>(&weights)) return (*m)->layer().get();
  return nullptr;
}

std::string describe(const LinearWeights& weights) {
  const Convolution* layer = layer_of(weights);
  if (layer == nullptr) return {};
  const Convolution& c = *layer;
  return fmt::format("{} x {}/{}{}, {} -> {}: {} weights, ", c.kernel[0], c.kernel[1], c.strides[0],
                     c.groups > 1 ? fmt::format(" in {} groups", c.groups) : "", fmt::join(c.in, "x"),
                     fmt::join(c.out, "x"), c.weights.size());
}

std::string describe(const LinearOp& op) {
  const ckks::MapShape shape = shape_of(op.map);
  std::size_t words = 0;
  for (const ckks::DiagonalPlace& place : shape.diagonals) words += place.period;
  return fmt::format("%{}, {}{} -> {} ciphertexts, {} diagonals ({} numbers), {} baby and {} giant steps, folds [{}]",
                     op.x, describe(op.map), shape.inputs, shape.outputs, shape.diagonals.size(), words,
                     op.plan.babies.size(), op.plan.giants.size(), fmt::join(op.folds, ", "));
}

}  // namespace

ckks::MapShape shape_of(const LinearWeights& weights) {
  return std::visit(Overload{[](const ckks::LinearMap& map) { return ckks::shape_of(map); },
                             [](const auto& matrix) { return matrix->shape(); }},
                    weights);
}

std::shared_ptr<const ckks::LinearMapSource> take_source(LinearWeights& weights) {
  using Source = std::shared_ptr<const ckks::LinearMapSource>;
  return std::visit(
      Overload{[](ckks::LinearMap& map) -> Source { return std::make_shared<ckks::StoredLinearMap>(std::move(map)); },
               [](std::shared_ptr<const LayerMatrix>& matrix) -> Source { return std::move(matrix); },
               [](std::shared_ptr<const GridMatrix>& matrix) -> Source { return matrix; }},
      weights);
}

std::vector<double> bias_of(const LinearOp& op, int ciphertext) {
  if (!op.bias.empty()) return op.bias[static_cast<std::size_t>(ciphertext)];
  const auto* matrix = std::get_if<std::shared_ptr<const GridMatrix>>(&op.map);
  if (!matrix || (op.channel_bias.empty() && op.margin == 0)) return {};
  return grid_constant(*(*matrix)->out(), ciphertext, op.channel_bias, op.margin);
}

ckks::SlotVectors series_of(const ActivationOp& op, std::size_t ciphertext) {
  ckks::SlotVectors out;
  for (std::size_t k = 0; k < op.coefficients.size(); ++k) {
    auto& slots = out.emplace_back();
    if (op.choices.empty()) {
      slots.push_back(op.coefficients[k]);
      continue;
    }
    for (const std::size_t which : op.choices[ciphertext]) {
      slots.push_back(which == 0 ? op.coefficients[k] : op.variants[which - 1][k]);
    }
  }
  return out;
}

std::vector<Value> operands(const Op& op) {
  return std::visit(Overload{[](const InputOp&) { return std::vector<Value>{}; },
                             [](const AddOp& o) {
                               return std::vector<Value>{o.a, o.b};
                             },
                             [](const MultiplyOp& o) {
                               return std::vector<Value>{o.a, o.b};
                             },
                             [](const JoinOp& o) {
                               std::vector<Value> values;
                               for (const auto& part : o.parts) values.push_back(part.value);
                               return values;
                             },
                             [](const auto& o) { return std::vector<Value>{o.x}; }},
                    op);
}

std::string op_name(const Op& op) {
  return std::visit(
      Overload{[](const InputOp&) { return "input"; }, [](const LinearOp&) { return "linear"; },
               [](const AddOp& o) { return o.subtract ? "sub" : "add"; }, [](const MultiplyOp&) { return "multiply"; },
               [](const QuadraticOp&) { return "quadratic"; }, [](const PolynomialOp&) { return "polynomial"; },
               [](const AddPlainOp&) { return "add_plain"; }, [](const JoinOp&) { return "join"; },
               [](const ActivationOp&) { return "activation"; }},
      op);
}

std::string to_string(const Program& program) {
  std::string text = fmt::format("program \"{}\"\n", program.model);
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const Instruction& ins = program.instructions[i];
    const std::string detail = std::visit(
        Overload{[&](const InputOp&) { return std::string{}; }, [](const LinearOp& o) { return describe(o); },
                 [](const QuadraticOp& o) {
                   return fmt::format("%{}, {}(x^2 + {:.6g} x) + {:.6g}, scale factor {:.6g}", o.x, o.negate ? "-" : "",
                                      o.linear, o.constant, o.scale_factor);
                 },
                 [](const PolynomialOp& o) { return fmt::format("%{}, degree {}", o.x, o.coefficients.size() - 1); },
                 [](const AddPlainOp& o) { return fmt::format("%{}", o.x); },
                 [](const ActivationOp& o) {
                   return fmt::format("%{}, {} series of degree {}", o.x, 1 + o.variants.size(),
                                      o.coefficients.size() - 1);
                 },
                 [](const auto& o) {
                   std::string list;
                   for (const Value v : operands(Op{o})) list += fmt::format("{}%{}", list.empty() ? "" : ", ", v);
                   return list;
                 }},
        ins.op);
    text += fmt::format("%{:<3} {:<10} {:<24} level {} scale 2^{:.3f} ciphertexts {}{}{}\n", i, op_name(ins.op),
                        ins.name, ins.level, std::log2(ins.scale), ins.ciphertexts, detail.empty() ? "" : "  ", detail);
  }
  return text + fmt::format("output %{}; {} rotation keys, {} relinearisation keys\n", program.output,
                            program.keys.galois.size(), program.keys.relinearisation_sets.size());
}

ckks::KeyRequest required_keys(const Program& program, const ckks::Parameters& parameters) {
  std::set<int> relin;
  std::set<std::pair<int, std::uint32_t>> galois;
  std::set<std::size_t> series;  // numbers of coefficients
  for (const Instruction& ins : program.instructions) {
    const int set = parameters.key_set_for(ins.work_level);
    const auto rotate = [&](int steps) {
      if (steps != 0) galois.emplace(set, ckks::galois_element(steps, parameters.log_n()));
    };
    if (const auto* linear = std::get_if<LinearOp>(&ins.op)) {
      for (const int steps : ckks::rotations(linear->plan, static_cast<int>(parameters.slots()))) rotate(steps);
      for (const int steps : linear->folds) rotate(steps);
    } else if (std::holds_alternative<MultiplyOp>(ins.op) || std::holds_alternative<QuadraticOp>(ins.op)) {
      relin.insert(set);
    } else if (std::holds_alternative<PolynomialOp>(ins.op)) {
      for (int level = ins.level; level <= ins.work_level; ++level) relin.insert(parameters.key_set_for(level));
    } else if (const auto* activation = std::get_if<ActivationOp>(&ins.op)) {
      series.insert(activation->coefficients.size());
    }
  }
  for (const std::size_t coefficients : series) {
    const ckks::KeyRequest more = ckks::bootstrap_keys(parameters, program.bootstrap.value(), coefficients);
    relin.insert(more.relinearisation_sets.begin(), more.relinearisation_sets.end());
    galois.insert(more.galois.begin(), more.galois.end());
  }
  return {.relinearisation_sets = {relin.begin(), relin.end()},
          .galois = {galois.begin(), galois.end()},
          .encapsulation = !series.empty()};
}

}  // namespace hearth::compiler
