#include <filesystem>

#include "base/error.h"
#include "base/parallel.h"
#include "base/system.h"
#include "cli/common/command.h"
#include "cli/common/process.h"
#include "service/server.h"

// The server's side of Hearth as a command. Links no code that knows a secret key.
namespace {

using namespace hearth;
using cli::Json;

struct Options {
  cli::CommonOptions common;
  std::string bundle, keys, input, output;
  bool stages = false;
};

struct Times {
  double load = 0, keys = 0, run = 0;
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

void print(const Options& options, const service::Server& server, const service::ClientKeys& keys, const Times& times,
           const std::vector<runtime::RunReport>& reports) {
  const double each = mean_seconds(reports);
  Json stages = Json::array();
  std::string text = cli::format_rows(
      {{"output", options.output},
       {"inputs", fmt::format("{}", reports.size())},
       {"time", fmt::format("{} an input on {} threads; loading the model {}, keys {}", cli::format_seconds(each),
                            threads(), cli::format_seconds(times.load), cli::format_seconds(times.keys))},
       {"peak memory", cli::format_bytes(static_cast<double>(peak_rss_bytes()))}});
  for (const auto& stage : mean_stages(reports)) {
    stages.push_back({{"name", stage.name}, {"op", stage.op}, {"seconds", stage.seconds}});
    if (!options.stages) continue;
    text +=
        fmt::format("  {:>9}  {:<12} {}\n", cli::format_seconds(stage.seconds), stage.op, cli::printable(stage.name));
  }
  Json seconds = Json::array();
  for (const auto& report : reports) seconds.push_back(report.seconds);
  cli::emit(options.common,
            {{"output", options.output},
             {"output_bytes", std::filesystem::file_size(options.output)},
             {"inputs", reports.size()},
             {"threads", threads()},
             {"seconds_per_input", each},
             {"seconds", seconds},
             {"load_seconds", times.load},
             {"key_seconds", times.keys},
             {"run_seconds", times.run},
             {"key_bytes", keys.keys.bytes()},
             {"plaintext_bytes", server.plaintext_bytes()},
             {"peak_bytes", peak_rss_bytes()},
             {"stages", stages}},
            text);
}

void run(const Options& options) {
  cli::require_no_input(options.output, {options.bundle, options.keys, options.input});
  Times times;
  cli::Stage loading("Loading the model");
  const service::Server server(options.bundle, loading.reporter());
  times.load = loading.finish();
  cli::Stage reading("Loading keys");
  const service::ClientKeys keys = server.load_keys(options.keys, reading.reporter());
  times.keys = reading.finish();
  const double count = service::CiphertextFile(options.input).head().tensors;
  cli::Stage running("Evaluating", count * server.prediction().seconds);
  std::vector<runtime::RunReport> reports;
  {
    const cli::InterruptScope interrupts;
    server.run(keys, options.input, options.output, &reports, running.detailed_reporter(),
               [&] { interrupts.check(); });
  }
  times.run = running.finish();
  print(options, server, keys, times, reports);
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
  app.add_flag("--stages", options.stages, "Also print the time of every instruction");
  cli::add_common_options(app, options.common);
  return cli::run_command(app, argc, argv, options.common, [&] { run(options); });
}
