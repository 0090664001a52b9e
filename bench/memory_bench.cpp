#include <unistd.h>

#include <filesystem>
#include <optional>

#include "base/error.h"
#include "bench/memory_runs.h"
#include "bench/memory_turns.h"
#include "bench/os_swap.h"
#include "bench/report.h"
#include "cli/common/command.h"
#include "cli/common/process.h"

// What a budget of memory costs: ResNet-20 (and ResNet-50 if asked for) on one encrypted image, in all the memory that
// it takes, in parts of it with a tier, and in a part of it with the operating system's swapping. Parts are of the
// working set: keys, plaintexts, ciphertexts and tables. What the process takes besides (code, libraries, the program)
// is the same in every run, and part of the limits on top. Every run is a server process of its own. Waits, traffic,
// peaks and what was predicted are of runs with nothing beside them; slow-downs are of runs that take turns
// (memory_turns.h).
namespace {

using namespace hearth;
using namespace hearth::bench;  // NOLINT: its own vocabulary
using cli::Json;
namespace fs = std::filesystem;

constexpr std::uint64_t kPageCache = 64 * kMiB;  // what the operating system's limit allows for files
constexpr double kOsPatience = 20;               // times a run without a limit
constexpr double kTuning = 90;                   // seconds of measuring operations

const Network kResNet20{"resnet20", "resnet20_cifar10.onnx", "cifar10", {1, 3, 32, 32}};
const Network kResNet50{"resnet50", "resnet50_imagenet.onnx", "imagenet", {1, 3, 224, 224}};

struct Options {
  cli::CommonOptions common{.json = false, .quiet = false, .threads = 2};
  int repeats = 3;
  std::string json = "build/bench/memory.json", folder = HEARTH_BUILD, os, bundle;
  bool resnet50 = false;
};

bool present(const Network& network) {
  return fs::exists(kData / "models" / network.model) && fs::exists(kData / network.data / "images_u8.npy");
}

/// With the smallest limit that the program accepts if it refuses the one asked for, from then on.
void run_kind(Deployment& deployment, Kind& kind) {
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (deployment.run(kind)) return;
    fmt::print("{}: so little is refused; with {} instead\n", kind.name, mib(static_cast<double>(kind.limit)));
  }
  fail(ErrorKind::kInternal, "{}: every limit that the program names is refused", kind.name);
}

/// The first kind is what the others are compared with.
void print_table(const std::vector<const Kind*>& kinds) {
  fmt::print("\n{:<34} {:>9} {:>9} {:>9} {:>9} {:>10} {:>8}\n", "run", "limit", "peak", "seconds", "slow-down", "read",
             "waited");
  for (const Kind* kind : kinds) {
    if (kind->samples.empty()) continue;
    const bool turns = !kind->turns.empty();
    const bool tier = !kind->samples.front().residency.is_null();
    const auto measured = [&](const char* name) {
      return tier ? kind->figure([&](const Sample& s) { return number(s.residency, "measured", name); }) : 0;
    };
    fmt::print("{:<34} {:>9} {:>9} {:>9.2f} {:>9} {:>10} {:>8}\n", kind->name,
               kind->limit > 0 ? mib(static_cast<double>(kind->limit)) : "", mib(kind->median(&Sample::peak)),
               kind->seconds(), turns ? fmt::format("{:.3f}", kind->slowdown(*kinds.front())) : "",
               tier ? mib(measured("read_bytes")) : "", tier ? fmt::format("{:.2f} s", measured("wait_seconds")) : "");
  }
}

/// Bytes read beyond the first loads that no plan avoids: those of objects that did not fit when the run began.
double repeated_reads(const Json& residency) {
  const double first = number(residency, "planned", "first_read_bytes") - number(residency, "store_bytes");
  return number(residency, "measured", "read_bytes") - std::max(0.0, first);
}

/// How the runs with a third of the memory did, and how that compares with the plan.
void add_figures(Report& report, const Kind& third, int threads) {
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
  // Both from times in which a shared machine has several moods.
  report.add("tier_predicted_over_measured_time", third.figure([](const Sample& s) {
    return number(s.residency, "planned", "seconds");
  }) / third.mean_of_turns(),
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
  void add(Report& report, const Kind& third) const {
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
  MemoryGroup group_;
  SwapFile swap_;
  double patience_;
  Kind kind_;
  bool timed_out_ = false;
};

void measure_resnet20(const Options& options, Report& report, const cli::InterruptScope& interrupts) {
  const WorkFolder folder(options.folder);
  Deployment deployment(options.common.threads, folder, interrupts);
  const std::string nvme = fmt::format("nvme:{}:8GiB", folder.path());
  deployment.tune(nvme, kTuning, 15);
  deployment.make(kResNet20);

  Kind all{.name = "DRAM only", .limit = 0, .tier = {}, .samples = {}, .turns = {}};
  run_kind(deployment, all);
  const double peak = all.samples.front().peak;
  Kind whole{"NVMe, 1/3 of set and process", static_cast<std::uint64_t>(peak / 3), nvme, {}, {}};
  run_kind(deployment, whole);
  const Json& forecast = whole.samples.front().residency;
  const double process = number(forecast, "process_bytes"), set = peak - process;
  const double keys = number(forecast, "working_set", "evaluation key");
  const auto part = [&](double bytes, double share) { return static_cast<std::uint64_t>(process + bytes * share); };
  Kind third{"NVMe, 1/3", part(set, 1.0 / 3), nvme, {}, {}}, sixth{"NVMe, 1/6", part(set, 1.0 / 6), nvme, {}, {}};
  Kind optane{"emulated Optane, 1/3", part(set, 1.0 / 3), "emulated:optane_pmem_100:8GiB", {}, {}};
  Kind expanded{"NVMe, 1/3 with expanded keys", part(set + keys, 1.0 / 3), nvme, {}, {}};
  for (Kind* kind : {&third, &sixth, &optane, &expanded}) run_kind(deployment, *kind);

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
    for (Kind* kind : {&all, &third}) run_kind(deployment, *kind);
    run_os();
  }
  Turns(deployment, {&all, &third, &whole, &sixth, &optane, &expanded}).run(options.repeats);

  std::vector<const Kind*> kinds{&all, &third, &whole, &sixth, &optane, &expanded};
  if (os) kinds.push_back(&os->kind());
  print_table(kinds);
  fmt::print(
      "working set: {} (peak without a limit) less {} of the process; with both halves of all keys {}. Outputs of all "
      "runs are\nequal.\n"
      "traffic over bound: bytes read, without the first loads of what did not fit when the run began, over what any\n"
      "plan must read for later uses with so much memory\n",
      mib(peak), mib(process), mib(set + keys));
  report.add("tier_third_dram_slowdown", third.slowdown(all), "ratio");
  report.add("tier_third_of_process_dram_slowdown", whole.slowdown(all), "ratio");
  report.add("tier_sixth_dram_slowdown", sixth.slowdown(all), "ratio");
  report.add("tier_sixth_dram_share", (static_cast<double>(sixth.limit) - process) / set, "of set");
  report.add("tier_third_expanded_dram_slowdown", expanded.slowdown(all), "ratio");
  report.add("tier_emulated_optane_third_slowdown", optane.slowdown(all), "ratio");
  if (os) os->add(report, third);
  if (!os) fmt::print("skipped: the operating system's swapping: {}\n", obstacle);
  add_figures(report, third, options.common.threads);
}

void measure_resnet50(const Options& options, Report& report, const cli::InterruptScope& interrupts) {
  const WorkFolder folder(options.folder);
  Deployment deployment(options.common.threads, folder, interrupts);
  const std::string nvme = fmt::format("nvme:{}:32GiB", folder.path());
  if (!options.bundle.empty()) {
    deployment.tune(nvme, 0, 11);  // for the tier: the bundle has its predictions
    deployment.use(options.bundle);
  } else {
    deployment.tune(nvme, kTuning, 16);
    deployment.make(kResNet50);
  }
  Kind all{"ResNet-50, DRAM only", 0, {}, {}, {}}, four{"ResNet-50, NVMe", 4 * kGiB, nvme, {}, {}};
  Kind two{"ResNet-50, NVMe, less", 2 * kGiB, nvme, {}, {}};
  Turns(deployment, {&all, &four, &two}).run(1);
  print_table({&all, &four, &two});
  report.add("resnet50_peak_gib", all.median(&Sample::peak) / kGiB, "GiB");
  report.add("resnet50_4gib_slowdown", four.slowdown(all), "ratio");
  report.add("resnet50_4gib_peak_gib", four.median(&Sample::peak) / kGiB, "GiB");
  report.add("resnet50_2gib_slowdown", two.slowdown(all), "ratio");
  report.add("resnet50_2gib_peak_gib", two.median(&Sample::peak) / kGiB, "GiB");
}

void run(const Options& options, const std::string& command) {
  const cli::InterruptScope interrupts;
  Report report(command, options.json);
  bool measured = false;
  if (options.resnet50 ? !options.bundle.empty() || present(kResNet50) : present(kResNet20)) {
    (options.resnet50 ? measure_resnet50 : measure_resnet20)(options, report, interrupts);
    measured = true;
  } else {
    fmt::print("skipped: no {} images and models in {}\n", options.resnet50 ? "ImageNet" : "CIFAR-10", kData.string());
  }
  if (measured) require(report.finish() == 0, ErrorKind::kIo, "the results could not be written");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs networks within parts of the memory that they take, and compares", "memory_bench");
  Options options;
  app.add_option("--json", options.json, "Where to write the results")->capture_default_str();
  app.add_option("--repeats", options.repeats, "Runs of each kind")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--folder", options.folder,
                 "Work in a new folder below this one; the tier is there, so it must be on a disk")
      ->capture_default_str();
  app.add_option("--os", options.os,
                 "Also compare with the operating system's swapping, as root: makes a swap file, and a cgroup for the "
                 "server below this one, e.g. /sys/fs/cgroup/memory, which must limit memory")
      ->type_name("FOLDER");
  auto* resnet50 =
      app.add_flag("--resnet50", options.resnet50, "ResNet-50 instead of ResNet-20, in DRAM, 4 GiB and 2 GiB");
  app.add_option("--bundle", options.bundle, "Of it, the folder with server.hearth, evaluation.key and input.ct")
      ->needs(resnet50);
  app.add_option("--threads", options.common.threads, "Threads of every step")->capture_default_str();
  std::string command;
  for (int i = 0; i < argc; ++i) command += (i > 0 ? " " : "") + std::string(argv[i]);
  return cli::run_command(app, argc, argv, options.common, [&] { run(options, command); });
}
