#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <regex>

#include "base/error.h"
#include "base/npy.h"
#include "bench/os_swap.h"
#include "bench/report.h"
#include "cli/common/command.h"
#include "cli/common/process.h"
#include "service/wire/input_batch.h"

// What a budget of memory costs: ResNet-20 (and ResNet-50 if asked for) on one encrypted image, in all the memory that
// it takes, in parts of it with a tier, and in a part of it with the operating system's swapping. Every run is a server
// process of its own; runs are interleaved, and ratios are of their medians.
namespace {

using namespace hearth;
using cli::Json;
namespace fs = std::filesystem;

const fs::path kData = "../shared/data";
constexpr std::uint64_t kMiB = 1 << 20, kGiB = 1 << 30;
constexpr std::uint64_t kPageCache = 64 * kMiB;  // what the operating system's limit allows for files
constexpr double kOsPatience = 20;               // times a run without a limit

struct Network {
  std::string name, model, data;
  std::vector<std::int64_t> shape;
};
const Network kResNet20{"resnet20", "resnet20_cifar10.onnx", "cifar10", {1, 3, 32, 32}};
const Network kResNet50{"resnet50", "resnet50_imagenet.onnx", "imagenet", {1, 3, 224, 224}};
constexpr std::int64_t kCalibration = 20;

struct Options {
  cli::CommonOptions common{.json = false, .quiet = false, .threads = 2};
  int repeats = 3;
  std::string json = "build/bench/memory.json", folder = HEARTH_BUILD, os, bundle;
  bool resnet50 = false;
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

bool present(const Network& network) {
  return fs::exists(kData / "models" / network.model) && fs::exists(kData / network.data / "images_u8.npy");
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string mib(double bytes) { return fmt::format("{:.0f} MiB", bytes / kMiB); }

/// One run of the server.
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

  double median(double Sample::*field) const {
    return figure([&](const Sample& s) { return s.*field; });
  }
  double seconds() const { return median(&Sample::seconds); }
  /// Median of a number of every run.
  template <typename Function>
  double figure(Function&& function) const {
    std::vector<double> values;
    for (const Sample& s : samples) values.push_back(function(s));
    std::sort(values.begin(), values.end());
    return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
  }
};

double number(const Json& json, const char* group, const char* name) { return json.at(group).at(name).get<double>(); }
double number(const Json& json, const char* name) { return json.at(name).get<double>(); }

/// One network with keys and an input, in files, and the programs that work on them.
class Deployment {
 public:
  Deployment(const Options& options, const WorkFolder& folder, const cli::InterruptScope& interrupts)
      : options_(options), folder_(folder), interrupts_(interrupts) {}

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

  /// One more run. False if the program refuses the limit, which then becomes the smallest that it names.
  bool run(Kind& kind) {
    std::vector<std::string> arguments = run_arguments();
    if (kind.limit > 0) arguments.insert(arguments.end(), {"--memory", std::to_string(kind.limit)});
    if (kind.limit > 0) arguments.insert(arguments.end(), {"--tier", kind.tier});
    const cli::ProcessResult result = start(kind.name, "exec \"$@\" 2>\"$0\"", arguments);
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
  bool run_in(const bench::MemoryGroup& group, Kind& kind, double patience) {
    // Killed, since a process that waits for its pages may take long to end by itself.
    const std::string script = fmt::format("echo $$ >'{}' && exec timeout -s KILL {:.0f} \"$@\" 2>\"$0\"",
                                           group.processes(), std::ceil(patience));
    const cli::ProcessResult result = start(kind.name, script, run_arguments());
    if (result.exit_code == cli::kSignal + SIGKILL && result.seconds >= patience) return false;
    require(result.exit_code == 0, ErrorKind::kResource, "hearth-run ended with exit code {}: {}", result.exit_code,
            read_text(folder_ / "errors"));
    add(kind, result);
    return true;
  }

 private:
  std::string file(const char* name) const { return (files_ / name).string(); }

  std::vector<std::string> run_arguments() const {
    return {fs::path(HEARTH_PROGRAMS) / "hearth-run",
            file("server.hearth"),
            "--keys",
            file("evaluation.key"),
            "--input",
            file("input.ct"),
            "-o",
            folder_ / "output",
            "--json",
            "--threads",
            std::to_string(options_.common.threads)};
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
    arguments.insert(arguments.end(), {"--json", "--threads", std::to_string(options_.common.threads)});
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

  /// Keeps the figures and compares the output with the first one.
  void add(Kind& kind, const cli::ProcessResult& result) {
    const Json json = Json::parse(result.output);
    const Sample sample{.seconds = number(json, "seconds_per_input"),
                        .process = result.seconds,
                        .peak = number(json, "peak_bytes"),
                        .residency = json.at("residency")};
    fmt::print(stderr, "  {:.2f} s, peak {}\n", sample.seconds, mib(sample.peak));
    const std::string output = read_text(folder_ / "output");
    if (reference_.empty()) reference_ = output;
    require(output == reference_, ErrorKind::kInternal, "{}: the output differs from that of the first run", kind.name);
    kind.samples.push_back(sample);
  }

  const Options& options_;
  const WorkFolder& folder_;
  const cli::InterruptScope& interrupts_;
  fs::path files_;
  std::string reference_;
};

/// Runs a kind for the first time, with the smallest limit that the program accepts if it refuses the one asked for.
void run_first(Deployment& deployment, Kind& kind) {
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (deployment.run(kind)) return;
    fmt::print("{}: so little is refused; with {} instead\n", kind.name, mib(static_cast<double>(kind.limit)));
  }
  fail(ErrorKind::kInternal, "{}: every limit that the program names is refused", kind.name);
}

void print_table(const std::vector<const Kind*>& kinds) {
  const double fastest = kinds.front()->seconds();
  fmt::print("\n{:<34} {:>9} {:>9} {:>9} {:>9} {:>10} {:>8}\n", "run", "limit", "peak", "seconds", "slow-down", "read",
             "waited");
  for (const Kind* kind : kinds) {
    if (kind->samples.empty()) continue;
    const bool tier = !kind->samples.front().residency.is_null();
    const auto measured = [&](const char* name) {
      return tier ? kind->figure([&](const Sample& s) { return number(s.residency, "measured", name); }) : 0;
    };
    fmt::print("{:<34} {:>9} {:>9} {:>9.2f} {:>9.3f} {:>10} {:>8}\n", kind->name,
               kind->limit > 0 ? mib(static_cast<double>(kind->limit)) : "", mib(kind->median(&Sample::peak)),
               kind->seconds(), kind->seconds() / fastest, tier ? mib(measured("read_bytes")) : "",
               tier ? fmt::format("{:.2f} s", measured("wait_seconds")) : "");
  }
}

/// Bytes read beyond the first loads that no plan avoids: those of objects that did not fit when the run began.
double repeated_reads(const Json& residency) {
  const double first = number(residency, "planned", "first_read_bytes") - number(residency, "store_bytes");
  return number(residency, "measured", "read_bytes") - std::max(0.0, first);
}

/// How the runs with a third of the memory did, and how that compares with the plan.
void add_figures(bench::Report& report, const Kind& third, int threads) {
  report.add("tier_sync_wait_share", third.figure([&](const Sample& s) {
    const Json& r = s.residency;
    return (number(r, "measured", "wait_seconds") - number(r, "measured", "first_wait_seconds")) /
           (threads * s.seconds);
  }),
             "of time");
  const double bound = number(third.samples.front().residency, "planned", "bound_bytes");
  if (bound > 0) {
    report.add("tier_traffic_over_bound",
               third.figure([&](const Sample& s) { return repeated_reads(s.residency) / bound; }), "ratio");
    report.add("tier_planned_traffic_over_bound", third.figure([&](const Sample& s) {
      const Json& r = s.residency;
      return (number(r, "planned", "read_bytes") - number(r, "planned", "first_read_bytes")) / bound;
    }),
               "ratio");
  }
  report.add("tier_predicted_over_measured_time",
             third.figure([](const Sample& s) { return number(s.residency, "planned", "seconds") / s.seconds; }),
             "ratio");
  report.add("tier_predicted_over_measured_peak", third.figure([](const Sample& s) {
    const Json& r = s.residency;
    return (number(r, "process_bytes") + number(r, "table_bytes") + number(r, "working_bytes") +
            number(r, "store_bytes")) /
           s.peak;
  }),
             "ratio");
  report.add("tier_planning_share",
             third.figure([](const Sample& s) { return number(s.residency, "planning_seconds") / s.seconds; }),
             "of time");
}

/// Why there is nothing to say about the operating system's swapping, or nothing.
std::string os_obstacle(const Options& options) {
  if (options.os.empty()) return "not asked for (--os FOLDER, as root)";
  if (::geteuid() != 0) return "needs root";
  return "";
}

/// The operating system's swapping against the tier.
class OsRuns {
 public:
  OsRuns(const Options& options, const WorkFolder& folder, std::uint64_t limit, double patience)
      : group_(options.os, limit + kPageCache), swap_(folder / "swap", 2 * kGiB + 3 * limit), patience_(patience) {
    kind_.name = "operating system's swapping, 1/3";
    kind_.limit = limit + kPageCache;
  }
  void run(Deployment& deployment) {
    if (!timed_out_) timed_out_ = !deployment.run_in(group_, kind_, patience_);
  }
  void add(bench::Report& report, const Kind& third) const {
    double speedup = 0;
    if (timed_out_) {
      speedup = patience_ / third.median(&Sample::process);
      fmt::print(
          "operating system's swapping: ended after {:.0f} s; whole processes compared: more than {:.1f} times\n",
          patience_, speedup);
    } else {
      speedup = kind_.seconds() / third.seconds();
    }
    report.add("tier_vs_os_speedup", speedup, timed_out_ ? "at least" : "ratio");
  }
  const Kind& kind() const { return kind_; }

 private:
  bench::MemoryGroup group_;
  bench::SwapFile swap_;
  double patience_;
  Kind kind_;
  bool timed_out_ = false;
};

void measure_resnet20(const Options& options, bench::Report& report, const cli::InterruptScope& interrupts) {
  const WorkFolder folder(options.folder);
  Deployment deployment(options, folder, interrupts);
  deployment.make(kResNet20);
  const std::string nvme = fmt::format("nvme:{}:8GiB", folder.path());

  Kind all{.name = "DRAM only", .limit = 0, .tier = {}, .samples = {}};
  run_first(deployment, all);
  const double set = all.samples.front().peak;
  const auto part = [](double bytes, double share) { return static_cast<std::uint64_t>(bytes * share); };
  Kind third{"NVMe, 1/3", part(set, 1.0 / 3), nvme, {}}, sixth{"NVMe, 1/6", part(set, 1.0 / 6), nvme, {}};
  Kind optane{"emulated Optane, 1/3", part(set, 1.0 / 3), "emulated:optane_pmem_100:8GiB", {}};
  run_first(deployment, third);
  const double keys = number(third.samples.front().residency, "working_set", "evaluation key");
  Kind expanded{"NVMe, 1/3 with expanded keys", part(set + keys, 1.0 / 3), nvme, {}};
  for (Kind* kind : {&sixth, &optane, &expanded}) run_first(deployment, *kind);

  std::string obstacle = os_obstacle(options);
  std::optional<OsRuns> os;
  const auto run_os = [&] {
    try {
      if (obstacle.empty() && !os) os.emplace(options, folder, third.limit, kOsPatience * all.samples.front().process);
      if (os) os->run(deployment);
    } catch (const Error& error) {
      obstacle = error.what();
      os.reset();
    }
  };
  run_os();
  for (int i = 1; i < options.repeats; ++i) {
    for (Kind* kind : {&all, &third, &sixth, &optane, &expanded}) {
      require(deployment.run(*kind), ErrorKind::kInternal, "{}: a limit is refused that was accepted", kind->name);
    }
    run_os();
  }

  std::vector<const Kind*> kinds{&all, &third, &sixth, &optane, &expanded};
  if (os) kinds.push_back(&os->kind());
  print_table(kinds);
  fmt::print(
      "working set (peak without a limit): {}; with both halves of all keys in memory: {}. Outputs of all runs are "
      "equal.\n"
      "traffic over bound: bytes read, without the first loads of what did not fit when the run began, over what any\n"
      "plan must read for later uses with so much memory\n",
      mib(set), mib(set + keys));
  report.add("tier_third_dram_slowdown", third.seconds() / all.seconds(), "ratio");
  report.add("tier_sixth_dram_slowdown", sixth.seconds() / all.seconds(), "ratio");
  report.add("tier_sixth_dram_share", static_cast<double>(sixth.limit) / set, "of set");
  report.add("tier_third_expanded_dram_slowdown", expanded.seconds() / all.seconds(), "ratio");
  report.add("tier_emulated_optane_third_slowdown", optane.seconds() / all.seconds(), "ratio");
  if (os) os->add(report, third);
  if (!os) fmt::print("skipped: the operating system's swapping: {}\n", obstacle);
  add_figures(report, third, options.common.threads);
}

void measure_resnet50(const Options& options, bench::Report& report, const cli::InterruptScope& interrupts) {
  const WorkFolder folder(options.folder);
  Deployment deployment(options, folder, interrupts);
  if (!options.bundle.empty()) {
    deployment.use(options.bundle);
  } else {
    deployment.make(kResNet50);
  }
  const std::string nvme = fmt::format("nvme:{}:32GiB", folder.path());
  Kind all{"ResNet-50, DRAM only", 0, {}, {}}, four{"ResNet-50, NVMe", 4 * kGiB, nvme, {}};
  Kind two{"ResNet-50, NVMe, less", 2 * kGiB, nvme, {}};
  for (Kind* kind : {&all, &four, &two}) run_first(deployment, *kind);
  print_table({&all, &four, &two});
  report.add("resnet50_peak_gib", all.median(&Sample::peak) / kGiB, "GiB");
  report.add("resnet50_4gib_slowdown", four.seconds() / all.seconds(), "ratio");
  report.add("resnet50_4gib_peak_gib", four.median(&Sample::peak) / kGiB, "GiB");
  report.add("resnet50_2gib_slowdown", two.seconds() / all.seconds(), "ratio");
  report.add("resnet50_2gib_peak_gib", two.median(&Sample::peak) / kGiB, "GiB");
}

void run(const Options& options, const std::string& command) {
  const cli::InterruptScope interrupts;
  bench::Report report(command, options.json);
  bool measured = false;
  if (present(kResNet20)) {
    measure_resnet20(options, report, interrupts);
    measured = true;
  } else {
    fmt::print("skipped: no CIFAR-10 images and models in {}\n", kData.string());
  }
  if (options.resnet50 && (!options.bundle.empty() || present(kResNet50))) {
    measure_resnet50(options, report, interrupts);
    measured = true;
  } else if (options.resnet50) {
    fmt::print("skipped: no ImageNet images and models in {}\n", kData.string());
  }
  if (measured) require(report.finish() == 0, ErrorKind::kIo, "the results could not be written");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs networks within parts of the memory that they take, and compares", "memory_bench");
  Options options;
  app.add_option("--json", options.json, "Where to write the results")->capture_default_str();
  app.add_option("--repeats", options.repeats, "Runs of each kind; ratios are of medians")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--folder", options.folder,
                 "Work in a new folder below this one; the tier is there, so it must be on a disk")
      ->capture_default_str();
  app.add_option("--os", options.os,
                 "Also compare with the operating system's swapping, as root: makes a swap file, and a cgroup for the "
                 "server below this one, e.g. /sys/fs/cgroup/memory, which must limit memory")
      ->type_name("FOLDER");
  auto* resnet50 = app.add_flag("--resnet50", options.resnet50, "Also ResNet-50, once each in DRAM, 4 GiB and 2 GiB");
  app.add_option("--bundle", options.bundle, "Of it, the folder with server.hearth, evaluation.key and input.ct")
      ->needs(resnet50);
  app.add_option("--threads", options.common.threads, "Threads of every step")->capture_default_str();
  std::string command;
  for (int i = 0; i < argc; ++i) command += (i > 0 ? " " : "") + std::string(argv[i]);
  return cli::run_command(app, argc, argv, options.common, [&] { run(options, command); });
}
