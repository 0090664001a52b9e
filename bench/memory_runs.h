#pragma once

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <regex>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/npy.h"
#include "bench/os_swap.h"
#include "cli/common/command.h"
#include "cli/common/process.h"
#include "service/wire/input_batch.h"

// Runs of the server within limits of memory, each a process of its own, as users start it.
namespace hearth::bench {

using cli::Json;
namespace fs = std::filesystem;

inline const fs::path kData = "../shared/data";
inline constexpr std::uint64_t kMiB = 1 << 20, kGiB = 1 << 30;
inline constexpr std::int64_t kCalibration = 20;  // images, the last ones

struct Network {
  std::string name, model, data;
  std::vector<std::int64_t> shape;
};

/// Removed with all it holds.
class WorkFolder {
 public:
  explicit WorkFolder(const fs::path& parent) {
    fs::create_directories(parent);
    std::string pattern = (parent / "memory-bench-XXXXXX").string();
    require(::mkdtemp(pattern.data()) != nullptr, ErrorKind::kIo, "cannot make a folder in {}", parent.string());
    path_ = pattern;
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  std::string operator/(const std::string& file) const { return (path_ / file).string(); }
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

inline std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string mib(double bytes) { return fmt::format("{:.0f} MiB", bytes / kMiB); }

/// One run of the server, with nothing beside it.
struct Sample {
  double seconds = 0;  ///< of the input
  double process = 0;  ///< of the whole process
  double peak = 0;     ///< bytes
  Json residency;      ///< null without a limit
};

/// Runs of one kind.
struct Kind {
  std::string name;
  std::uint64_t limit = 0;  ///< 0: none
  std::string tier;
  std::vector<Sample> samples;
  std::vector<double> turns;  ///< seconds of runs that took turns with those of other kinds (bench/memory_turns.h)

  double median(double Sample::*field) const {
    return figure([&](const Sample& s) { return s.*field; });
  }
  double seconds() const { return median(&Sample::seconds); }
  /// Of runs that took turns, against those of another kind in the same turns.
  double slowdown(const Kind& other) const { return mean_of_turns() / other.mean_of_turns(); }
  double mean_of_turns() const {
    return std::accumulate(turns.begin(), turns.end(), 0.0) / static_cast<double>(turns.size());
  }
  /// Median of a number of every run.
  template <typename Function>
  double figure(Function&& function) const {
    std::vector<double> values;
    for (const Sample& s : samples) values.push_back(function(s));
    std::sort(values.begin(), values.end());
    return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
  }
};

inline double number(const Json& json, const char* group, const char* name) {
  return json.at(group).at(name).get<double>();
}
inline double number(const Json& json, const char* name) { return json.at(name).get<double>(); }

/// One network with keys and an input, in files, and the programs that work on them.
class Deployment {
 public:
  Deployment(int threads, const WorkFolder& folder, const cli::InterruptScope& interrupts)
      : threads_(threads), folder_(folder), interrupts_(interrupts) {}

  /// Files that are there already.
  void use(const fs::path& files) { files_ = files; }

  void make(const Network& network) {
    files_ = folder_ / network.name;
    fs::create_directories(files_);
    const NpyArray images = read_npy(kData / network.data / "images_u8.npy");
    write_images(images, network, "input.npy", 0, 1);
    write_images(images, network, "calibration.npy", images.shape.front() - kCalibration, kCalibration);
    const std::string bundle = file("client.hearth"), secret = file("secret.key");
    step("hearth-compile", {(kData / "models" / network.model).string(), "--calibration", file("calibration.npy"), "-o",
                            files_.string(), "--divide=255", "--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225"});
    step("hearth-client", {"keygen", bundle, "-o", files_.string(), "--force"});
    step("hearth-client", {"encrypt", bundle, "--key", secret, "--input", file("input.npy"), "-o", file("input.ct")});
  }

  /// Measures a tier, for all runs that follow: each would else measure it for itself, perhaps while it is stopped. And
  /// operations, for so long that the moods of a shared machine even out.
  void tune(const std::string& tier, double seconds, int log_n) {
    fs::create_directories(fs::path(folder_ / "hearth"));
    step("hearth-tune", {"--tier", tier, "--log-n", std::to_string(log_n), "--seconds", fmt::format("{:.0f}", seconds),
                         "-o", folder_ / "hearth/tune.json"});
    require(::setenv("XDG_CONFIG_HOME", folder_.path().c_str(), 1) == 0, ErrorKind::kResource, "no memory is left");
  }

  /// One more run. False if the program refuses the limit, which then becomes the smallest that it names.
  bool run(Kind& kind) {
    const cli::ProcessResult result = start(kind.name, "exec \"$@\" 2>\"$0\"", arguments_of(kind, "output"));
    const std::string said = read_text(folder_ / "errors");
    std::smatch smallest;
    if (result.exit_code == cli::kFailure && std::regex_search(said, smallest, std::regex("at least ([0-9]+) MiB"))) {
      const std::uint64_t named = std::stoull(smallest[1]) * kMiB;
      require(named > kind.limit, ErrorKind::kInternal, "{}", said);
      kind.limit = named;
      return false;
    }
    require(result.exit_code == 0, ErrorKind::kInternal, "{}: hearth-run ended with exit code {}: {}", kind.name,
            result.exit_code, said);
    add(kind, result);
    return true;
  }

  /// A run without --memory in a cgroup. False if it was ended for taking more than `patience` seconds.
  bool run_in(const MemoryGroup& group, Kind& kind, double patience) {
    // Killed, since a process that waits for its pages may take long to end by itself.
    const std::string script = fmt::format("echo $$ >'{}' && exec timeout -s KILL {:.0f} \"$@\" 2>\"$0\"",
                                           group.processes(), std::ceil(patience));
    const cli::ProcessResult result = start(kind.name, script, run_arguments("output"));
    if (result.exit_code == cli::kSignal + SIGKILL && result.seconds >= patience) return false;
    require(result.exit_code == 0, ErrorKind::kResource, "hearth-run ended with exit code {}: {}", result.exit_code,
            read_text(folder_ / "errors"));
    add(kind, result);
    return true;
  }

 private:
  friend class Turns;
  std::string file(const char* name) const { return (files_ / name).string(); }

  std::vector<std::string> run_arguments(const std::string& output) const {
    return {fs::path(HEARTH_PROGRAMS) / "hearth-run",
            file("server.hearth"),
            "--keys",
            file("evaluation.key"),
            "--input",
            file("input.ct"),
            "-o",
            folder_ / output,
            "--json",
            "--threads",
            std::to_string(threads_)};
  }

  std::vector<std::string> arguments_of(const Kind& kind, const std::string& output) const {
    std::vector<std::string> arguments = run_arguments(output);
    if (kind.limit > 0) {
      arguments.insert(arguments.end(), {"--memory", std::to_string(kind.limit), "--tier", kind.tier});
    }
    return arguments;
  }

  cli::ProcessResult start(const std::string& name, const std::string& script,
                           const std::vector<std::string>& arguments) const {
    fmt::print(stderr, "running: {}\n", name);
    std::vector<std::string> shell{"-c", script, folder_ / "errors"};
    shell.insert(shell.end(), arguments.begin(), arguments.end());
    cli::ProcessResult result = cli::run_process("/bin/sh", shell);
    interrupts_.check();
    return result;
  }

  void step(const std::string& program, std::vector<std::string> arguments) const {
    const std::string name = program + (program == "hearth-client" ? " " + arguments.front() : "");
    fmt::print(stderr, "{}\n", name);
    arguments.insert(arguments.end(), {"--json", "--threads", std::to_string(threads_)});
    const int code = cli::run_process(fs::path(HEARTH_PROGRAMS) / program, arguments).exit_code;
    interrupts_.check();
    require(code == 0, ErrorKind::kInternal, "{} ended with exit code {}", name, code);
  }

  void write_images(const NpyArray& images, const Network& network, const char* name, std::int64_t first,
                    std::int64_t count) const {
    std::vector<float> values;
    for (std::int64_t i = first; i < first + count; ++i) {
      const std::vector<float> image = service::input_at(images, network.shape, static_cast<std::size_t>(i));
      values.insert(values.end(), image.begin(), image.end());
    }
    std::vector<std::int64_t> shape = network.shape;
    shape.front() = count;
    write_npy(file(name), shape, values);
  }

  static Sample sample_of(const Json& json, double seconds, double process) {
    return {
        .seconds = seconds, .process = process, .peak = number(json, "peak_bytes"), .residency = json.at("residency")};
  }

  /// Keeps the figures and compares the output.
  void add(Kind& kind, const cli::ProcessResult& result) {
    const Json json = Json::parse(result.output);
    const Sample sample = sample_of(json, number(json, "seconds_per_input"), result.seconds);
    fmt::print(stderr, "  {:.2f} s, peak {}\n", sample.seconds, mib(sample.peak));
    compare(kind, "output");
    kind.samples.push_back(sample);
  }

  /// With the output of the first run.
  void compare(const Kind& kind, const std::string& file) {
    const std::string output = read_text(folder_ / file);
    if (reference_.empty()) reference_ = output;
    require(output == reference_, ErrorKind::kInternal, "{}: the output differs from that of the first run", kind.name);
  }

  int threads_;
  const WorkFolder& folder_;
  const cli::InterruptScope& interrupts_;
  fs::path files_;
  std::string reference_;
};

}  // namespace hearth::bench
