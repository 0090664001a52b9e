#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ckks/evaluator.h"
#include "compiler/program/encoding.h"
#include "compiler/program/program.h"
#include "runtime/run_state.h"

namespace hearth::runtime {

/// Time one instruction took.
struct StageTime {
  std::string name;
  std::string op;
  double seconds = 0;
};

struct RunReport {
  std::vector<StageTime> stages;
  double seconds = 0;
};

/// What a caller may look at, and how it may end it, while a program runs; all may be empty. Calls come from the thread
/// that runs, except where said otherwise.
struct RunHooks {
  /// Work of every instruction, not negative and in any unit, for `progress`. Empty: nominal costs
  /// (compiler/program/work.h).
  std::vector<double> costs;
  /// Work done so far out of `total`, and the name of the layer being evaluated. Called before every instruction,
  /// between the bootstraps of one, now and then within a longer part with a guess (progress_meter.h), and at the end.
  std::function<void(double done, double total, const std::string& layer)> progress;
  /// Every instruction's result once it is there, the input included.
  std::function<void(std::size_t instruction, const std::vector<ckks::Ciphertext>& result)> observer;
  /// After every instruction, with the number of those done and a look at the results that live_values() then lists.
  std::function<void(std::size_t done, const ResultLookup& result)> save;
  /// Called often, also within instructions and from several threads at once (Evaluator::set_checkpoint). What it
  /// throws ends the run, within a fraction of a second on usual rings, and leaves run() as it is.
  std::function<void()> checkpoint;
};

/// A program with its weights encoded (those that are kept so, see compiler/program/encoding.h), ready to serve any
/// number of inputs. Thread safe to run.
class Executor {
 public:
  /// Encodes weights, up to `encoded_budget` bytes of them. `progress(done, total)` may be empty; calls come from one
  /// thread.
  Executor(ckks::ParametersPtr parameters, compiler::Program program,
           const std::function<void(double, double)>& progress = {},
           std::size_t encoded_budget = compiler::kEncodedBudget);
  ~Executor();

  /// The program without its weights, which were taken.
  const compiler::Program& program() const { return program_; }
  std::size_t plaintext_bytes() const;

  /// Evaluates on the input's ciphertexts (count, level and scale as program().input() says; Error(kMismatch)
  /// otherwise). The executor is as good as before after a run that ended with an exception.
  std::vector<ckks::Ciphertext> run(const ckks::EvaluationKeys& keys, std::vector<ckks::Ciphertext> input,
                                    RunReport* report = nullptr, const RunHooks& hooks = {}) const;
  /// Goes on where another run was; the result has the same bits as if that had not ended. Times are added to
  /// `report`. Error(kMismatch) for a state of another program.
  std::vector<ckks::Ciphertext> resume(const ckks::EvaluationKeys& keys, RunState state, RunReport* report = nullptr,
                                       const RunHooks& hooks = {}) const;

 private:
  struct Prepared;
  ckks::ParametersPtr parameters_;
  compiler::Program program_;
  std::vector<double> cost_;                          // nominal, one an instruction
  std::vector<double> moved_;                         // bytes of keys and ciphertexts, one an instruction
  std::vector<std::unique_ptr<Prepared>> prepared_;   // one an instruction, null where nothing is encoded
  std::unique_ptr<ckks::Bootstrapper> bootstrapper_;  // null for programs without activations
};

}  // namespace hearth::runtime
