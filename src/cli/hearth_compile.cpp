#include <filesystem>

#include "base/error.h"
#include "cli/describe/describe.h"
#include "cli/model/model_options.h"
#include "cli/model/report.h"
#include "service/wire/binding.h"
#include "service/wire/input_batch.h"

// The model owner's command: from an ONNX model to a server bundle and a client bundle.
namespace {

using namespace hearth;
using cli::Json;
namespace fs = std::filesystem;

struct Options {
  cli::CommonOptions common;
  cli::ModelOptions model;
  std::string output, dump;
};

void write_bundles(const compiler::Compiled& compiled, const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  require(!error && fs::is_directory(folder), ErrorKind::kIo, "cannot make the folder {}: {}", folder.string(),
          error ? error.message() : "something else has that name");
  compiler::write_bundle(folder / "server.hearth", compiled.server);
  compiler::write_bundle(folder / "client.hearth", compiled.client);
}

/// --dump STEP prints instead of the prediction.
void print_dump(const Options& options, const compiler::Compiled& compiled) {
  std::string text;
  Json json = Json::object();
  for (const std::string& step : compiler::compile_steps()) {
    const auto dump = compiled.dumps.find(step);
    if (dump == compiled.dumps.end() || (options.dump != "all" && options.dump != step)) continue;
    json[step] = dump->second;
    text += options.dump == "all" ? fmt::format("== {}\n{}\n", step, dump->second) : dump->second;
  }
  if (text.empty() || text.back() != '\n') text += '\n';
  cli::emit(options.common, {{"dump", json}}, text);
}

void print_report(const Options& options, const compiler::Compiled& compiled, double seconds) {
  const fs::path folder = options.output;
  const compiler::ClientBundle& client = compiled.client;
  const double server_bytes = static_cast<double>(fs::file_size(folder / "server.hearth"));
  const double client_bytes = static_cast<double>(fs::file_size(folder / "client.hearth"));
  cli::Rows rows{
      {"model", fmt::format("{}: {} -> {}", cli::printable(client.model), service::format_shape(client.input_shape),
                            service::format_shape(client.output_shape))}};
  const cli::Rows prediction = cli::describe(client.prediction);
  rows.insert(rows.end(), prediction.begin(), prediction.end());
  const cli::Rows accuracy = cli::accuracy_rows(compiled);
  rows.insert(rows.end(), accuracy.begin(), accuracy.end());
  rows.emplace_back("server bundle",
                    fmt::format("{} ({})", (folder / "server.hearth").string(), cli::format_bytes(server_bytes)));
  rows.emplace_back("client bundle",
                    fmt::format("{} ({})", (folder / "client.hearth").string(), cli::format_bytes(client_bytes)));
  const cli::BootstrapCount count = cli::count_bootstraps(compiled.server.program);
  cli::emit(options.common,
            {{"model", client.model},
             {"model_id", service::to_hex(client.model_id)},
             {"input_shape", client.input_shape},
             {"output_shape", client.output_shape},
             {"server_bundle", (folder / "server.hearth").string()},
             {"server_bundle_bytes", server_bytes},
             {"client_bundle", (folder / "client.hearth").string()},
             {"client_bundle_bytes", client_bytes},
             {"prediction", cli::to_json(client.prediction)},
             {"bootstraps", count.bootstraps},
             {"activations", cli::to_json(compiled.activations)},
             {"simulation", cli::to_json(compiled.simulation)},
             {"seconds", seconds}},
            cli::format_rows(rows) + (compiled.activations.empty() ? "" : "\n") +
                cli::activation_table(compiled.activations));
}

void compile(const Options& options) {
  for (const char* const name : {"server.hearth", "client.hearth"}) {
    if (options.output.empty()) break;
    cli::require_no_input(fs::path(options.output) / name,
                          {options.model.model, options.model.calibration, options.model.classes.file});
  }
  double seconds = 0;
  const compiler::Compiled compiled = cli::compile_model(options.model, options.common, &seconds);
  if (!options.output.empty()) write_bundles(compiled, options.output);
  if (!options.dump.empty()) return print_dump(options, compiled);
  print_report(options, compiled, seconds);
}

void add_options(CLI::App& app, Options& options) {
  cli::add_model_options(app, options.model);
  auto* output =
      app.add_option("-o,--output", options.output, "Folder for server.hearth and client.hearth")->type_name("FOLDER");
  std::vector<std::string> steps = compiler::compile_steps();
  steps.emplace_back("all");
  auto* dump =
      app.add_option("--dump", options.dump, "Print the result of a step (or \"all\") instead of the prediction")
          ->check(CLI::IsMember(steps))
          ->type_name("STEP");
  cli::add_common_options(app, options.common);
  app.callback([output, dump] {
    if (output->count() == 0 && dump->count() == 0) throw CLI::RequiredError("--output");
  });
  app.footer(
      "Example:\n  hearth compile model.onnx --calibration images.npy -o out/\n\n"
      "out/server.hearth holds the program and weights; out/client.hearth what keygen, encrypt and decrypt "
      "need.");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compiles an ONNX model and foretells time, memory, precision and security", "hearth compile");
  Options options;
  add_options(app, options);
  return cli::run_command(app, argc, argv, options.common, [&] { compile(options); });
}
