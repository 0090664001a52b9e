#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ckks/bootstrap/bootstrapper.h"
#include "ckks/linear_map_streamed.h"
#include "compiler/program/program.h"
#include "runtime/residency.h"
#include "runtime/run_state.h"

namespace hearth::runtime {

/// What is made ahead for one instruction: for a linear one, either of the maps, or what its map is made of when its
/// turn comes.
struct Prepared {
  std::optional<ckks::PreparedLinearMap> map;
  std::optional<ckks::StreamedLinearMap> streamed;
  std::shared_ptr<const ckks::LinearMapSource> source;
  std::vector<ckks::Plaintext> constants;  ///< bias or added vectors, one a ciphertext; empty: encoded in the run
  bool ahead = false;                      ///< diagonals are encoded before the program runs
  bool at_once = false;                    ///< if not ahead: all are encoded before the first is used
  ckks::Hoisting hoisting = ckks::Hoisting::kDouble;
  std::size_t memory = 0;  ///< bytes that evaluating a map from `source` may hold besides its diagonals
};

/// Runs one program once, instruction by instruction: holds the live values and frees each after its last use. One
/// thread; works on all.
class Run {
 public:
  using Tensor = std::vector<ckks::Ciphertext>;

  /// References must outlive it. `bootstrapper` may be null for programs without activations.
  Run(const compiler::Program& program, const ckks::Evaluator& evaluator, const ckks::Bootstrapper* bootstrapper,
      RunState state);

  /// Called when a part of the current instruction begins, with the shares of it at which that begins and ends.
  std::function<void(double, double)> begin_part;

  /// How many bootstraps of an instruction are done side by side (Bootstrapper::evaluate). The bits do not depend on
  /// it.
  std::size_t pairs_at_once = 1;
  /// In dry runs: is told of parts of an instruction that are alike, of which only the first is gone through.
  Residency* recorder = nullptr;

  /// Of an instruction that has been evaluated, until its last use.
  const Tensor& result(std::size_t index) const { return values_[index]; }
  Tensor output() { return std::move(values_[static_cast<std::size_t>(program_.output)]); }

  /// Evaluates the next instruction; `prepared` is null where nothing is made ahead.
  void step(std::size_t index, const Prepared* prepared);

 private:
  const Tensor& value(compiler::Value v) const;
  /// The operand at the working level: moved when this is its last use, copied otherwise.
  Tensor take(compiler::Value v, int level, std::size_t index);
  /// The operand at the working level for reading: in place when it is there already.
  const Tensor& read(compiler::Value v, int level, Tensor& storage) const;
  Tensor evaluate(const compiler::InputOp&, const compiler::Instruction&, std::size_t, const Prepared*);
  Tensor evaluate(const compiler::LinearOp& op, const compiler::Instruction& ins, std::size_t,
                  const Prepared* prepared);
  Tensor multiply(const compiler::LinearOp& op, const compiler::Instruction& ins, const Prepared& prepared,
                  const Tensor& x) const;
  /// Where it was not encoded ahead: margins make the vectors of biases long.
  void add_bias(const compiler::LinearOp& op, int ciphertext, ckks::Ciphertext& c) const;
  Tensor evaluate(const compiler::AddOp& op, const compiler::Instruction& ins, std::size_t index, const Prepared*);
  Tensor evaluate(const compiler::MultiplyOp& op, const compiler::Instruction& ins, std::size_t, const Prepared*);
  Tensor evaluate(const compiler::QuadraticOp& op, const compiler::Instruction& ins, std::size_t, const Prepared*);
  Tensor evaluate(const compiler::PolynomialOp& op, const compiler::Instruction& ins, std::size_t, const Prepared*);
  Tensor activate(const compiler::ActivationOp& op, std::size_t first, std::span<const ckks::Ciphertext> part,
                  const compiler::Instruction& ins) const;
  /// Two ciphertexts share a bootstrap, as its real and imaginary parts.
  Tensor evaluate(const compiler::ActivationOp& op, const compiler::Instruction& ins, std::size_t index,
                  const Prepared*);
  Tensor evaluate(const compiler::AddPlainOp& op, const compiler::Instruction& ins, std::size_t index,
                  const Prepared* prepared);
  Tensor evaluate(const compiler::JoinOp& op, const compiler::Instruction& ins, std::size_t, const Prepared*);

  const compiler::Program& program_;
  const ckks::Evaluator& evaluator_;
  const ckks::Bootstrapper* bootstrapper_;
  std::vector<Tensor> values_;
  std::vector<std::size_t> last_use_;
};

}  // namespace hearth::runtime
