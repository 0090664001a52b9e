#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/npy.h"
#include "base/parallel.h"
#include "bench/report.h"
#include "cli/common/process.h"
#include "compiler/compile.h"
#include "nn/onnx_import.h"
#include "service/client/client.h"
#include "service/wire/input_batch.h"

// ResNet-20 and ResNet-56 on CIFAR-10 images, as users run them: a compiled bundle, keys and inputs in files, and one
// server process at 128-bit security on two threads. ResNet-20 on kImages images, ResNet-56 on one.
namespace {

using namespace hearth;
namespace fs = std::filesystem;

constexpr int kThreads = 2;
constexpr std::size_t kImages = 20, kCalibration = 20;

struct Data {
  static fs::path folder() { return "../shared/data"; }
  static fs::path model(const std::string& name) { return folder() / "models" / (name + "_cifar10.onnx"); }
  static bool present() { return fs::exists(model("resnet20")) && fs::exists(folder() / "cifar10/images_u8.npy"); }

  NpyArray images = read_npy(folder() / "cifar10/images_u8.npy");
  std::size_t count() const { return static_cast<std::size_t>(images.shape.front()); }
};

const compiler::Normalisation kNormalisation{
    .divisor = 255, .mean = {0.485, 0.456, 0.406}, .deviation = {0.229, 0.224, 0.225}};

/// The last kCalibration images; the first ones are classified.
compiler::Compiled compile(const Data& data, const std::string& name) {
  const nn::Graph graph = nn::import_onnx(Data::model(name));
  std::vector<nn::Tensor> calibration;
  for (std::size_t i = data.count() - kCalibration; i < data.count(); ++i) {
    const auto raw = service::input_at(data.images, graph.input_shape(), i);
    calibration.emplace_back(graph.input_shape(), service::normalised(raw, kNormalisation, graph.input_shape()));
  }
  compiler::CompileOptions options;
  options.threads = kThreads;
  compiler::Compiled compiled = compiler::compile(graph, calibration, options);
  compiled.client.normalisation = kNormalisation;
  return compiled;
}

struct Outcome {
  double seconds = 0, peak_bytes = 0, key_bytes = 0;
  std::size_t images = 0, agreeing = 0;
  double rms_error = 0, spread = 0;
};

Outcome classify(const Data& data, const compiler::Compiled& compiled, const std::string& name, std::size_t images) {
  const cli::TemporaryFolder folder;
  const auto path = [&](const char* file) { return (folder.path() / file).string(); };
  compiler::write_bundle(path("server"), compiled.server);
  compiler::write_bundle(path("client"), compiled.client);
  const service::Client client(path("client"));
  client.make_keys(path("secret"), path("keys"));
  const service::ClientSecret secret = client.load_secret(path("secret"));
  client.encrypt_file(secret, data.images, "images", 0, images, path("input"));
  const cli::ProcessResult result =
      cli::run_process(HEARTH_RUN, {path("server"), "--keys", path("keys"), "--input", path("input"), "-o",
                                    path("output"), "--threads", std::to_string(kThreads), "--json"});
  if (result.exit_code != 0) throw std::runtime_error("hearth-run failed");
  const auto json = nlohmann::json::parse(result.output);
  const NpyArray got = client.decrypt_file(secret, path("output"));
  const NpyArray want = read_npy(Data::folder() / "cifar10" / (name + "_logits.npy"));
  Outcome out{.seconds = json.at("seconds_per_input").get<double>(),
              .peak_bytes = json.at("peak_bytes").get<double>(),
              .key_bytes = static_cast<double>(fs::file_size(path("keys"))),
              .images = images};
  const std::size_t classes = want.values.size() / data.count();
  double square = 0, sum = 0, sum_square = 0;
  for (std::size_t i = 0; i < images; ++i) {
    const auto row = [&](const NpyArray& a) { return std::span(a.values).subspan(i * classes, classes); };
    const auto top = [](std::span<const float> v) { return std::max_element(v.begin(), v.end()) - v.begin(); };
    out.agreeing += top(row(want)) == top(row(got)) ? 1 : 0;
    for (std::size_t k = 0; k < classes; ++k) {
      square += std::pow(static_cast<double>(row(got)[k]) - row(want)[k], 2);
      sum += row(want)[k];
      sum_square += static_cast<double>(row(want)[k]) * row(want)[k];
    }
  }
  const auto values = static_cast<double>(images * classes);
  out.rms_error = std::sqrt(square / values);
  out.spread = std::sqrt(sum_square / values - std::pow(sum / values, 2));
  return out;
}

void print_compiled(const compiler::Compiled& compiled) {
  fmt::print("{}{}", compiler::to_string(compiled.activations), compiled.dumps.at("predict"));
}

void measure_network(bench::Report& report, const Data& data, const std::string& name, std::size_t images) {
  const compiler::Compiled compiled = compile(data, name);
  print_compiled(compiled);
  const Outcome out = classify(data, compiled, name, images);
  constexpr double kGiB = 1 << 30;
  report.add(name + "_2core_s", out.seconds, "s");
  report.add(name + "_predicted_s", compiled.client.prediction.seconds, "s");
  report.add(name + "_peak_gib", out.peak_bytes / kGiB, "GiB");
  report.add(name + "_predicted_peak_gib", compiled.client.prediction.peak_bytes / kGiB, "GiB");
  report.add(name + "_client_keys_gib", out.key_bytes / kGiB, "GiB");
  report.add(name + "_images", static_cast<double>(out.images), "images");
  report.add(name + "_label_agreement", static_cast<double>(out.agreeing) / static_cast<double>(out.images), "share");
  report.add(name + "_logit_rms_error", out.rms_error / out.spread, "of std");
  report.add(name + "_simulated_logit_rms_error", compiled.simulation.output_error / compiled.simulation.output_spread,
             "of std");
  report.add(name + "_security_bits", compiled.client.prediction.security_bits, "bits");
}

int run(bench::Report& report) {
  set_threads(kThreads);
  const Data data;
  measure_network(report, data, "resnet20", kImages);
  measure_network(report, data, "resnet56", 1);
  return report.finish();
}

}  // namespace

int main(int argc, char** argv) {
  bench::Report report("resnet", argc, argv);
  if (!Data::present()) {
    fmt::print("skipped: no CIFAR-10 images and models in {}\n", Data::folder().string());
    return 0;
  }
  try {
    return run(report);
  } catch (const std::exception& error) {
    fmt::print(stderr, "resnet_bench: {}\n", error.what());
    return 1;
  }
}
