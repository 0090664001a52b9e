#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/npy.h"
#include "base/parallel.h"
#include "bench/report.h"
#include "cli/common/process.h"
#include "compiler/compile.h"
#include "nn/onnx_import.h"
#include "runtime/executor.h"
#include "service/client/client.h"
#include "service/wire/input_batch.h"

// One real network on real images, as the table asks: mnist_square_cnn on MNIST, two threads, 128-bit security.
namespace {

using namespace hearth;
namespace fs = std::filesystem;

constexpr int kThreads = 2;
constexpr std::size_t kCalibration = 64;
constexpr int kRepetitions = 15;
constexpr int kProcesses = 5;
/// Time to spend on comparing with plaintext; decides how many images are compared.
constexpr double kComparisonSeconds = 90;

struct Data {
  NpyArray images = read_npy(folder() / "mnist/images_u8.npy");
  NpyArray logits = read_npy(folder() / "mnist/mnist_square_cnn_logits.npy");

  static fs::path folder() { return "../shared/data"; }
  static fs::path model() { return folder() / "models/mnist_square_cnn.onnx"; }
  static bool present() { return fs::exists(model()) && fs::exists(folder() / "mnist/images_u8.npy"); }
  std::size_t count() const { return static_cast<std::size_t>(images.shape.front()); }
};

compiler::Compiled compile(const Data& data) {
  const nn::Graph graph = nn::import_onnx(Data::model());
  const compiler::Normalisation normalisation{.divisor = 255, .mean = {0.1307}, .deviation = {0.3081}};
  std::vector<nn::Tensor> calibration;
  for (std::size_t i = 0; i < kCalibration; ++i) {
    const auto raw = service::input_at(data.images, graph.input_shape(), i);
    calibration.emplace_back(graph.input_shape(), service::normalised(raw, normalisation, graph.input_shape()));
  }
  compiler::CompileOptions options;
  options.threads = kThreads;
  compiler::Compiled compiled = compiler::compile(graph, calibration, options);
  compiled.client.normalisation = normalisation;
  return compiled;
}

/// Both sides in this process, keys and bundles also as files.
class Session {
 public:
  Session(const Data& data, const compiler::Compiled& compiled)
      : data_(data),
        folder_(compiled),
        client_(path("client")),
        secret_(make_secret()),
        keys_(service::EvaluationKeyFile(path("keys")).load(client_.parameters(), compiled.client.keys)),
        executor_(ckks::Parameters::create(compiled.client.parameters), compiled.server.program) {
    client_.encrypt_file(secret_, data.images, "images", 0, 1, path("input"));
  }

  std::vector<ckks::Ciphertext> encrypt(std::size_t index) const {
    std::vector<ckks::Ciphertext> out;
    const auto raw = service::input_at(data_.images, client_.bundle().input_shape, index);
    for (const auto& c : client_.encrypt(secret_, raw)) out.push_back(ckks::expand(client_.parameters(), c));
    return out;
  }
  std::vector<ckks::Ciphertext> evaluate(const std::vector<ckks::Ciphertext>& input) const {
    std::vector<ckks::Ciphertext> copy;
    for (const auto& c : input) copy.push_back(c.clone());
    return executor_.run(keys_, std::move(copy));
  }
  std::vector<float> classify(std::size_t index) const { return client_.decrypt(secret_, evaluate(encrypt(index))); }
  std::string path(const char* name) const { return (folder_.path() / name).string(); }

 private:
  struct Folder : cli::TemporaryFolder {
    explicit Folder(const compiler::Compiled& compiled) {
      compiler::write_bundle(path() / "server", compiled.server);
      compiler::write_bundle(path() / "client", compiled.client);
    }
  };
  service::ClientSecret make_secret() const {
    client_.make_keys(path("secret"), path("keys"));
    return client_.load_secret(path("secret"));
  }

  const Data& data_;
  Folder folder_;
  service::Client client_;
  service::ClientSecret secret_;
  ckks::EvaluationKeys keys_;
  runtime::Executor executor_;
};

void add_evaluation_time(bench::Report& report, const Session& session) {
  const auto input = session.encrypt(0);
  const bench::Timing timing = bench::measure(kRepetitions, [&] { session.evaluate(input); });
  fmt::print("one image, {} threads: {:.4f} s (median of {}; fastest {:.4f} s)\n", kThreads, timing.median * 1e-6,
             kRepetitions, timing.minimum * 1e-6);
  report.add("mnist_2core_s", timing.median * 1e-6, "s");
  report.add("mnist_2core_min_s", timing.minimum * 1e-6, "s");
}

/// The server as users run it: a process that reads bundle, keys and input, and writes the output.
void add_process(bench::Report& report, const Session& session) {
  std::vector<double> seconds;
  double peak = 0;
  for (int i = 0; i < kProcesses; ++i) {
    const cli::ProcessResult result = cli::run_process(
        HEARTH_RUN, {session.path("server"), "--keys", session.path("keys"), "--input", session.path("input"), "-o",
                     session.path("output"), "--threads", std::to_string(kThreads), "--json"});
    if (result.exit_code != 0) throw std::runtime_error("hearth-run failed");
    // The process tells its own peak: what the kernel tells a parent starts from the parent's peak.
    peak = std::max(peak, nlohmann::json::parse(result.output).at("peak_bytes").get<double>());
    seconds.push_back(result.seconds);
  }
  std::sort(seconds.begin(), seconds.end());
  report.add("mnist_process_s", seconds[seconds.size() / 2], "s");
  report.add("mnist_peak_gib", peak / (1 << 30), "GiB");
}

struct Difference {
  std::size_t images = 0, agreeing = 0, values = 0;
  double largest = 0, squares = 0;
  double sum = 0, sum_of_squares = 0;  ///< of the plaintext logits

  void add(std::span<const float> plain, std::span<const float> encrypted) {
    const auto top = [](std::span<const float> v) { return std::max_element(v.begin(), v.end()) - v.begin(); };
    for (std::size_t k = 0; k < plain.size(); ++k) {
      const double error = static_cast<double>(encrypted[k]) - plain[k];
      largest = std::max(largest, std::abs(error));
      squares += error * error;
      sum += plain[k];
      sum_of_squares += static_cast<double>(plain[k]) * plain[k];
    }
    values += plain.size();
    ++images;
    agreeing += top(plain) == top(encrypted) ? 1 : 0;
  }
  double spread() const {
    const auto count = static_cast<double>(values);
    return std::sqrt(sum_of_squares / count - sum / count * (sum / count));
  }
};

void add_agreement(bench::Report& report, const Data& data, const Session& session, double seconds_each) {
  const auto affordable = static_cast<std::size_t>(kComparisonSeconds / seconds_each);
  const std::size_t images = std::min(data.count(), std::max<std::size_t>(affordable, 100));
  Difference difference;
  for (std::size_t i = 0; i < images; ++i) {
    const std::vector<float> logits = session.classify(i);
    difference.add(std::span(data.logits.values).subspan(i * logits.size(), logits.size()), logits);
  }
  const double rms = std::sqrt(difference.squares / static_cast<double>(difference.values));
  fmt::print("{} images: largest logit error {:.3g}, rms {:.3g}, standard deviation of plaintext logits {:.3g}\n",
             difference.images, difference.largest, rms, difference.spread());
  report.add("mnist_images", static_cast<double>(difference.images), "images");
  report.add("mnist_label_agreement", static_cast<double>(difference.agreeing) / static_cast<double>(difference.images),
             "share");
  report.add("mnist_logit_error", difference.largest / difference.spread(), "of std");
  report.add("mnist_logit_rms_error", rms / difference.spread(), "of std");
}

int run(bench::Report& report) {
  set_threads(kThreads);
  const Data data;
  const compiler::Compiled compiled = compile(data);
  const auto& prediction = compiled.client.prediction;
  const Session session(data, compiled);
  add_evaluation_time(report, session);
  report.add("mnist_predicted_s", prediction.seconds, "s");
  add_process(report, session);
  report.add("mnist_predicted_peak_gib", prediction.peak_bytes / (1 << 30), "GiB");
  report.add("mnist_security_bits", prediction.security_bits, "bits");
  report.add("mnist_key_bytes", static_cast<double>(fs::file_size(session.path("keys"))), "B");
  const bench::Timing once = bench::measure(1, [&] { session.classify(0); });
  add_agreement(report, data, session, once.median * 1e-6);
  return report.finish();
}

}  // namespace

int main(int argc, char** argv) {
  bench::Report report("mnist", argc, argv);
  if (!Data::present()) {
    fmt::print("skipped: no MNIST images and model in {}\n", Data::folder().string());
    return 0;
  }
  try {
    return run(report);
  } catch (const std::exception& error) {
    fmt::print(stderr, "mnist_bench: {}\n", error.what());
    return 1;
  }
}
