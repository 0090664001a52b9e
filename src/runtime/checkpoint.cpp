#include "runtime/checkpoint.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/trace.h"

namespace hearth::runtime {
namespace {

namespace fs = std::filesystem;

constexpr double kNegligibleShare = 0.01;   // of a run
constexpr double kNegligibleSeconds = 1.0;  // at most
constexpr const char* kManifestName = "manifest.hearth";
constexpr const char* kMadeName = "made";

/// Whether a checkpoint may have left a file of this name, finished or not.
bool is_ours(const std::string& name) {
  constexpr std::array<std::string_view, 3> kPrefixes{"value-", "output-", "manifest."};
  const bool temporary = name.starts_with('.') && name.ends_with(".tmp");
  const std::string_view rest = std::string_view(name).substr(temporary ? 1 : 0);
  return std::ranges::any_of(kPrefixes, [&](std::string_view p) { return rest.starts_with(p); }) &&
         (temporary ? rest.find(".hearth.") != std::string_view::npos : rest.ends_with(".hearth"));
}

/// Makes the folder unless it is there, and in it, at once, the mark of that: it goes with the run.
void make_folder(const fs::path& folder) {
  std::error_code error;
  const bool made = fs::create_directory(folder, error);
  require(!error, ErrorKind::kIo, "cannot make the checkpoint folder {}: {}", folder.string(), error.message());
  if (!made) return;
  require(std::ofstream(folder / kMadeName).good(), ErrorKind::kIo, "cannot write {}", (folder / kMadeName).string());
  sync_folder(folder.has_parent_path() ? folder.parent_path() : fs::path("."));
}

std::string in_hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

}  // namespace

Checkpoint::Checkpoint(fs::path folder, RunIdentity identity, const compiler::Program& program,
                       const ckks::Parameters& parameters, CheckpointPolicy policy)
    : folder_(folder.has_filename() ? std::move(folder) : folder.parent_path()),
      program_(program),
      parameters_(parameters),
      policy_(policy) {
  manifest_.identity = std::move(identity);
  manifest_.instructions = static_cast<std::uint32_t>(program.instructions.size());
  make_folder(folder_);
  lock_.emplace(folder_);
  try {
    load();
  } catch (const Error& error) {
    const bool refused = error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kMismatch ||
                         error.kind() == ErrorKind::kUnsupported;
    if (!refused) throw;
    throw Error(error.kind(), fmt::format("{}; delete the folder {} to begin again, or give another one", error.what(),
                                          folder_.string()));
  }
  remove_unnamed();
  saved_at_ = Clock::now();
}

void Checkpoint::load() {
  const fs::path path = folder_ / kManifestName;
  if (!fs::exists(fs::symlink_status(path))) {
    // From here on the folder is this run's.
    write_manifest(path, manifest_);
    return;
  }
  Manifest found = read_manifest(ContainerReader(path));
  check(found, path.string());
  manifest_ = std::move(found);
  resumed_ = input() > 0 || manifest_.next > 0;
  check_files();
}

/// That the manifest is one of this run and fits the program.
void Checkpoint::check(const Manifest& found, const std::string& file) const {
  const RunIdentity& theirs = found.identity;
  const RunIdentity& ours = manifest_.identity;
  require(theirs.program == ours.program, ErrorKind::kUnsupported,
          "{} was written by Hearth {}, this is {}, and their results may differ: finish the run with the former", file,
          theirs.program, ours.program);
  require(theirs.model_id == ours.model_id && theirs.parameters_id == ours.parameters_id, ErrorKind::kMismatch,
          "{} is the checkpoint of a run of model \"{}\" (id {}), not of model \"{}\" (id {})", file, theirs.model,
          in_hex(theirs.model_id), ours.model, in_hex(ours.model_id));
  require(theirs.key_id == ours.key_id, ErrorKind::kMismatch,
          "{} is the checkpoint of a run with secret key {}, not {}", file, in_hex(theirs.key_id), in_hex(ours.key_id));
  require(theirs.keys == ours.keys, ErrorKind::kMismatch,
          "{} is the checkpoint of a run with other evaluation keys of the same secret key", file);
  require(theirs.input == ours.input && theirs.inputs == ours.inputs, ErrorKind::kMismatch,
          "{} is the checkpoint of a run on another file of encrypted inputs", file);
  require(found.instructions == manifest_.instructions, ErrorKind::kCorrupt,
          "{} is about a program of {} instructions, the model has {}", file, found.instructions,
          manifest_.instructions);
  for (const StoredValue& output : found.finished) {
    require(output.instruction == static_cast<std::uint32_t>(program_.output), ErrorKind::kCorrupt,
            "{} has instruction {} as an output, the model's is {}", file, output.instruction, program_.output);
  }
  std::vector<std::size_t> live = live_values(program_, found.next);
  std::erase(live, std::size_t{0});
  require(std::ranges::equal(live, found.live, {}, {}, &StoredValue::instruction), ErrorKind::kCorrupt,
          "{} has other values than instruction {} and later ones need", file, found.next);
}

/// Reads all, so that damage shows now and not after hours.
void Checkpoint::check_files() const {
  for (const StoredValue& value : manifest_.live) read(value, live_path(value));
  for (std::uint32_t i = 0; i < input(); ++i) output(i);
}

ValueContents Checkpoint::read(const StoredValue& stored, const fs::path& path) const {
  require(fs::exists(fs::symlink_status(path)), ErrorKind::kCorrupt, "{} is missing, though {} names it", path.string(),
          (folder_ / kManifestName).string());
  const ContainerReader file(path);
  require(file.table_checksum() == stored.checksum, ErrorKind::kCorrupt,
          "{} is not the file that {} names: their checksums differ", path.string(),
          (folder_ / kManifestName).string());
  ValueContents contents = read_value(file, parameters_);
  require(contents.input == stored.input && contents.instruction == stored.instruction, ErrorKind::kCorrupt,
          "{} holds the value of instruction {} for input {}, expected {} for {}", path.string(), contents.instruction,
          contents.input, stored.instruction, stored.input);
  check_result(program_.instructions.at(stored.instruction), parameters_, contents.value, path.string());
  return contents;
}

RunState Checkpoint::state() const {
  RunState state;
  state.next = manifest_.next;
  for (const std::size_t v : live_values(program_, state.next)) {
    const auto stored = std::ranges::find(manifest_.live, v, &StoredValue::instruction);
    state.values.push_back(stored == manifest_.live.end() ? std::vector<ckks::Ciphertext>()
                                                          : read(*stored, live_path(*stored)).value);
  }
  return state;
}

Checkpoint::Output Checkpoint::output(std::uint32_t input) const {
  const fs::path path = output_path(input);
  ValueContents contents = read(manifest_.finished.at(input), path);
  require(contents.seconds.size() == program_.instructions.size(), ErrorKind::kCorrupt,
          "{} has times of {} instructions, the model has {}", path.string(), contents.seconds.size(),
          program_.instructions.size());
  return {std::move(contents.value), std::move(contents.seconds)};
}

bool Checkpoint::due() const {
  const double passed = std::chrono::duration<double>(Clock::now() - saved_at_).count();
  const double negligible = std::max(kNegligibleShare * policy_.expected_seconds, policy_.worth * last_cost_);
  return passed >= std::max(policy_.every, std::min(kNegligibleSeconds, negligible));
}

void Checkpoint::save(std::size_t done, const std::vector<double>& seconds, const ResultLookup& result) {
  const bool finished = done == program_.instructions.size();
  // The first instruction is the input, which is not stored.
  if (!finished && (done <= 1 || !due())) return;
  const auto begin = Clock::now();
  trace::Span span(trace::Category::kCheckpoint, "save", program_.instructions[done - 1].name);
  const std::uint64_t written = cost_.bytes;
  try {
    Manifest next = manifest_;
    next.next = 0;
    next.seconds.clear();
    next.live.clear();
    if (finished) {
      store_output(next, seconds, result(static_cast<std::size_t>(program_.output)));
    } else {
      next.seconds = seconds;
      store_live(next, done, result);
    }
    commit(std::move(next));
  } catch (const Error& error) {
    remove_unnamed();
    throw Error(error.kind(),
                fmt::format("{}: no checkpoint could be written after \"{}\" of input {}; the one before "
                            "it is still in {}: make room, and the same command goes on from there",
                            error.what(), program_.instructions[done - 1].name, input(), folder_.string()));
  }
  span.set_bytes(static_cast<double>(cost_.bytes - written));
  saved_at_ = Clock::now();
  ++cost_.saves;
  last_cost_ = std::chrono::duration<double>(saved_at_ - begin).count();
  cost_.seconds += last_cost_;
}

void Checkpoint::store_output(Manifest& next, const std::vector<double>& seconds,
                              const std::vector<ckks::Ciphertext>& value) {
  StoredValue output{.input = input(), .instruction = static_cast<std::uint32_t>(program_.output)};
  const fs::path path = output_path(output.input);
  output.checksum = write_value(path, output.input, output.instruction, seconds, value);
  cost_.bytes += fs::file_size(path);
  next.finished.push_back(output);
}

void Checkpoint::store_live(Manifest& next, std::size_t done, const ResultLookup& result) {
  next.next = static_cast<std::uint32_t>(done);
  for (const std::size_t v : live_values(program_, done)) {
    if (v == 0) continue;
    const auto before = std::ranges::find(manifest_.live, v, &StoredValue::instruction);
    next.live.push_back(before != manifest_.live.end() ? *before : store(static_cast<std::uint32_t>(v), result(v)));
  }
}

StoredValue Checkpoint::store(std::uint32_t instruction, const std::vector<ckks::Ciphertext>& value) {
  StoredValue stored{.input = input(), .instruction = instruction};
  const fs::path path = live_path(stored);
  stored.checksum = write_value(path, stored.input, instruction, {}, value);
  cost_.bytes += fs::file_size(path);
  return stored;
}

/// The moment at which the new checkpoint takes the place of the old one is the renaming of the manifest.
void Checkpoint::commit(Manifest next) {
  write_manifest(folder_ / kManifestName, next);
  const Manifest before = std::exchange(manifest_, std::move(next));
  for (const StoredValue& value : before.live) {
    const bool kept = std::ranges::any_of(manifest_.live, [&](const StoredValue& other) {
      return other.input == value.input && other.instruction == value.instruction;
    });
    std::error_code ignored;  // it is in nobody's way
    if (!kept) fs::remove(live_path(value), ignored);
  }
}

/// What a run that ended suddenly left behind.
void Checkpoint::remove_unnamed() const {
  std::set<fs::path> named{folder_ / kManifestName};
  for (const StoredValue& value : manifest_.live) named.insert(live_path(value));
  for (const StoredValue& value : manifest_.finished) named.insert(output_path(value.input));
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    if (is_ours(entry.path().filename().string()) && !named.contains(entry.path())) fs::remove(entry.path(), ignored);
  }
}

void Checkpoint::remove() {
  std::error_code ignored;
  // The manifest first: a folder without it holds nothing, a folder with it all that it names.
  fs::remove(folder_ / kManifestName, ignored);
  manifest_ = {};
  remove_unnamed();
  const bool made = fs::remove(folder_ / kMadeName, ignored);
  lock_->remove();
  if (made) fs::remove(folder_, ignored);  // not if there is something else in it
  lock_.reset();
}

fs::path Checkpoint::live_path(const StoredValue& value) const {
  return folder_ / fmt::format("value-{}-{}.hearth", value.input, value.instruction);
}

fs::path Checkpoint::output_path(std::uint32_t input) const { return folder_ / fmt::format("output-{}.hearth", input); }

}  // namespace hearth::runtime
