#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iterator>

#include "base/block_cache.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/system.h"
#include "base/trace.h"
#include "cli/common/command.h"
#include "cli/common/process.h"
#include "cli/serve/residency.h"
#include "cli/tune/tune_storage.h"
#include "memory/tier_spec.h"
#include "service/server.h"

// The server's side of Hearth as a command. Links no code that knows a secret key.
namespace {

using namespace hearth;
using cli::Json;

struct Options {
  cli::CommonOptions common;
  std::string bundle, keys, input, output, memory, tier, trace;
  bool stages = false;
  service::Checkpointing keeping;
};

struct Times {
  double load = 0, keys = 0, run = 0;
  double started = 0;  ///< when the run began, in Unix time
};

double mean_seconds(const std::vector<runtime::RunReport>& reports) {
  double sum = 0;
  for (const auto& report : reports) sum += report.seconds;
  return sum / static_cast<double>(reports.size());
}

/// Mean time of every instruction over the inputs.
std::vector<runtime::StageTime> mean_stages(const std::vector<runtime::RunReport>& reports) {
  std::vector<runtime::StageTime> out = reports.front().stages;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].seconds = 0;
    for (const auto& report : reports) out[i].seconds += report.stages.at(i).seconds;
    out[i].seconds /= static_cast<double>(reports.size());
  }
  return out;
}

/// Of the time of a run.
struct Shares {
  double bootstraps = 0, linear = 0, other = 0;
};

Shares shares_of(const std::vector<runtime::StageTime>& stages, double seconds) {
  Shares out;
  if (seconds <= 0) return out;
  for (const auto& stage : stages) {
    if (stage.op == "activation") out.bootstraps += stage.seconds / seconds;
    if (stage.op == "linear") out.linear += stage.seconds / seconds;
  }
  out.other = std::max(0.0, 1 - out.bootstraps - out.linear);
  return out;
}

/// A measurement beside what was predicted of it, which is 0 where nothing was.
struct Comparison {
  double measured = 0, predicted = 0;
  double ratio() const { return predicted > 0 ? measured / predicted : 0; }
  std::string text(const std::string& prediction) const {
    if (predicted <= 0) return "";
    return fmt::format("; predicted {}, measured {:.2f} times that", prediction, ratio());
  }
};

Json to_json(const Comparison& c) {
  return {{"measured", c.measured},
          {"predicted", c.predicted > 0 ? Json(c.predicted) : Json()},
          {"ratio", c.predicted > 0 ? Json(c.ratio()) : Json()}};
}

/// What print() shows.
struct Results {
  Times times;
  std::size_t key_bytes = 0;
  std::vector<runtime::RunReport> reports;
  service::KeptRun kept;
};

Json resumed_json(const service::KeptRun& kept) {
  if (!kept.resumed) return nullptr;
  return {{"input", kept.resumed->input}, {"instruction", kept.resumed->instruction}, {"layer", kept.resumed->layer}};
}

Json checkpoints_json(const service::KeptRun& kept) {
  return {{"count", kept.cost.saves}, {"bytes", kept.cost.bytes}, {"seconds", kept.cost.seconds}};
}

std::string place_of(const service::ResumePoint& point) {
  if (point.layer.empty()) return "the end";
  return fmt::format("layer {} of input {}", cli::printable(point.layer), point.input);
}

/// None without a checkpoint folder.
std::vector<std::pair<std::string, std::string>> checkpoint_rows(const service::KeptRun& kept) {
  std::vector<std::pair<std::string, std::string>> out;
  if (kept.resumed) out.emplace_back("resumed", "at " + place_of(*kept.resumed));
  if (kept.cost.saves == 0) return out;
  out.emplace_back("checkpoints",
                   fmt::format("{}, {} in {}", kept.cost.saves, cli::format_bytes(static_cast<double>(kept.cost.bytes)),
                               cli::format_seconds(kept.cost.seconds)));
  return out;
}

Json seconds_of(const std::vector<runtime::RunReport>& reports) {
  Json out = Json::array();
  for (const auto& report : reports) out.push_back(report.seconds);
  return out;
}

/// What the plan says where memory is limited, else what compiling said.
double predicted_seconds(const service::Server& server) {
  if (server.residency() == nullptr || server.prediction().seconds <= 0) return server.prediction().seconds;
  return server.residency()->forecast().seconds();
}

double predicted_peak(const service::Server& server) {
  if (server.residency() == nullptr) return server.prediction().peak_bytes;
  const runtime::MemoryForecast& f = server.residency()->forecast();
  return static_cast<double>(f.process_bytes + f.fixed_bytes + f.working_bytes + f.recipe_bytes + f.store_bytes);
}

/// Everything there is to say about a run.
struct Summary {
  Summary(const service::Server& server, const Results& results)
      : prediction(server.prediction()),
        stages(mean_stages(results.reports)),
        time{mean_seconds(results.reports), predicted_seconds(server)},
        memory{static_cast<double>(peak_rss_bytes()), predicted_peak(server)},
        shares(shares_of(stages, time.measured)) {}

  /// 0 where nothing was predicted.
  double predicted(std::size_t stage) const {
    return prediction.instruction_seconds.empty() ? 0 : prediction.instruction_seconds.at(stage);
  }

  const compiler::Prediction& prediction;
  std::vector<runtime::StageTime> stages;
  Comparison time, memory;
  Shares shares;
};

Json stages_json(const Summary& s) {
  Json out = Json::array();
  for (std::size_t i = 0; i < s.stages.size(); ++i) {
    const auto& stage = s.stages[i];
    out.push_back(
        {{"name", stage.name}, {"op", stage.op}, {"seconds", stage.seconds}, {"predicted_seconds", s.predicted(i)}});
  }
  return out;
}

std::string stage_table(const Summary& s) {
  std::string out = fmt::format("  {:>9}  {:>9}\n", "time", "predicted");
  for (std::size_t i = 0; i < s.stages.size(); ++i) {
    const auto& stage = s.stages[i];
    out += fmt::format("  {:>9}  {:>9}  {:<12} {}\n", cli::format_seconds(stage.seconds),
                       cli::format_seconds(s.predicted(i)), stage.op, cli::printable(stage.name));
  }
  return out;
}

std::string text_of(const Options& options, const Results& r, const Summary& s) {
  const std::string expected =
      fmt::format("{} on {} threads", cli::format_seconds(s.time.predicted), s.prediction.threads);
  std::vector<std::pair<std::string, std::string>> rows{
      {"output", options.output},
      {"inputs", fmt::format("{}", r.reports.size())},
      {"time", fmt::format("{} an input on {} threads{}", cli::format_seconds(s.time.measured), threads(),
                           s.time.text(expected))},
      {"time spent", fmt::format("{:.1f} % in bootstraps, {:.1f} % in linear layers, {:.1f} % in anything else",
                                 100 * s.shares.bootstraps, 100 * s.shares.linear, 100 * s.shares.other)},
      {"loading", fmt::format("{} for the model, {} for keys", cli::format_seconds(r.times.load),
                              cli::format_seconds(r.times.keys))},
      {"peak memory", cli::format_bytes(s.memory.measured) + s.memory.text(cli::format_bytes(s.memory.predicted))}};
  std::ranges::copy(checkpoint_rows(r.kept), std::back_inserter(rows));
  return cli::format_rows(rows);
}

Json json_of(const Options& options, const service::Server& server, const Results& r, const Summary& s) {
  return {{"output", options.output},
          {"output_bytes", std::filesystem::file_size(options.output)},
          {"inputs", r.reports.size()},
          {"threads", threads()},
          {"seconds_per_input", s.time.measured},
          {"seconds", seconds_of(r.reports)},
          {"load_seconds", r.times.load},
          {"key_seconds", r.times.keys},
          {"started", r.times.started},
          {"run_seconds", r.times.run},
          {"key_bytes", r.key_bytes},
          {"plaintext_bytes", server.plaintext_bytes()},
          {"peak_bytes", s.memory.measured},
          {"predicted_threads", s.prediction.threads},
          {"time", to_json(s.time)},
          {"memory", to_json(s.memory)},
          {"shares", {{"bootstraps", s.shares.bootstraps}, {"linear", s.shares.linear}, {"other", s.shares.other}}},
          {"resumed_at", resumed_json(r.kept)},
          {"checkpoints", checkpoints_json(r.kept)},
          {"residency", server.residency() != nullptr ? cli::to_json(*server.residency()) : Json()},
          {"stages", stages_json(s)}};
}

void print(const Options& options, const service::Server& server, const Results& results) {
  const Summary summary(server, results);
  cli::emit(options.common, json_of(options, server, results, summary),
            text_of(options, results, summary) +
                (server.residency() != nullptr ? cli::residency_text(*server.residency()) : "") +
                (options.stages ? stage_table(summary) : ""));
}

service::Server open_server(const Options& options, const service::ProgressFunction& progress) {
  if (options.memory.empty()) return service::Server(options.bundle, progress);
  runtime::MemoryOptions memory{.limit = memory::parse_size(options.memory), .tier = nullptr};
  if (!options.tier.empty()) {
    const memory::TierSpec spec = memory::parse_tier_spec(options.tier);
    const std::optional<memory::TierSpeed> measured = cli::find_tier_speed(spec, options.common);
    memory.tier = memory::make_tier(spec, measured ? &*measured : nullptr);
    trim_chunks();  // what measuring took
  }
  return service::Server(options.bundle, std::move(memory), progress);
}

/// Runs what is loaded, fills in the results but loading.
void evaluate(const Options& options, const service::Server& server, const service::ClientKeys& keys,
              Results& results) {
  const double count = service::CiphertextFile(options.input).head().tensors;
  cli::Stage running("Evaluating", count * server.prediction().seconds);
  const cli::InterruptScope interrupts;
  const auto check = [&] { interrupts.check(); };
  const auto progress = running.detailed_reporter();
  results.times.started = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  if (!options.trace.empty()) trace::start();
  if (options.keeping.folder.empty()) {
    server.run(keys, options.input, options.output, &results.reports, progress, check);
  } else {
    service::Checkpointing keeping = options.keeping;
    keeping.resumed = [&](const service::ResumePoint& at) {
      if (!options.common.quiet) std::fprintf(stderr, "hearth: resumed at %s\n", place_of(at).c_str());
    };
    results.kept = server.run_kept(keys, options.input, options.output, keeping, &results.reports, progress, check);
  }
  results.times.run = running.finish();
  if (!options.trace.empty()) trace::write(options.trace, trace::stop());
}

void run(const Options& options) {
  cli::require_no_input(options.output, {options.bundle, options.keys, options.input});
  if (!options.trace.empty()) {
    cli::require_no_input(options.trace, {options.bundle, options.keys, options.input, options.output});
    trace::name_thread("compute");
  }
  Results results;
  cli::Stage loading("Loading the model");
  const service::Server server = open_server(options, loading.reporter());
  results.times.load = loading.finish();
  if (server.residency() != nullptr && !options.common.quiet && !options.common.json) {
    fmt::print("{}", cli::forecast_text(server.residency()->forecast()));
    std::fflush(stdout);
  }
  cli::Stage reading("Loading keys");
  const service::ClientKeys keys = server.load_keys(options.keys, reading.reporter());
  results.times.keys = reading.finish();
  evaluate(options, server, keys, results);
  results.key_bytes = keys.keys.bytes();
  print(options, server, results);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs a compiled model on encrypted inputs. Needs no secret and holds no code that could use one",
               "hearth run");
  app.footer("Example:\n  hearth run out/server.hearth --keys keys/evaluation.key --input input.ct -o output.ct");
  Options options;
  app.add_option("bundle", options.bundle, "Server bundle, from hearth compile")->required()->type_name("FILE");
  app.add_option("--keys", options.keys, "Evaluation keys, from hearth keygen")->required()->type_name("FILE");
  app.add_option("--input", options.input, "Encrypted inputs, from hearth encrypt")->required()->type_name("FILE");
  app.add_option("-o,--output", options.output, "Where to write the encrypted outputs")->required()->type_name("FILE");
  app.add_flag("--stages", options.stages, "Also print the time of every instruction, and what was predicted of it");
  auto* const folder = app.add_option("--checkpoint", options.keeping.folder,
                                      "Keep progress in this folder: however the run ends, the same command goes on "
                                      "where it was. Removed once the output is there")
                           ->type_name("DIR");
  app.add_option("--checkpoint-every", options.keeping.every,
                 "At least so much time between checkpoints (default 0: after every instruction worth it)")
      ->check(CLI::NonNegativeNumber)
      ->needs(folder)
      ->type_name("SECONDS");
  auto* const memory = app.add_option("--memory", options.memory,
                                      "DRAM that the whole process may take, e.g. 4GiB; what does not fit goes to the "
                                      "tier, as planned before the run (default: as much as it takes)")
                           ->type_name("SIZE");
  app.add_option("--tier", options.tier,
                 "Where to keep what does not fit: nvme:/folder:60GiB, dax:/mnt/pmem:60GiB, numa:1:60GiB or "
                 "emulated:optane_pmem_100:60GiB")
      ->needs(memory)
      ->type_name("KIND:WHERE:SIZE");
  app.add_option("--trace", options.trace,
                 "Record what happens when, for hearth report or a viewer of Chrome or Perfetto traces")
      ->type_name("FILE");
  cli::add_common_options(app, options.common);
  return cli::run_command(app, argc, argv, options.common, [&] { run(options); });
}
