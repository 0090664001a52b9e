#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/folder_lock.h"
#include "runtime/checkpoint_files.h"
#include "runtime/run_state.h"

namespace hearth::runtime {

/// How much work may be lost. A checkpoint is not worth writing while the work since the last one is less than 1 % of
/// the run, or less than `worth` times what writing that took; more than a second, and more than `every`, is always.
struct CheckpointPolicy {
  double every = 0;             ///< least seconds between checkpoints
  double expected_seconds = 0;  ///< predicted for the whole run, 0 if unknown
  double worth = 10;
};

struct CheckpointCost {
  std::size_t saves = 0;  ///< by this process
  std::uint64_t bytes = 0;
  double seconds = 0;
};

/// The progress of one run in a folder of its own, durable: ended at any moment, it goes on from the last save. Holds
/// ciphertexts and no secret. One thread at a time.
///
/// Every result that later instructions need is a file, written once; a save writes those that are new, then replaces
/// the manifest, then removes what it does not name any more. So the folder always holds one whole checkpoint.
class Checkpoint {
 public:
  /// Takes the folder (made if need be), checks every byte of what is in it and removes what no manifest names.
  /// Error(kResource) while another run has it; Error(kCorrupt) for damage, Error(kMismatch) for another run's
  /// checkpoint, Error(kUnsupported) for another version's, saying which file and what to do.
  Checkpoint(std::filesystem::path folder, RunIdentity identity, const compiler::Program& program,
             const ckks::Parameters& parameters, CheckpointPolicy policy);

  /// Whether there was progress in the folder.
  bool resumed() const { return resumed_; }
  /// The first input that is not finished; as many as there are when all are.
  std::uint32_t input() const { return static_cast<std::uint32_t>(manifest_.finished.size()); }
  /// Where that input's run goes on. The input itself is not stored: where it is live (instruction 0), its value is
  /// empty, for the caller to fill in.
  RunState state() const;
  /// What the instructions before that took.
  const std::vector<double>& seconds() const { return manifest_.seconds; }

  /// After `done` instructions of input(): makes that durable if enough time went by since the last save, and always
  /// at the end of an input, which is then finished. Error(kIo) if it cannot, with the last save as it was.
  void save(std::size_t done, const std::vector<double>& seconds, const ResultLookup& result);

  struct Output {
    std::vector<ckks::Ciphertext> value;
    std::vector<double> seconds;  ///< of every instruction
  };
  Output output(std::uint32_t input) const;

  const CheckpointCost& cost() const { return cost_; }

  /// To be called when the outputs are safe: removes the files, and the folder if it was made for this run.
  void remove();

 private:
  using Clock = std::chrono::steady_clock;

  void load();
  void check(const Manifest& found, const std::string& file) const;
  void check_files() const;
  ValueContents read(const StoredValue& stored, const std::filesystem::path& path) const;
  StoredValue store(std::uint32_t instruction, const std::vector<ckks::Ciphertext>& value);
  void store_output(Manifest& next, const std::vector<double>& seconds, const std::vector<ckks::Ciphertext>& value);
  void store_live(Manifest& next, std::size_t done, const ResultLookup& result);
  void commit(Manifest next);
  bool due() const;
  void remove_unnamed() const;
  std::filesystem::path live_path(const StoredValue& value) const;
  std::filesystem::path output_path(std::uint32_t input) const;

  const std::filesystem::path folder_;
  const compiler::Program& program_;
  const ckks::Parameters& parameters_;
  const CheckpointPolicy policy_;
  std::optional<FolderLock> lock_;
  Manifest manifest_;
  bool resumed_ = false;
  Clock::time_point saved_at_;
  double last_cost_ = 0;  // seconds
  CheckpointCost cost_;
};

}  // namespace hearth::runtime
