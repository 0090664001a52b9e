#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compiler/program/bundle.h"
#include "runtime/checkpoint.h"
#include "runtime/executor.h"
#include "service/wire/ciphertext_file.h"
#include "service/wire/evaluation_key_file.h"

namespace hearth::service {

/// One client's evaluation keys, ready for one model. Immutable; thread safe.
struct ClientKeys {
  Binding binding;
  std::string file;     ///< for messages
  Checksum checksum{};  ///< of the file
  ckks::EvaluationKeys keys;
};

/// Where a run went on that had been ended before.
struct ResumePoint {
  std::uint32_t input = 0;
  std::uint32_t instruction = 0;  ///< the number of instructions of the program once all inputs are done
  std::string layer;
};

/// A checkpoint folder, for runs that may be ended at any moment and go on later (runtime/checkpoint.h).
struct Checkpointing {
  std::filesystem::path folder;  ///< empty: none
  double every = 0;              ///< least seconds between checkpoints
  std::function<void(const ResumePoint&)> resumed;
};

struct KeptRun {
  std::optional<ResumePoint> resumed;
  runtime::CheckpointCost cost;
};

/// (done, total, layer).
using LayerProgress = std::function<void(double, double, const std::string&)>;

/// Runs one compiled model on encrypted inputs. Holds weights and, for the time of a call, a client's evaluation keys
/// and ciphertexts: nothing here, nor in any library it links, can decrypt. Const methods are thread safe.
class Server {
 public:
  /// Reads a server bundle and encodes its weights.
  explicit Server(const std::filesystem::path& bundle, const ProgressFunction& progress = {});
  /// Within a budget of memory for the whole process, with keys and encoded weights on a tier as far as need be
  /// (runtime/residency.h). Holds the keys of one client, those loaded last, and runs one input at a time.
  /// Error(kResource) that names the smallest budget for one that is too small.
  Server(const std::filesystem::path& bundle, runtime::MemoryOptions memory, const ProgressFunction& progress = {});

  const compiler::Program& program() const { return executor_->program(); }
  const compiler::Prediction& prediction() const { return prediction_; }
  const ckks::Parameters& parameters() const { return *parameters_; }
  std::size_t plaintext_bytes() const { return executor_->plaintext_bytes(); }
  /// Null without a budget.
  const runtime::Residency* residency() const { return executor_->residency(); }

  /// Error(kMismatch) for keys of another model, Error(kSecurity) for a secret key.
  ClientKeys load_keys(const std::filesystem::path& file, const ProgressFunction& progress = {}) const;

  /// Runs every input of a ciphertext file and writes the outputs to another, one at a time: memory does not grow with
  /// their number. Refuses ciphertexts of another model or secret key than the keys'. `reports`, if not null, receives
  /// one entry an input. `progress` counts inputs, weighing instructions by their predicted times, and names the layer
  /// being evaluated. `checkpoint` may end the run by an exception (RunHooks::checkpoint): then nothing is written.
  void run(const ClientKeys& keys, const std::filesystem::path& input, const std::filesystem::path& output,
           std::vector<runtime::RunReport>* reports = nullptr, const LayerProgress& progress = {},
           const std::function<void()>& checkpoint = {}) const;

  /// The same with a checkpoint folder: however it was ended, a process too, the same call goes on where the folder
  /// says, and gives the same bits. `resumed`, if not empty, is called first when it does. Reports are over all parts
  /// of the run. The folder is left as it was made once the output is there.
  KeptRun run_kept(const ClientKeys& keys, const std::filesystem::path& input, const std::filesystem::path& output,
                   const Checkpointing& keeping, std::vector<runtime::RunReport>* reports = nullptr,
                   const LayerProgress& progress = {}, const std::function<void()>& checkpoint = {}) const;

 private:
  compiler::Program open(const std::filesystem::path& bundle);
  ckks::EvaluationKeys load(const EvaluationKeyFile& file, const ProgressFunction& progress) const;
  CiphertextHead check_input(const CiphertextFile& input, const ClientKeys& keys) const;
  CiphertextHead output_head(CiphertextHead input) const;
  runtime::RunHooks hooks(std::uint32_t input, std::uint32_t inputs, const LayerProgress& progress,
                          const std::function<void()>& checkpoint) const;
  runtime::RunReport report_of(const std::vector<double>& seconds) const;
  runtime::Checkpoint open_checkpoint(const ClientKeys& keys, const CiphertextFile& input,
                                      const Checkpointing& keeping) const;

  std::string name_;
  Binding binding_;
  compiler::Prediction prediction_;
  ckks::ParametersPtr parameters_;
  std::unique_ptr<runtime::Executor> executor_;
};

}  // namespace hearth::service
