#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/npy.h"
#include "cli/common/class_names.h"
#include "cli/common/command.h"
#include "cli/common/process.h"
#include "cli/common/ranking.h"
#include "nn/onnx_import.h"
#include "nn/reference.h"
#include "service/image/recipe.h"
#include "service/wire/input_batch.h"

// The whole chain in one command, each step a process of its own over files, compared with plaintext.
namespace {

using namespace hearth;
using cli::Json;
namespace fs = std::filesystem;

struct Options {
  cli::CommonOptions common;
  std::string model, input, labels, calibration, keep;
  std::vector<std::string> images;
  std::int64_t count = 0;
  int log_n = 0, top = cli::kDefaultTop;
  bool insecure = false, rankings = false;  ///< rankings: print the likeliest classes of every input
  std::optional<int> image_resize;
  cli::ClassOptions classes;
  compiler::Normalisation normalisation;
};

using Values = std::vector<float>;

struct Inference {
  std::vector<Values> plain, encrypted;  ///< outputs, one entry an input
  std::vector<std::int64_t> labels;      ///< empty if unknown
  std::vector<std::string> classes;      ///< names of the outputs; empty if unknown
  Json compile, keygen, encrypt, run, decrypt;
  double compile_s = 0, keygen_s = 0, encrypt_s = 0, run_s = 0, decrypt_s = 0;  ///< of whole processes
};

/// Statistics of the difference between encrypted and plaintext outputs.
struct Comparison {
  std::vector<double> errors;  ///< largest |difference| of every input
  double largest = 0, rms = 0, spread = 0;
  std::size_t agree = 0, correct = 0;
};

std::size_t top(const Values& values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

double standard_deviation(const std::vector<Values>& outputs) {
  double sum = 0, squares = 0, count = 0;
  for (const Values& values : outputs) {
    for (const double value : values) {
      sum += value;
      squares += value * value;
      ++count;
    }
  }
  return std::sqrt(std::max(0.0, squares / count - sum / count * (sum / count)));
}

Comparison compare(const Inference& result) {
  Comparison out;
  double squares = 0, count = 0;
  for (std::size_t i = 0; i < result.plain.size(); ++i) {
    const Values& plain = result.plain[i];
    const Values& encrypted = result.encrypted[i];
    double largest = 0;
    for (std::size_t k = 0; k < plain.size(); ++k) {
      const double error = std::abs(static_cast<double>(plain[k]) - encrypted[k]);
      largest = std::max(largest, error);
      squares += error * error;
      ++count;
    }
    out.errors.push_back(largest);
    out.agree += top(plain) == top(encrypted) ? 1 : 0;
    out.correct += !result.labels.empty() && static_cast<std::int64_t>(top(encrypted)) == result.labels[i] ? 1 : 0;
  }
  out.largest = *std::max_element(out.errors.begin(), out.errors.end());
  out.rms = std::sqrt(squares / count);
  out.spread = standard_deviation(result.plain);
  return out;
}

class Chain {
 public:
  explicit Chain(const Options& options)
      : options_(options), folder_(options.keep.empty() ? temporary_.path() : fs::path(options.keep)) {}

  Inference run() {
    const nn::Graph graph = nn::import_onnx(options_.model);
    result_.classes =
        cli::read_class_names(options_.classes, static_cast<std::size_t>(nn::element_count(graph.output_shape())));
    const NpyArray images = read_inputs(graph.input_shape());
    const std::size_t available = service::count_inputs(images, graph.input_shape(), input_name());
    const std::size_t wanted = options_.count > 0 ? static_cast<std::size_t>(options_.count) : available;
    require(wanted <= available, ErrorKind::kInvalidArgument, "{} has {} inputs, {} were asked for", input_name(),
            available, wanted);
    read_labels(wanted, available);
    for (const char* const output :
         {"server.hearth", "client.hearth", "secret.key", "evaluation.key", "input.ct", "output.ct", "output.npy"}) {
      cli::require_no_input(path(output), files());
    }
    require(!fs::exists(path("secret.key")), ErrorKind::kInvalidArgument,
            "{} exists: replacing a secret key makes everything encrypted with it unreadable; --keep another folder, "
            "or remove it first",
            path("secret.key"));
    run_plaintext(graph, images, wanted);
    run_processes(wanted);
    return std::move(result_);
  }

 private:
  /// What encrypt makes of the inputs; it prints the warnings.
  NpyArray read_inputs(const nn::Shape& shape) const {
    if (options_.images.empty()) return read_npy(options_.input);
    const int resize = options_.image_resize.value_or(service::default_resize(shape));
    return service::read_images(options_.images, service::image_recipe(shape, resize)).inputs;
  }

  std::string input_name() const {
    return options_.images.empty() ? options_.input : fmt::format("{}", fmt::join(options_.images, ", "));
  }

  std::vector<fs::path> files() const {
    std::vector<fs::path> out{options_.model, options_.input, options_.labels, options_.calibration,
                              options_.classes.file};
    out.insert(out.end(), options_.images.begin(), options_.images.end());
    return out;
  }

  void read_labels(std::size_t wanted, std::size_t available) {
    if (options_.labels.empty()) return;
    const NpyArray labels = read_npy(options_.labels);
    require(labels.values.size() == available, ErrorKind::kMismatch, "{} has {} labels, but {} has {} inputs",
            options_.labels, labels.values.size(), input_name(), available);
    for (std::size_t i = 0; i < wanted; ++i) {
      result_.labels.push_back(static_cast<std::int64_t>(std::lround(labels.values[i])));
    }
  }

  void run_plaintext(const nn::Graph& graph, const NpyArray& images, std::size_t wanted) {
    for (std::size_t i = 0; i < wanted; ++i) {
      interrupts_.check();
      Values values = service::normalised(service::input_at(images, graph.input_shape(), i), options_.normalisation,
                                          graph.input_shape());
      result_.plain.push_back(nn::run(graph, {graph.input_shape(), std::move(values)}).data);
    }
  }

  void run_processes(std::size_t wanted) {
    const std::string server = path("server.hearth"), client = path("client.hearth");
    const std::string secret = path("secret.key"), evaluation = path("evaluation.key");
    std::vector<std::string> compile{options_.model, "--calibration",
                                     options_.calibration.empty() ? options_.input : options_.calibration, "-o",
                                     folder_.string()};
    if (options_.log_n > 0) compile.insert(compile.end(), {"--log-n", std::to_string(options_.log_n)});
    if (options_.insecure) compile.emplace_back("--insecure");
    add_normalisation(compile);
    add_outside(compile);
    result_.compile = step("hearth-compile", compile, result_.compile_s);
    result_.keygen = client_step({"keygen", client, "-o", folder_.string()}, result_.keygen_s);
    std::vector<std::string> encrypt{"encrypt", client, "--key", secret, "-o", path("input.ct")};
    if (options_.images.empty()) {
      encrypt.insert(encrypt.end(), {"--input", options_.input, "--count", std::to_string(wanted)});
    }
    for (const std::string& image : options_.images) encrypt.push_back("--image=" + image);
    result_.encrypt = client_step(std::move(encrypt), result_.encrypt_s);
    result_.run =
        step("hearth-run", {server, "--keys", evaluation, "--input", path("input.ct"), "-o", path("output.ct")},
             result_.run_s);
    result_.decrypt =
        client_step({"decrypt", client, "--key", secret, "--input", path("output.ct"), "-o", path("output.npy")},
                    result_.decrypt_s);
    read_outputs(wanted);
  }

  void add_normalisation(std::vector<std::string>& arguments) const {
    const compiler::Normalisation& n = options_.normalisation;
    arguments.push_back(fmt::format("--divide={}", n.divisor));
    if (!n.mean.empty()) arguments.push_back(fmt::format("--mean={}", fmt::join(n.mean, ",")));
    if (!n.deviation.empty()) arguments.push_back(fmt::format("--std={}", fmt::join(n.deviation, ",")));
  }

  void add_outside(std::vector<std::string>& arguments) const {
    if (options_.image_resize) arguments.push_back(fmt::format("--image-resize={}", *options_.image_resize));
    if (options_.classes.file.empty()) return;
    arguments.push_back("--classes=" + options_.classes.file);
    arguments.push_back(fmt::format("--class-offset={}", options_.classes.offset));
  }

  void read_outputs(std::size_t wanted) {
    const NpyArray outputs = read_npy(path("output.npy"));
    const std::size_t each = result_.plain.front().size();
    require(outputs.values.size() == wanted * each, ErrorKind::kInternal, "{} values were decrypted, expected {}",
            outputs.values.size(), wanted * each);
    for (auto at = outputs.values.begin(); at != outputs.values.end(); at += static_cast<std::ptrdiff_t>(each)) {
      result_.encrypted.emplace_back(at, at + static_cast<std::ptrdiff_t>(each));
    }
  }

  Json client_step(std::vector<std::string> arguments, double& seconds) {
    if (options_.insecure) arguments.emplace_back("--insecure");
    return step("hearth-client", arguments, seconds);
  }

  /// Runs one program with --json and returns what it printed.
  Json step(const std::string& program, std::vector<std::string> arguments, double& seconds) {
    interrupts_.check();
    const std::string name = program == "hearth-client" ? "hearth-client " + arguments.front() : program;
    arguments.emplace_back("--json");
    if (options_.common.quiet) arguments.emplace_back("--quiet");
    if (options_.common.threads > 0) {
      arguments.insert(arguments.end(), {"--threads", std::to_string(options_.common.threads)});
    }
    const cli::ProcessResult result = cli::run_process(cli::program_folder() / program, arguments);
    interrupts_.check();
    seconds = result.seconds;
    require(result.exit_code == 0, result.exit_code == cli::kBug ? ErrorKind::kInternal : ErrorKind::kInvalidArgument,
            "{} ended with exit code {}, see above", name, result.exit_code);
    Json json = Json::parse(result.output, nullptr, /*allow_exceptions=*/false);
    require(!json.is_discarded(), ErrorKind::kInternal, "{} did not print JSON", name);
    return json;
  }

  std::string path(const char* name) const { return (folder_ / name).string(); }

  const Options& options_;
  cli::InterruptScope interrupts_;  // before the folder: it outlives it
  cli::TemporaryFolder temporary_;
  fs::path folder_;
  Inference result_;
};

std::string image_table(const Inference& result, const Comparison& comparison) {
  std::string out =
      fmt::format("{:>5}  {:>5}  {:>9}  {:>9}  {:>12}\n", "image", "label", "plaintext", "encrypted", "logit error");
  for (std::size_t i = 0; i < result.plain.size(); ++i) {
    const std::string label = result.labels.empty() ? "-" : std::to_string(result.labels[i]);
    out += fmt::format("{:>5}  {:>5}  {:>9}  {:>9}  {:>12.2e}{}\n", i, label, top(result.plain[i]),
                       top(result.encrypted[i]), comparison.errors[i],
                       top(result.plain[i]) == top(result.encrypted[i]) ? "" : "  DIFFERENT");
  }
  return out;
}

std::vector<cli::RankedClass> ranking(const Options& options, const Inference& result, std::size_t i) {
  return cli::rank(result.encrypted[i], result.classes, static_cast<std::size_t>(options.top));
}

/// The likeliest classes of every input, as decrypted.
std::string rankings(const Options& options, const Inference& result) {
  std::string out;
  for (std::size_t i = 0; i < result.encrypted.size(); ++i) {
    out += fmt::format("{}\n{}\n", options.images.empty() ? fmt::format("image {}", i) : options.images[i],
                       cli::format_ranking(ranking(options, result, i)));
  }
  return out;
}

std::string summary(const Inference& r, const Comparison& c) {
  const auto number = [](const Json& json, const char* key) { return json.at(key).get<double>(); };
  const Json& prediction = r.compile.at("prediction");
  const std::size_t count = r.plain.size();
  const auto inputs = static_cast<double>(count);
  std::string agreement = fmt::format("{} of {} as in plaintext", c.agree, count);
  if (!r.labels.empty()) agreement += fmt::format(", {} of {} as labelled", c.correct, count);
  const double relative = c.spread > 0 ? c.largest / c.spread : 0;
  return cli::format_rows(
      {{"predictions", agreement},
       {"largest logit error", fmt::format("{:.2e} ({:.1e} of the logits' standard deviation)", c.largest, relative)},
       {"security",
        fmt::format("about {:.0f} bits (log2 QP = {:.1f}; 128 bits allow {:.0f})", number(prediction, "security_bits"),
                    number(prediction, "log_qp"), number(prediction, "log_qp_limit"))},
       {"ring degree, levels",
        fmt::format("2^{}, {}", prediction.at("log_n").get<int>(), prediction.at("levels").get<int>())},
       {"evaluation keys",
        fmt::format("{} ({} keys; {} in memory)", cli::format_bytes(number(r.keygen, "evaluation_key_bytes")),
                    r.keygen.at("key_count").get<int>(), cli::format_bytes(number(r.run, "key_bytes")))},
       {"secret key", cli::format_bytes(number(r.keygen, "secret_key_bytes"))},
       {"encrypted input", cli::format_bytes(number(r.encrypt, "bytes") / inputs) + " an image"},
       {"encrypted output", cli::format_bytes(number(r.run, "output_bytes") / inputs) + " an image"},
       {"time: compile", cli::format_seconds(r.compile_s)},
       {"      make keys", cli::format_seconds(r.keygen_s)},
       {"      encrypt", fmt::format("{} ({} an image)", cli::format_seconds(r.encrypt_s),
                                     cli::format_seconds(number(r.encrypt, "seconds") / inputs))},
       {"      run",
        fmt::format("{} ({} an image on {} threads)", cli::format_seconds(r.run_s),
                    cli::format_seconds(number(r.run, "seconds_per_input")), r.run.at("threads").get<int>())},
       {"      decrypt", fmt::format("{} ({} an image)", cli::format_seconds(r.decrypt_s),
                                     cli::format_seconds(number(r.decrypt, "seconds") / inputs))},
       {"server peak memory", cli::format_bytes(number(r.run, "peak_bytes"))}});
}

Json as_json(const Options& options, const Inference& r, const Comparison& c) {
  Json images = Json::array();
  for (std::size_t i = 0; i < r.plain.size(); ++i) {
    Json image = {{"plaintext", top(r.plain[i])}, {"encrypted", top(r.encrypted[i])}, {"error", c.errors[i]}};
    if (!r.labels.empty()) image["label"] = r.labels[i];
    if (!options.images.empty()) image["file"] = options.images[i];
    image["top"] = cli::to_json(ranking(options, r, i));
    images.push_back(image);
  }
  return {{"images", images},
          {"agree", c.agree},
          {"largest_error", c.largest},
          {"rms_error", c.rms},
          {"logit_std", c.spread},
          {"process_seconds",
           {{"compile", r.compile_s},
            {"keygen", r.keygen_s},
            {"encrypt", r.encrypt_s},
            {"run", r.run_s},
            {"decrypt", r.decrypt_s}}},
          {"compile", r.compile},
          {"keygen", r.keygen},
          {"encrypt", r.encrypt},
          {"run", r.run}};
}

void infer(const Options& options) {
  if (options.calibration.empty()) {
    cli::warn(options.common, "no --calibration given: ranges come from the inputs themselves");
  }
  const Inference result = Chain(options).run();
  const Comparison comparison = compare(result);
  cli::emit(options.common, as_json(options, result, comparison),
            image_table(result, comparison) + "\n" + (options.rankings ? rankings(options, result) : "") +
                summary(result, comparison));
}

void add_inputs(CLI::App& app, Options& options) {
  CLI::App& inputs = *app.add_option_group("Inputs");
  inputs.require_option(1);
  inputs.add_option("--input", options.input, "Inputs: one, or several stacked")->type_name("FILE.npy");
  auto* images =
      inputs.add_option("--image", options.images, "PNG or JPEG images of any size, one or more")->type_name("FILE");
  auto* calibration =
      app.add_option("--calibration", options.calibration,
                     "Typical inputs (default: the inputs themselves, but images need them to be given)")
          ->type_name("FILE.npy");
  app.add_option("--count", options.count, "Use only the first K inputs")
      ->check(CLI::PositiveNumber)
      ->type_name("K")
      ->excludes(images);
  images->needs(calibration);
  app.add_option("--labels", options.labels, "Right answers, one an input")->type_name("FILE.npy");
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("model", options.model, "The network as ONNX")->required()->type_name("MODEL.onnx");
  add_inputs(app, options);
  cli::add_normalisation(app, options.normalisation.divisor, options.normalisation.mean,
                         options.normalisation.deviation);
  cli::add_image_resize(app, options.image_resize);
  cli::add_class_options(app, options.classes);
  const CLI::Option* top = cli::add_top_option(app, options.top);
  app.add_option("--log-n", options.log_n, "log2 of the ring degree")->check(CLI::Range(11, 17))->type_name("N");
  app.add_option("--keep", options.keep, "Work in this folder and keep all files, the secret key included")
      ->type_name("FOLDER");
  app.add_flag("--insecure", options.insecure, "Allow less than 128 bits of security (experiments only)");
  cli::add_common_options(app, options.common);
  app.callback([&options, top] {
    options.rankings = !options.images.empty() || !options.classes.file.empty() || top->count() > 0;
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compiles a model, makes keys, encrypts, runs, decrypts, and compares with plaintext", "hearth infer");
  app.footer(
      "Example:\n  hearth infer model.onnx --input images.npy --labels labels.npy --count 4\n"
      "  hearth infer model.onnx --calibration images.npy --image photo.jpg --classes names.txt\n\n"
      "Every step is a process of its own over files, as in real use: the one that runs the model never sees "
      "the secret key.");
  Options options;
  add_options(app, options);
  return cli::run_command(app, argc, argv, options.common, [&] { infer(options); });
}
