#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/error.h"
#include "base/parallel.h"
#include "base/system.h"
#include "cli/common/command.h"
#include "cli/model/tune_file.h"
#include "memory/tier_base.h"

// Measures what homomorphic operations cost on this machine, for the predictions of hearth compile.
namespace {

using namespace hearth;
using cli::Json;
using compiler::MachineCosts;
namespace fs = std::filesystem;

constexpr double kPatience = 0.1;  // seconds for each primitive

struct Options {
  cli::CommonOptions common;
  std::string output;
  std::vector<int> log_n{13, 14, 15, 16};
  std::vector<std::string> tiers;
  double seconds = 0;
};

using Progress = std::function<void(double, double, const std::string&)>;

/// One round of all degrees.
std::vector<compiler::MeasuredLevel> measure_once(const Options& options, const Progress& progress) {
  std::vector<compiler::MeasuredLevel> levels;
  double total = 0, done = 0;
  for (const int log_n : options.log_n) total += std::exp2(log_n);
  for (const int log_n : options.log_n) {
    progress(done, total, fmt::format("ring degree 2^{}", log_n));
    const compiler::TypicalParameters typical = compiler::typical_parameters(log_n);
    for (const int level : typical.levels) {
      levels.push_back(compiler::measure_level(typical.parameters, level, kPatience));
      done += std::exp2(log_n) / static_cast<double>(typical.levels.size());
      progress(done, total, fmt::format("ring degree 2^{}", log_n));
    }
  }
  return levels;
}

/// Means of as many rounds as take the seconds asked for: what others do on a machine changes its speed for half a
/// minute at a time.
MachineCosts measure(const Options& options, const Progress& progress) {
  MachineCosts costs{.processor = cpu_model(), .threads = threads(), .levels = {}};
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  for (int round = 1; round == 1 || elapsed() < options.seconds; ++round) {
    const auto levels = measure_once(options, [&](double done, double total, const std::string& what) {
      options.seconds > 0 ? progress(std::min(elapsed(), options.seconds), options.seconds, what)
                          : progress(done, total, what);
    });
    if (round == 1) {
      costs.levels = levels;
      continue;
    }
    for (std::size_t l = 0; l < levels.size(); ++l) {
      for (std::size_t i = 0; i < compiler::kPrimitives; ++i) {
        double& mean = costs.levels[l].seconds[i];
        mean += (levels[l].seconds[i] - mean) / round;
      }
    }
  }
  return costs;
}

cli::MeasuredStorage measure_storage(const std::vector<memory::TierSpec>& specs) {
  cli::MeasuredStorage storage;
  if (specs.empty()) return storage;
  storage.dram = memory::measure_dram();
  for (const memory::TierSpec& spec : specs) {
    const auto nominal = memory::unmeasured_speed();
    const auto tier = memory::make_tier(spec, spec.kind == memory::TierKind::kEmulated ? nullptr : &nominal);
    storage.tiers.push_back({memory::tier_key(spec), tier->emulated(), memory::measure_tier(*tier)});
  }
  return storage;
}

std::string table(const cli::MeasuredStorage& storage) {
  if (!storage.dram) return "";
  std::string text = fmt::format("\nmemory: {}/s copied, {:.0f} ns a random read\n",
                                 cli::format_bytes(storage.dram->copy_bandwidth), 1e9 * storage.dram->random_latency);
  for (const auto& tier : storage.tiers) {
    text += fmt::format("{}{}\n", cli::printable(tier.key), tier.emulated ? " (emulated)" : "");
    text += fmt::format("{:>10} {:>24} {:>24}\n", "size", "read", "write");
    for (std::size_t i = 0; i < tier.speed.read.size(); ++i) {
      const memory::SpeedPoint &read = tier.speed.read[i], &write = tier.speed.write[i];
      const auto cell = [](const memory::SpeedPoint& point) {
        return fmt::format("{:.1f} us, {}/s", 1e6 * point.latency, cli::format_bytes(point.bandwidth));
      };
      text += fmt::format("{:>10} {:>24} {:>24}\n", cli::format_bytes(static_cast<double>(read.bytes)), cell(read),
                          cell(write));
    }
  }
  return text;
}

std::string table(const MachineCosts& costs) {
  std::string text = fmt::format("{:<6} {:>6} {:>8}", "degree", "primes", "special");
  for (const char* const name : compiler::kPrimitiveNames) text += fmt::format(" {:>12}", name);
  text += "\n";
  for (const compiler::MeasuredLevel& level : costs.levels) {
    text += fmt::format("2^{:<4} {:>6} {:>8}", level.shape.log_n, level.shape.q_primes, level.shape.special_primes);
    for (const double seconds : level.seconds) text += fmt::format(" {:>9.3f} ms", 1e3 * seconds);
    text += "\n";
  }
  return text;
}

void tune(Options& options) {
  std::vector<memory::TierSpec> tiers;
  for (const std::string& text : options.tiers) tiers.push_back(memory::parse_tier_spec(text));
  if (options.output.empty()) {
    options.output = cli::default_tune_file();
    require(!options.output.empty(), ErrorKind::kInvalidArgument,
            "neither HOME nor XDG_CONFIG_HOME is set, so there is no place for the file: give one with --output");
    std::error_code error;
    fs::create_directories(fs::path(options.output).parent_path(), error);
    require(!error, ErrorKind::kIo, "cannot make the folder of {}: {}", options.output, error.message());
  }
  cli::Stage stage("Measuring", 10);
  const cli::MeasuredStorage storage = measure_storage(tiers);
  const MachineCosts costs = measure(options, stage.detailed_reporter());
  const double seconds = stage.finish();
  cli::write_tune_file(options.output, costs, storage);
  Json json = cli::to_json(costs, storage);
  json["output"] = options.output;
  json["measuring_seconds"] = seconds;
  cli::emit(options.common, json,
            table(costs) + table(storage) +
                cli::format_rows({{"processor", costs.processor},
                                  {"threads", fmt::format("{}", costs.threads)},
                                  {"written to", options.output}}));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures homomorphic operations on this machine, so that hearth compile need not", "hearth tune");
  app.footer(
      "Example:\n  hearth tune\n\nRun it while the machine does nothing else, and again with --threads T for "
      "predictions "
      "with so many threads. hearth compile reads the file it writes by default; without one it measures itself, "
      "which takes longer and is disturbed by whatever else runs at the time.");
  Options options;
  app.add_option("-o,--output", options.output, "Where to write (default: ~/.config/hearth/tune.json)")
      ->type_name("FILE.json");
  app.add_option("--log-n", options.log_n, "log2 of the ring degrees to measure at")
      ->delimiter(',')
      ->check(CLI::Range(11, 17))
      ->allow_extra_args(false)
      ->capture_default_str()
      ->type_name("N,...");
  app.add_option("--tier", options.tiers, "Storage below DRAM to measure too, e.g. nvme:/scratch:1GiB (docs/tiers.md)")
      ->allow_extra_args(false)
      ->type_name("KIND:WHERE:SIZE");
  app.add_option("--seconds", options.seconds,
                 "Measure operations again and again for so long, for their mean: a minute or two where others use the "
                 "same processor (default: once)")
      ->check(CLI::Range(0.0, 86400.0));
  cli::add_common_options(app, options.common);
  return cli::run_command(app, argc, argv, options.common, [&] { tune(options); });
}
