#include "cli/model/model_options.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/npy.h"
#include "cli/model/tune_file.h"
#include "nn/onnx_import.h"
#include "service/image/recipe.h"
#include "service/wire/input_batch.h"

namespace hearth::cli {
namespace {

/// Calibration inputs below which networks with activations get a warning. (Of 96 other CIFAR-10 images, 37 drove some
/// activation of an equalised ResNet-20 past half a period when it had been calibrated on 4 images, 5 of 80 with 20,
/// both with a margin of 1.5.)
constexpr std::size_t kFewInputs = 20;

static_assert(kMaxClassName <= compiler::kMaxClassName && service::kMaxResize <= compiler::kMaxImageResize);

/// What the client bundle says of images; 0 for models that take none.
int image_resize(const ModelOptions& options, const nn::Shape& shape) {
  if (!options.image_resize) return service::default_resize(shape);
  return service::image_recipe(shape, *options.image_resize).resize;
}

}  // namespace

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

compiler::Compiled compile_model(const ModelOptions& options, const CommonOptions& common, double* seconds) {
  compiler::CompileOptions compile = options.compile;
  if (options.insecure) compile.security = ckks::Security::kNone;
  compile.threads = common.threads;
  const std::optional<compiler::MachineCosts> costs = find_costs(options.tune, common);
  if (costs) compile.machine = &*costs;
  Stage stage("Compiling");
  const auto report = stage.detailed_reporter();
  compile.progress = [&](const std::string& step, double done, double total) { report(done, total, step); };
  nn::Graph graph = nn::import_onnx(options.model);
  graph.name = std::filesystem::path(options.model).stem().string();  // exporters call every graph the same
  const int resize = image_resize(options, graph.input_shape());
  std::vector<std::string> classes =
      read_class_names(options.classes, static_cast<std::size_t>(nn::element_count(graph.output_shape())));
  const auto calibration = read_inputs(options.calibration, graph.input_shape(), options.normalisation);
  compiler::Compiled compiled = compiler::compile(graph, calibration, compile);
  compiled.client.normalisation = options.normalisation;
  compiled.client.image_resize = resize;
  compiled.client.classes = std::move(classes);
  const double taken = stage.finish();
  if (!compiled.activations.empty() && calibration.size() < kFewInputs) {
    warn(common, fmt::format("only {} calibration input(s): other inputs will often exceed ranges found on so few, and "
                             "come out wrong; give at least {}, or a larger --activation-margin",
                             calibration.size(), kFewInputs));
  }
  if (seconds) *seconds = taken;
  return compiled;
}

void add_model_options(CLI::App& app, ModelOptions& options) {
  app.add_option("model", options.model, "The network as ONNX, one float input, opset 7 to 21")
      ->required()
      ->type_name("MODEL.onnx");
  app.add_option("--calibration", options.calibration,
                 "Typical inputs; a few dozen will do. Required: the largest values in the network decide scales, ring "
                 "and the ranges of activations, and values beyond the range found wrap around")
      ->required()
      ->type_name("FILE.npy");
  add_normalisation(app, options.normalisation.divisor, options.normalisation.mean, options.normalisation.deviation);
  add_image_resize(app, options.image_resize);
  add_class_options(app, options.classes);
  app.add_option("--log-n", options.compile.log_n, "log2 of the ring degree (default: the smallest that fits)")
      ->check(CLI::Range(11, 17))
      ->type_name("N");
  app.add_option("--margin", options.compile.margin, "Outputs may exceed the largest calibrated one by this factor")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str()
      ->type_name("X");
  compiler::ActivationOptions& activations = options.compile.activations;
  app.add_option("--activation-margin", activations.margin,
                 "Inputs of activations may exceed the largest calibrated one by this factor before they saturate. "
                 "More is safer and less precise (default: 1.5, for networks as large as ResNet-50 2)")
      ->check(CLI::Range(1.0, 1e3))
      ->each([&](const std::string&) { options.compile.margin_by_hand = true; })
      ->type_name("X");
  app.add_option(
         "--series-degree", activations.degree,
         "Degree of the Fourier series that stand for activations. Twice as much halves their error and takes "
         "one level more; degrees just below a power of two use their levels best (default: 63, or 127 where the "
         "simulation finds 63 imprecise)")
      ->check(CLI::Range(3, 255))
      ->each([&](const std::string&) { options.compile.larger_degree = 0; })
      ->type_name("D");
  app.add_option_function<double>(
         "--key-memory", [&](double mib) { options.compile.key_budget = mib * 0x1p20; },
         "Memory in MiB for the rotation keys of the layers of a large network, as far as possible; less of it makes "
         "layers slower (default: 512)")
      ->check(CLI::Range(16.0, 1e6))
      ->type_name("MIB");
  app.add_option("--tune", options.tune,
                 "Predict time with the costs in this file of hearth tune (default: those of this machine, from "
                 "~/.config/hearth/tune.json or measured now)")
      ->type_name("FILE.json");
  app.add_flag("--insecure", options.insecure, "Allow less than 128 bits of security (experiments only)");
}

}  // namespace hearth::cli
