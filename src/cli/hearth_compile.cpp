#include <filesystem>

#include "base/error.h"
#include "base/npy.h"
#include "base/parallel.h"
#include "cli/describe/describe.h"
#include "compiler/compile.h"
#include "nn/onnx_import.h"
#include "service/wire/binding.h"
#include "service/wire/input_batch.h"

// The model owner's command: from an ONNX model to a server bundle and a client bundle.
namespace {

using namespace hearth;
using cli::Json;
namespace fs = std::filesystem;

struct Options {
  cli::CommonOptions common;
  std::string model, calibration, output, dump;
  bool insecure = false;
  compiler::Normalisation normalisation;
  compiler::CompileOptions compile;
};

std::vector<nn::Tensor> read_inputs(const std::string& file, const nn::Shape& shape,
                                    const compiler::Normalisation& normalisation) {
  const NpyArray array = read_npy(file);
  const std::size_t count = service::count_inputs(array, shape, file);
  std::vector<nn::Tensor> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.emplace_back(shape, service::normalised(service::input_at(array, shape, i), normalisation, shape));
  }
  return out;
}

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

void print_prediction(const Options& options, const compiler::Compiled& compiled, double seconds) {
  const fs::path folder = options.output;
  const compiler::ClientBundle& client = compiled.client;
  const double server_bytes = static_cast<double>(fs::file_size(folder / "server.hearth"));
  const double client_bytes = static_cast<double>(fs::file_size(folder / "client.hearth"));
  cli::Rows rows{
      {"model", fmt::format("{}: {} -> {}", cli::printable(client.model), service::format_shape(client.input_shape),
                            service::format_shape(client.output_shape))}};
  const cli::Rows prediction = cli::describe(client.prediction);
  rows.insert(rows.end(), prediction.begin(), prediction.end());
  rows.emplace_back("server bundle",
                    fmt::format("{} ({})", (folder / "server.hearth").string(), cli::format_bytes(server_bytes)));
  rows.emplace_back("client bundle",
                    fmt::format("{} ({})", (folder / "client.hearth").string(), cli::format_bytes(client_bytes)));
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
             {"seconds", seconds}},
            cli::format_rows(rows));
}

void compile(Options& options) {
  if (options.insecure) options.compile.security = ckks::Security::kNone;
  options.compile.threads = options.common.threads;
  for (const char* const name : {"server.hearth", "client.hearth"}) {
    if (options.output.empty()) break;
    cli::require_no_input(fs::path(options.output) / name, {options.model, options.calibration});
  }
  cli::Stage stage("Compiling");
  nn::Graph graph = nn::import_onnx(options.model);
  graph.name = fs::path(options.model).stem().string();  // exporters call every graph the same
  const std::vector<nn::Tensor> calibration =
      read_inputs(options.calibration, graph.input_shape(), options.normalisation);
  compiler::Compiled compiled = compiler::compile(graph, calibration, options.compile);
  compiled.client.normalisation = options.normalisation;
  if (!options.output.empty()) write_bundles(compiled, options.output);
  const double seconds = stage.finish();
  if (!options.dump.empty()) return print_dump(options, compiled);
  print_prediction(options, compiled, seconds);
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("model", options.model, "The network as ONNX, one float input, opset 7 to 21")
      ->required()
      ->type_name("MODEL.onnx");
  app.add_option("--calibration", options.calibration,
                 "Typical inputs; a few dozen will do. Required: the largest "
                 "values in the network decide scales and ring, and outputs beyond the range found wrap around")
      ->required()
      ->type_name("FILE.npy");
  auto* output =
      app.add_option("-o,--output", options.output, "Folder for server.hearth and client.hearth")->type_name("FOLDER");
  std::vector<std::string> steps = compiler::compile_steps();
  steps.emplace_back("all");
  auto* dump =
      app.add_option("--dump", options.dump, "Print the result of a step (or \"all\") instead of the prediction")
          ->check(CLI::IsMember(steps))
          ->type_name("STEP");
  cli::add_normalisation(app, options.normalisation.divisor, options.normalisation.mean,
                         options.normalisation.deviation);
  app.add_option("--log-n", options.compile.log_n, "log2 of the ring degree (default: the smallest that fits)")
      ->check(CLI::Range(11, 17))
      ->type_name("N");
  app.add_option("--margin", options.compile.margin, "Outputs may exceed the largest calibrated one by this factor")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str()
      ->type_name("X");
  app.add_flag("--insecure", options.insecure, "Allow less than 128 bits of security (experiments only)");
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
