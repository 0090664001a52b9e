#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/block_cache.h"
#include "ckks/evaluator.h"
#include "compiler/program/encoding.h"
#include "compiler/program/program.h"
#include "runtime/residency.h"
#include "runtime/run.h"
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
  /// Within a budget of memory, of the whole process from now on (base/buffer.h): keys and encoded weights lie in a
  /// store that moves them as planned. `seconds`: predicted by instruction, empty if unknown; plans rest on them. Runs
  /// are then one at a time, with the keys stored last. Error(kResource) naming the smallest budget below it.
  Executor(ckks::ParametersPtr parameters, compiler::Program program, MemoryOptions memory,
           const std::vector<double>& seconds, const std::function<void(double, double)>& progress = {});
  ~Executor();

  /// The program without its weights, which were taken.
  const compiler::Program& program() const { return program_; }
  std::size_t plaintext_bytes() const;
  /// Null without a budget.
  const Residency* residency() const { return residency_.get(); }

  /// Puts a key into the store and returns one that is read from there. Only with a budget; a key that the program does
  /// not use is returned without contents. Distinct keys may be stored at once.
  ckks::SwitchingKey store_key(const ckks::KeyName& name, const ckks::SwitchingKey& key) const;

  /// Evaluates on the input's ciphertexts (count, level and scale as program().input() says; Error(kMismatch)
  /// otherwise). The executor is as good as before after a run that ended with an exception.
  std::vector<ckks::Ciphertext> run(const ckks::EvaluationKeys& keys, std::vector<ckks::Ciphertext> input,
                                    RunReport* report = nullptr, const RunHooks& hooks = {}) const;
  /// Goes on where another run was; the result has the same bits as if that had not ended. Times are added to
  /// `report`. Error(kMismatch) for a state of another program.
  std::vector<ckks::Ciphertext> resume(const ckks::EvaluationKeys& keys, RunState state, RunReport* report = nullptr,
                                       const RunHooks& hooks = {}) const;

 private:
  void take_weights(std::size_t encoded_budget);
  void prepare(std::size_t index);
  void plan_memory(MemoryOptions memory, const std::vector<double>& seconds);
  void record();
  ckks::EvaluationKeys recorded_keys();
  std::size_t pairs_at_once() const;
  void make_bootstrapper();

  ckks::ParametersPtr parameters_;
  compiler::Program program_;
  std::uint64_t limit_ = 0;                           // the budget, or 0
  std::vector<double> cost_;                          // nominal, one an instruction
  std::vector<double> moved_;                         // bytes of keys and ciphertexts, one an instruction
  std::vector<std::unique_ptr<Prepared>> prepared_;   // one an instruction, null where nothing is encoded
  std::unique_ptr<ckks::Bootstrapper> bootstrapper_;  // null for programs without activations
  std::unique_ptr<ChunkLimit> chunk_limit_;           // with a budget
  std::unique_ptr<Residency> residency_;              // null without a budget
  std::map<ckks::KeyName, std::shared_ptr<const ckks::RowSource>> key_rows_;
  mutable std::mutex one_run_;  // with a budget
};

}  // namespace hearth::runtime
