#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/progress.h"

/// What every hearth command shares. All commands print results on standard output (one JSON object with --json and
/// nothing else), and warnings, progress and one-line errors ("hearth: ...") on standard error.
namespace hearth::cli {

using Json = nlohmann::ordered_json;

/// Exit codes, part of the interface (docs/cli.md).
enum ExitCode : int {
  kSuccess = 0,
  kFailure = 1,  ///< an input or a file is unusable
  kUsage = 2,    ///< the command line makes no sense
  kBug = 3,      ///< Hearth itself is wrong
  kSignal = 128  ///< plus the number of the signal that ended the work
};

struct CommonOptions {
  bool json = false;
  bool quiet = false;
  int threads = 0;  ///< 0: all that the machine offers
};

/// Adds --json, --quiet and, if `threads`, --threads.
void add_common_options(CLI::App& app, CommonOptions& options, bool threads = true);

/// Adds --divide, --mean and --std: what is done to inputs before the model sees them.
void add_normalisation(CLI::App& app, double& divisor, std::vector<double>& mean, std::vector<double>& deviation);

/// Adds --image-resize: what the shorter side of images becomes before the middle is cut out.
void add_image_resize(CLI::App& app, std::optional<int>& resize);

/// Parses, then runs `body`, and turns everything that can go wrong into a line and an exit code. `body` calls emit()
/// at most once. SIGINT, SIGTERM and SIGHUP end the process at once, or where an InterruptScope checks for them
/// (cli/common/process.h): with a line that says so and without leaving unfinished files (base/file.h).
int run_command(CLI::App& app, int argc, char** argv, const CommonOptions& options, const std::function<void()>& body);

/// Error(kInvalidArgument) if `output` is the same file as one of the inputs, by whatever name.
void require_no_input(const std::filesystem::path& output, const std::vector<std::filesystem::path>& inputs);

/// Prints the result: `json` with --json, else `text`, which ends in a line break.
void emit(const CommonOptions& options, const Json& json, const std::string& text);

/// One line on standard error, unless --quiet.
void warn(const CommonOptions& options, const std::string& message);

/// `text` with control characters replaced: names in files are foreign, and terminals obey them.
std::string printable(std::string text);

/// "12.3 MiB".
std::string format_bytes(double bytes);
/// "12.3 ms", "4.56 s", "7:08".
std::string format_seconds(double seconds);
/// Two aligned columns, one line a row.
std::string format_rows(const std::vector<std::pair<std::string, std::string>>& rows);

/// A named piece of work with a progress line (base/progress.h) and a stopwatch.
class Stage {
 public:
  explicit Stage(const std::string& label, double expected_seconds = 0);
  /// (done, total), as the library reports.
  std::function<void(double, double)> reporter();
  /// (done, total, what is being done), the last from a file and so maybe unprintable.
  std::function<void(double, double, const std::string&)> detailed_reporter();
  /// Ends the line; seconds since construction.
  double finish();

 private:
  Progress progress_;
  Progress::Clock::time_point start_;
};

}  // namespace hearth::cli
