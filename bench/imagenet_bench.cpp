#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/npy.h"
#include "base/system.h"
#include "cli/common/command.h"
#include "cli/common/process.h"
#include "nn/onnx_import.h"
#include "nn/reference.h"
#include "ring/kernels/kernels.h"
#include "service/wire/input_batch.h"

// ResNet-50 and MobileNetV2 on encrypted 224 x 224 images, by Hearth's own programs over files. Takes hours, so a log
// is written after every run and a summary of all logs of the same model, to which later calls can add images.
namespace {

using namespace hearth;
using cli::Json;
namespace fs = std::filesystem;

struct Network {
  std::string name, model, data, logits;
  compiler::Normalisation normalisation;
  int first_class = 0;  ///< of its outputs, which the data's label 0 means
};

const fs::path kData = "../shared/data";
const compiler::Normalisation kUsual{.divisor = 255, .mean = {0.485, 0.456, 0.406}, .deviation = {0.229, 0.224, 0.225}};

/// The last one is small: for trying the benchmark itself.
const std::vector<Network> kNetworks{
    {"resnet50", "resnet50_imagenet.onnx", "imagenet", "resnet50_logits.npy", kUsual},
    {"mobilenet_v2", "mobilenet_v2_1.0_224.onnx", "imagenet", "mobilenet_v2_logits.npy", {127.5, {1}, {}}, 1},
    {"resnet20", "resnet20_cifar10.onnx", "cifar10", "resnet20_logits.npy", kUsual}};

struct Options {
  cli::CommonOptions common{.json = false, .quiet = false, .threads = 2};
  std::vector<std::string> networks{"resnet50", "mobilenet_v2"};
  std::size_t images = 3, first = 0, calibration = 0;
  std::string compile, output = "bench/results", keep;
  bool reuse = false;
};

bool present(const Network& network) {
  return fs::exists(kData / "models" / network.model) && fs::exists(kData / network.data / "images_u8.npy");
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

std::size_t top(std::span<const float> v) {
  return static_cast<std::size_t>(std::max_element(v.begin(), v.end()) - v.begin());
}

/// rms of a - b over the standard deviation of b.
double relative_error(std::span<const float> a, std::span<const float> b) {
  double square = 0, sum = 0, sum_square = 0;
  const auto count = static_cast<double>(b.size());
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double value = b[i], error = a[i] - value;
    square += error * error, sum += value, sum_square += value * value;
  }
  return std::sqrt(square / count) / std::sqrt(std::max(1e-300, sum_square / count - std::pow(sum / count, 2)));
}

std::string date() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::string git_commit() {
  const cli::ProcessResult result =
      cli::run_process("/bin/sh", {"-c", "git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null"});
  return result.exit_code == 0 ? result.output.substr(0, result.output.find('\n')) : "unknown";
}

void write_json(const fs::path& path, const Json& json) { write_file_atomic(path, json.dump(2) + "\n"); }

std::optional<Json> read_json(const fs::path& path) {
  std::ifstream in(path);
  Json json = Json::parse(in, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

/// One network: compiled, with keys, in a folder.
class Deployment {
 public:
  Deployment(const Options& options, const Network& network, const cli::InterruptScope& interrupts, fs::path folder)
      : options_(options),
        network_(network),
        interrupts_(interrupts),
        folder_(std::move(folder)),
        graph_(nn::import_onnx(kData / "models" / network.model)),
        images_(read_npy(kData / network.data / "images_u8.npy")),
        logits_(read_npy(kData / network.data / network.logits)),
        labels_(read_npy(kData / network.data / "labels.npy")) {
    available_ = service::count_inputs(images_, graph_.input_shape(), network_.data);
    require(options_.images >= 1 && options_.first + options_.images < available_, ErrorKind::kInvalidArgument,
            "there are {} images, and some must be left for calibration: {} from number {} are too many", available_,
            options_.images, options_.first);
    fs::create_directories(folder_);
  }

  void prepare() {
    choose_calibration();
    std::vector<std::string> compile{(kData / "models" / network_.model).string(), "--calibration",
                                     path("calibration.npy"), "-o", folder_.string()};
    const auto add = [&](const char* name, const std::vector<double>& values) {
      if (!values.empty()) compile.push_back(fmt::format("--{}={}", name, fmt::join(values, ",")));
    };
    add("divide", {network_.normalisation.divisor});
    add("mean", network_.normalisation.mean);
    add("std", network_.normalisation.deviation);
    const std::vector<std::string> more = words(options_.compile);
    compile.insert(compile.end(), more.begin(), more.end());
    compiled_ = once("hearth-compile", compile, "compile.json");
    keys_ = once("hearth-client", client({"keygen", path("client.hearth"), "-o", folder_.string(), "--force"}),
                 "keygen.json");
  }

  /// Encrypts, runs and decrypts one image; the log of it.
  Json run(std::size_t index) {
    const std::string input = path("input.ct"), output = path("output.ct");
    write_images("image.npy", {index});
    step("hearth-client", client({"encrypt", path("client.hearth"), "--key", path("secret.key"), "--input",
                                  path("image.npy"), "-o", input}));
    const Json ran =
        step("hearth-run", {path("server.hearth"), "--keys", path("evaluation.key"), "--input", input, "-o", output});
    const Json decrypted = step(
        "hearth-client", client({"decrypt", path("client.hearth"), "--key", path("secret.key"), "--input", output}));
    return log(index, ran, decrypted.at("values").get<std::vector<float>>());
  }

  std::string model_id() const { return compiled_.at("model_id"); }

 private:
  std::string path(const char* name) const { return (folder_ / name).string(); }

  bool insecure() const {
    const std::vector<std::string> options = words(options_.compile);
    return std::ranges::find(options, "--insecure") != options.end();
  }
  std::vector<std::string> client(std::vector<std::string> arguments) const {
    if (insecure()) arguments.emplace_back("--insecure");
    return arguments;
  }

  Json step(const std::string& program, std::vector<std::string> arguments) const {
    interrupts_.check();
    const std::string name = program == "hearth-client" ? "hearth-client " + arguments.front() : program;
    fmt::print("{} {}: {}\n", date(), network_.name, name);
    std::fflush(stdout);
    arguments.insert(arguments.end(), {"--json", "--threads", std::to_string(options_.common.threads)});
    const cli::ProcessResult result = cli::run_process(fs::path(HEARTH_PROGRAMS) / program, arguments);
    interrupts_.check();
    require(result.exit_code == 0, ErrorKind::kInvalidArgument, "{} ended with exit code {}, see above", name,
            result.exit_code);
    return Json::parse(result.output);
  }

  /// A step whose files are reused if asked for.
  Json once(const std::string& program, const std::vector<std::string>& arguments, const char* result) const {
    std::optional<Json> known = options_.reuse ? read_json(path(result)) : std::nullopt;
    if (known) return std::move(*known);
    Json json = step(program, arguments);
    write_json(path(result), json);
    return json;
  }

  bool is_tested(std::size_t index) const {
    return index >= options_.first && index < options_.first + options_.images;
  }

  /// Calibration is on images that are not tested: ranges found on those of the test would say nothing about others.
  void choose_calibration() {
    const std::optional<Json> known = options_.reuse ? read_json(path("calibration.json")) : std::nullopt;
    if (known) {
      calibration_ = known->get<std::vector<std::size_t>>();
      require(std::ranges::none_of(calibration_, [&](std::size_t i) { return is_tested(i); }),
              ErrorKind::kInvalidArgument, "{} was calibrated on images that are to be tested", folder_.string());
      return;
    }
    const std::size_t most = options_.calibration > 0 ? options_.calibration : available_;
    for (std::size_t i = available_; i-- > 0 && calibration_.size() < most;) {
      if (!is_tested(i)) calibration_.push_back(i);
    }
    write_images("calibration.npy", calibration_);
    write_json(path("calibration.json"), calibration_);
  }

  /// In the network's order of dimensions.
  void write_images(const char* name, const std::vector<std::size_t>& indices) const {
    std::vector<std::int64_t> shape = graph_.input_shape();
    shape.front() = static_cast<std::int64_t>(indices.size());
    std::vector<float> values;
    for (const std::size_t i : indices) {
      const std::vector<float> image = service::input_at(images_, graph_.input_shape(), i);
      values.insert(values.end(), image.begin(), image.end());
    }
    write_npy(path(name), shape, values);
  }

  std::vector<float> plaintext(std::size_t index) const {
    std::vector<float> image = service::normalised(service::input_at(images_, graph_.input_shape(), index),
                                                   network_.normalisation, graph_.input_shape());
    return nn::run(graph_, {graph_.input_shape(), std::move(image)}).data;
  }

  Json log(std::size_t index, const Json& ran, const std::vector<float>& encrypted) const {
    const std::vector<float> plain = plaintext(index);
    const auto given = std::span(logits_.values).subspan(index * plain.size(), plain.size());
    const Json& prediction = compiled_.at("prediction");
    return {{"network", network_.name},
            {"image", index},
            {"labels",
             {{"encrypted", top(encrypted)},
              {"plaintext", top(plain)},
              {"given_logits", top(given)},
              {"truth", std::lround(labels_.values[index]) + network_.first_class}}},
            {"logit_error_rms_of_std", relative_error(encrypted, plain)},
            {"reference_error_rms_of_std", relative_error(plain, given)},
            {"simulation", compiled_.at("simulation")},
            {"seconds", ran.at("seconds_per_input")},
            {"predicted_seconds", prediction.at("seconds")},
            {"peak_bytes", ran.at("peak_bytes")},
            {"predicted_peak_bytes", prediction.at("peak_bytes")},
            {"predicted_moved_bytes", prediction.at("moved_bytes")},
            {"key_bytes", ran.at("key_bytes")},
            {"key_bytes_file", keys_.at("evaluation_key_bytes")},
            {"weights_resident_bytes", ran.at("plaintext_bytes")},
            {"shares", ran.at("shares")},
            {"load_seconds", ran.at("load_seconds")},
            {"key_seconds", ran.at("key_seconds")},
            {"compile_seconds", compiled_.at("seconds")},
            {"keygen_seconds", keys_.at("seconds")},
            {"prediction", prediction},
            {"model_id", compiled_.at("model_id")},
            {"calibration_images", calibration_},
            {"compile_options", options_.compile},
            {"cpu", cpu_model()},
            {"isa", ring::kernels().name},
            {"threads", ran.at("threads")},
            {"date", date()},
            {"git_commit", git_commit()}};
  }

  const Options& options_;
  const Network& network_;
  const cli::InterruptScope& interrupts_;
  fs::path folder_;
  nn::Graph graph_;
  NpyArray images_, logits_, labels_;
  std::size_t available_ = 0;
  std::vector<std::size_t> calibration_;  // numbers of images
  Json compiled_, keys_;
};

fs::path log_path(const Options& options, const std::string& network, std::size_t image) {
  return fs::path(options.output) / fmt::format("{}_image{:02}.json", network, image);
}

/// Of every image that was run with this model, now or before.
std::vector<Json> logs_of(const Options& options, const std::string& network, const std::string& model_id) {
  std::vector<Json> out;
  for (const auto& entry : fs::directory_iterator(options.output)) {
    if (!entry.path().filename().string().starts_with(network + "_image")) continue;
    std::optional<Json> log = read_json(entry.path());
    if (log && log->value("model_id", "") == model_id) out.push_back(std::move(*log));
  }
  return out;
}

std::vector<double> column(const std::vector<Json>& logs, const char* name) {
  std::vector<double> out;
  for (const Json& log : logs) out.push_back(log.at(name).get<double>());
  std::sort(out.begin(), out.end());
  return out;
}

double median(const std::vector<double>& sorted) {
  return (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;
}

/// Puts a network's figures into summary.json, beside those of the other networks there.
void summarise(const Options& options, const std::string& network, const std::string& model_id) {
  constexpr double kGiB = 1 << 30;
  const std::vector<Json> logs = logs_of(options, network, model_id);
  const fs::path path = fs::path(options.output) / "summary.json";
  Json summary = read_json(path).value_or(Json::object());
  const double seconds = median(column(logs, "seconds"));
  const auto agreeing = std::ranges::count_if(
      logs, [](const Json& log) { return log.at("labels").at("encrypted") == log.at("labels").at("plaintext"); });
  const auto add = [&](const std::string& name, double value) {
    summary[network + "_" + name] = value;
    fmt::print("  {:<44} {:.6g}\n", network + "_" + name, value);
  };
  add(fmt::format("{}core_s", options.common.threads), seconds);
  add("peak_gib", column(logs, "peak_bytes").back() / kGiB);
  add("weights_resident_gib", column(logs, "weights_resident_bytes").back() / kGiB);
  add("images", static_cast<double>(logs.size()));
  add("label_agreement", static_cast<double>(agreeing) / static_cast<double>(logs.size()));
  add("predicted_over_measured_time", median(column(logs, "predicted_seconds")) / seconds);
  write_json(path, summary);
}

void measure(const Options& options, const Network& network, const cli::InterruptScope& interrupts) {
  const std::optional<cli::TemporaryFolder> temporary =
      options.keep.empty() ? std::make_optional<cli::TemporaryFolder>() : std::nullopt;
  Deployment deployment(options, network, interrupts,
                        temporary ? temporary->path() : fs::path(options.keep) / network.name);
  deployment.prepare();
  for (std::size_t i = options.first; i < options.first + options.images; ++i) {
    const Json log = deployment.run(i);
    write_json(log_path(options, network.name, i), log);
    fmt::print("{}\n", log.dump(2));
    summarise(options, network.name, deployment.model_id());
  }
}

/// False if it failed: the other networks are still worth their hours.
bool tried(const Options& options, const Network& network, const cli::InterruptScope& interrupts) {
  if (!present(network)) {
    fmt::print("skipped: no images or no model of {} in {}\n", network.name, kData.string());
    return true;
  }
  try {
    measure(options, network, interrupts);
    return true;
  } catch (const Error& error) {
    fmt::print(stderr, "{}: {}\n", network.name, error.what());
    return false;
  }
}

void run(const Options& options) {
  const cli::InterruptScope interrupts;
  fs::create_directories(options.output);
  std::string failed;
  for (const Network& network : kNetworks) {
    if (std::ranges::find(options.networks, network.name) == options.networks.end()) continue;
    if (!tried(options, network, interrupts)) failed += " " + network.name;
  }
  require(failed.empty(), ErrorKind::kInvalidArgument, "these networks failed:{}", failed);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs ImageNet networks on encrypted images and writes a log of every run", "imagenet_bench");
  Options options;
  std::vector<std::string> names;
  for (const Network& network : kNetworks) names.push_back(network.name);
  app.add_option("--network", options.networks, "Which networks")->check(CLI::IsMember(names))->delimiter(',');
  app.add_option("--images", options.images, "How many images to classify")->capture_default_str();
  app.add_option("--first", options.first, "Number of the first of them")->capture_default_str();
  app.add_option("--calibration", options.calibration, "Calibrate on so many of the other images (default: all)");
  app.add_option("--compile", options.compile, "More options for hearth compile, in one word: --compile='--log-n 16'");
  app.add_option("-o,--output", options.output, "Folder for the logs and their summary")->capture_default_str();
  auto* keep = app.add_option("--keep", options.keep, "Work in this folder and keep all files, secret keys included");
  app.add_flag("--reuse", options.reuse, "Neither compile nor make keys where --keep has them; give the same options")
      ->needs(keep);
  app.add_option("--threads", options.common.threads, "Threads of every step")->capture_default_str();
  return cli::run_command(app, argc, argv, options.common, [&] { run(options); });
}
