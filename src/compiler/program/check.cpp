#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "base/error.h"
#include "ckks/polynomial.h"
#include "compiler/program/program.h"

namespace hearth::compiler {
namespace {

constexpr int kMaxCiphertexts = 1 << 16;

/// Checks one instruction of a program that came from a file; every throw names it.
class Checker {
 public:
  Checker(const Program& program, const ckks::Parameters& parameters, Value index)
      : program_(program), parameters_(parameters), index_(index), ins_(at(index)) {}

  void run() const {
    const bool rises = std::holds_alternative<ActivationOp>(ins_.op);
    want(ins_.level >= 0 && ins_.work_level >= 0 && (rises || ins_.work_level >= ins_.level) &&
             ins_.work_level <= parameters_.max_level() && ins_.level <= parameters_.max_level(),
         "its levels are outside the modulus chain");
    want(std::isfinite(ins_.scale) && ins_.scale >= 1 && ins_.scale < 0x1p200, "its scale is impossible");
    want(ins_.ciphertexts >= 1 && ins_.ciphertexts <= kMaxCiphertexts, "its number of ciphertexts is impossible");
    want((index_ == 0) == std::holds_alternative<InputOp>(ins_.op), "the first instruction, and only it, is the input");
    for (const Value v : operands(ins_.op)) {
      want(v >= 0 && v < index_, "it reads a value that does not exist yet");
      want(at(v).level >= ins_.work_level, "it reads a value below its level");
    }
    std::visit([&](const auto& op) { check_op(op); }, ins_.op);
  }

 private:
  const Instruction& at(Value v) const { return program_.instructions[static_cast<std::size_t>(v)]; }

  void want(bool condition, const char* what) const {
    require(condition, ErrorKind::kCorrupt, "program \"{}\", instruction {} (\"{}\"): {}", program_.model, index_,
            ins_.name, what);
  }
  void same_count(Value v) const { want(at(v).ciphertexts == ins_.ciphertexts, "ciphertext counts differ"); }
  void costs(int levels) const { want(ins_.work_level == ins_.level + levels, "its levels do not fit its operation"); }
  void finite(double v) const { want(std::isfinite(v) && std::abs(v) < 0x1p100, "it holds an impossible number"); }
  void vectors(const std::vector<std::vector<double>>& list) const {
    want(list.empty() || list.size() == static_cast<std::size_t>(ins_.ciphertexts), "constant vectors do not match");
    for (const auto& v : list) vector(v);
  }
  void vector(const std::vector<double>& v) const {
    want(!v.empty() && v.size() <= parameters_.slots() && (v.size() & (v.size() - 1)) == 0,
         "a vector's period is not a power of two within the slots");
    for (const double x : v) finite(x);
  }
  void scales_match(Value a, double expected) const {
    want(std::abs(at(a).scale / expected - 1) < 1e-6, "scales of operands do not match");
  }
  /// The stated scale is the one the operation gives: `product` of its factors' scales, rescaled.
  void scale_follows(double product) const {
    want(std::abs(ins_.scale * parameters_.level_modulus(ins_.work_level) / product - 1) < 1e-6,
         "its scale does not follow from those of its operands");
  }
  int slots() const { return static_cast<int>(parameters_.slots()); }
  bool rotation(int r) const { return r >= 0 && static_cast<std::size_t>(r) < parameters_.slots(); }

  void check_op(const InputOp&) const { costs(0); }
  void check_op(const AddOp& op) const {
    costs(0);
    same_count(op.a);
    same_count(op.b);
    scales_match(op.a, ins_.scale);
    scales_match(op.b, ins_.scale);
  }
  void check_op(const MultiplyOp& op) const {
    costs(1);
    same_count(op.a);
    same_count(op.b);
    scale_follows(at(op.a).scale * at(op.b).scale);
  }
  void check_op(const QuadraticOp& op) const {
    costs(1);
    same_count(op.x);
    finite(op.linear);
    finite(op.constant);
    finite(op.scale_factor);
    want(op.scale_factor > 0, "its scale factor is not positive");
    scale_follows(at(op.x).scale * at(op.x).scale * op.scale_factor);
  }
  void check_op(const PolynomialOp& op) const {
    same_count(op.x);
    want(op.coefficients.size() >= 2 && op.coefficients.size() <= 1024, "its degree is impossible");
    costs(ckks::polynomial_depth(static_cast<int>(op.coefficients.size()) - 1));
    for (const double c : op.coefficients) finite(c);
  }
  void check_op(const ActivationOp& op) const {
    same_count(op.x);
    want(program_.bootstrap.has_value(), "it bootstraps, but the program does not say how");
    want(op.coefficients.size() >= 2 && op.coefficients.size() <= 1024, "its degree is impossible");
    series(op.coefficients);
    for (const auto& variant : op.variants) {
      want(variant.size() == op.coefficients.size(), "its series differ in length");
      series(variant);
    }
    want(op.choices.empty() || op.choices.size() == static_cast<std::size_t>(ins_.ciphertexts),
         "its choices of series do not match its ciphertexts");
    for (const auto& choice : op.choices) {
      want(!choice.empty() && choice.size() <= parameters_.slots() && std::has_single_bit(choice.size()) &&
               std::ranges::all_of(choice, [&](std::size_t which) { return which <= op.variants.size(); }),
           "a choice of series is impossible");
    }
    const int depth = ckks::polynomial_depth(static_cast<int>(op.coefficients.size()) - 1);
    want(ins_.work_level == static_cast<int>(program_.bootstrap->stc_radices.size()) &&
             ins_.level <= ckks::exponential_level(parameters_, *program_.bootstrap) - depth,
         "its levels do not fit a bootstrap");
  }
  void series(const std::vector<std::complex<double>>& coefficients) const {
    for (const auto& c : coefficients) {
      finite(c.real());
      finite(c.imag());
    }
  }
  void check_op(const AddPlainOp& op) const {
    costs(0);
    same_count(op.x);
    want(!op.constants.empty(), "it adds nothing");
    vectors(op.constants);
    scales_match(op.x, ins_.scale);
  }
  void check_op(const JoinOp& op) const {
    costs(0);
    want(op.parts.size() == static_cast<std::size_t>(ins_.ciphertexts), "its parts do not match its ciphertexts");
    for (const auto& part : op.parts) {
      want(part.ciphertext >= 0 && part.ciphertext < at(part.value).ciphertexts,
           "it joins a ciphertext that is not there");
      scales_match(part.value, ins_.scale);
    }
  }
  void check_op(const LinearOp& op) const {
    costs(1);
    std::visit([&](const auto& map) { check_numbers(map); }, op.map);
    const ckks::MapShape shape = shape_of(op.map);
    want(shape.inputs == at(op.x).ciphertexts && shape.outputs == ins_.ciphertexts, "its map has the wrong size");
    want(std::isfinite(op.plain_scale) && op.plain_scale >= 1 && op.plain_scale < 0x1p100,
         "its plaintext scale is impossible");
    check_plan(op.plan);
    const std::set<int> babies(op.plan.babies.begin(), op.plan.babies.end());
    const std::set<int> giants(op.plan.giants.begin(), op.plan.giants.end());
    for (const auto& [output, input, r, period] : shape.diagonals) {
      want(output >= 0 && output < shape.outputs && input >= 0 && input < shape.inputs,
           "its map has a block outside its size");
      want(rotation(r) && babies.contains(op.plan.baby(r, slots())) && giants.contains(op.plan.giant(r, slots())),
           "a diagonal is not reached by its baby and giant steps");
      want(std::has_single_bit(period) && period <= parameters_.slots(),
           "a diagonal's period is not a power of two within the slots");
    }
    want(op.folds.size() <= 32, "it folds too often");
    for (const int f : op.folds) want(rotation(f) && f > 0, "it folds by an impossible rotation");
    vectors(op.bias);
    for (const float b : op.channel_bias) finite(b);
    finite(op.margin);
    scale_follows(at(op.x).scale * op.plain_scale);
  }
  void check_numbers(const ckks::LinearMap& map) const {
    for (const auto& [block, diagonals] : map.blocks) {
      for (const auto& [r, diagonal] : diagonals) vector(diagonal);
    }
  }
  void check_numbers(const std::shared_ptr<const LayerMatrix>& matrix) const {
    want(matrix != nullptr, "it has no weights");
    want(static_cast<std::size_t>(std::max(matrix->in()->period, matrix->out()->period)) <= parameters_.slots(),
         "the layouts of its layer are wider than the slots");
    for (const float w : matrix->layer().weights) finite(w);
  }
  void check_numbers(const std::shared_ptr<const GridMatrix>& matrix) const {
    want(matrix != nullptr, "it has no weights");
    want(static_cast<std::size_t>(matrix->in()->slots) == parameters_.slots(), "its grid has another number of slots");
    const auto& op = std::get<LinearOp>(ins_.op);
    want(op.channel_bias.empty() || op.channel_bias.size() == static_cast<std::size_t>(matrix->layer()->out[0]),
         "its bias does not match its channels");
    for (const float w : matrix->layer()->weights) finite(w);
  }
  void check_plan(const ckks::BsgsPlan& plan) const {
    want(plan.step >= 1 && plan.step <= slots() && plan.offset >= 0 && plan.offset < plan.step && plan.outer >= 0 &&
             plan.outer <= slots(),
         "its baby-step giant-step split is impossible");
    for (const int b : plan.babies) want(rotation(b), "a baby step is out of range");
    for (const int g : plan.giants) want(rotation(g), "a giant step is out of range");
    want(std::is_sorted(plan.babies.begin(), plan.babies.end()) &&
             std::is_sorted(plan.giants.begin(), plan.giants.end()),
         "its steps are not sorted");
  }

  const Program& program_;
  const ckks::Parameters& parameters_;
  Value index_;
  const Instruction& ins_;
};

void check_bootstrap(const Program& program, const ckks::Parameters& parameters) {
  try {
    ckks::check(parameters, *program.bootstrap);
  } catch (const Error& error) {
    fail(ErrorKind::kCorrupt, "program \"{}\": {}", program.model, error.what());
  }
}

}  // namespace

void check(const Program& program, const ckks::Parameters& parameters) {
  const auto count = program.instructions.size();
  require(count >= 1 && count <= 1'000'000, ErrorKind::kCorrupt,
          "program \"{}\": {} instructions, expected 1 to 1000000", program.model, count);
  if (program.bootstrap) check_bootstrap(program, parameters);
  for (std::size_t i = 0; i < count; ++i) Checker(program, parameters, static_cast<Value>(i)).run();
  require(program.output >= 0 && static_cast<std::size_t>(program.output) < count, ErrorKind::kCorrupt,
          "program \"{}\": its output, value {}, does not exist", program.model, program.output);
  const ckks::KeyRequest needed = required_keys(program, parameters);
  require(needed == program.keys, ErrorKind::kCorrupt, "program \"{}\": the keys it lists are not the keys it uses",
          program.model);
}

}  // namespace hearth::compiler
