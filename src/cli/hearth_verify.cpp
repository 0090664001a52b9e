#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/container.h"
#include "base/error.h"
#include "base/npy.h"
#include "ckks/secret/encryption.h"
#include "cli/common/command.h"
#include "cli/model/model_options.h"
#include "runtime/executor.h"
#include "service/client/client.h"
#include "service/wire/ciphertext_file.h"
#include "service/wire/input_batch.h"

// For developers: runs a compiled model on an encrypted input with the secret key at hand, and compares every value on
// the way with plaintext. The only program that holds both the server's code and the client's.
namespace {

using namespace hearth;
using cli::Json;
using Vector = std::vector<double>;

struct Options {
  cli::CommonOptions common;
  cli::ModelOptions model;
  std::string server, client, keys, secret, input;
  std::size_t index = 0;
};

/// How one instruction's result compares with plaintext.
struct LayerReport {
  std::size_t instruction = 0;
  std::string name, op;
  int level = 0, ciphertexts = 0;
  double seconds = 0;
  double rms = 0, largest = 0;              ///< of the plaintext values
  double rms_error = 0, max_error = 0;      ///< against plaintext: all that happened so far
  double own_error = 0;                     ///< rms, against the operation on the decrypted operands: its noise alone
  double predicted = 0, predicted_own = 0;  ///< rms, by the compiler
  double range = 0, half_period = 0;        ///< of an activation's operand; 0 for others
  double operand = 0;                       ///< largest |operand| of an activation, decrypted

  double bits() const { return rms_error > 0 && rms > 0 ? std::log2(rms / rms_error) : 0; }
};

double rms_of(const Vector& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return values.empty() ? 0 : std::sqrt(sum / static_cast<double>(values.size()));
}

double largest_of(const Vector& values) {
  double largest = 0;
  for (const double v : values) largest = std::max(largest, std::abs(v));
  return largest;
}

Vector difference(const Vector& a, const Vector& b) {
  require(a.size() == b.size(), ErrorKind::kInternal, "a layer of {} values was decrypted to {}", b.size(), a.size());
  Vector out(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) out[i] = a[i] - b[i];
  return out;
}

class Verification {
 public:
  Verification(const Options& options, compiler::Compiled compiled)
      : options_(options),
        compiled_(std::move(compiled)),
        client_(options.client, options.model.insecure),
        secret_(client_.load_secret(options.secret)),
        encoder_(parameters()) {
    require(client_.bundle().model_id == compiled_.client.model_id, ErrorKind::kMismatch,
            "{} was compiled from another model, with other calibration inputs or other options than those given here: "
            "verify needs the same as compile got",
            options.client);
  }

  std::vector<LayerReport> run() {
    compiler::ServerBundle bundle = compiler::read_server_bundle(options_.server);
    require(bundle.model_id == compiled_.client.model_id, ErrorKind::kMismatch, "{} and {} belong to different models",
            options_.server, options_.client);
    cli::Stage loading("Loading the model");
    const runtime::Executor executor(parameters(), std::move(bundle.program), loading.reporter());
    loading.finish();
    const ckks::EvaluationKeys keys = load_keys(executor.program());
    std::vector<ckks::Ciphertext> input = encrypted_input();
    decrypted_.resize(executor.program().instructions.size());
    cli::Stage running("Evaluating", compiled_.server.prediction.seconds);
    runtime::RunHooks hooks;
    hooks.progress = running.detailed_reporter();
    hooks.observer = [&](std::size_t i, const std::vector<ckks::Ciphertext>& result) {
      decrypted_[i] = decode(i, result);
    };
    runtime::RunReport times;
    executor.run(keys, std::move(input), &times, hooks);
    running.finish();
    return compare(executor.program(), times);
  }

 private:
  ckks::ParametersPtr parameters() {
    if (!parameters_) parameters_ = ckks::Parameters::create(client_.bundle().parameters);
    return parameters_;
  }

  ckks::EvaluationKeys load_keys(const compiler::Program& program) {
    const service::EvaluationKeyFile file(options_.keys);
    service::require_same_model(file.binding(), file.name(), secret_.binding, options_.secret);
    service::require_same_key(file.binding(), file.name(), secret_.binding, options_.secret);
    cli::Stage stage("Loading keys");
    return file.load(*parameters(), program.keys, stage.reporter());
  }

  static bool is_ciphertext_file(const std::string& path) { return std::filesystem::path(path).extension() != ".npy"; }

  /// An encrypted input as it is, a plain one encrypted here. What it holds is what decrypting it gives.
  std::vector<ckks::Ciphertext> encrypted_input() {
    if (is_ciphertext_file(options_.input)) {
      const service::CiphertextFile file(options_.input);
      file.require_role(service::CiphertextRole::kInput);
      service::require_same_model(file.head().binding, file.name(), secret_.binding, options_.secret);
      service::require_same_key(file.head().binding, file.name(), secret_.binding, options_.secret);
      check_index(file.head().tensors);
      return file.read(*parameters(), static_cast<std::uint32_t>(options_.index));
    }
    const NpyArray array = read_npy(options_.input);
    const auto& shape = client_.bundle().input_shape;
    check_index(service::count_inputs(array, shape, options_.input));
    const std::vector<float> raw = service::input_at(array, shape, options_.index);
    const std::vector<float> values = service::normalised(raw, client_.bundle().normalisation, shape);
    plain_input_.assign(values.begin(), values.end());
    std::vector<ckks::Ciphertext> out;
    for (auto& seeded : client_.encrypt(secret_, raw)) out.push_back(ckks::expand(*parameters(), std::move(seeded)));
    return out;
  }

  void check_index(std::size_t available) const {
    require(options_.index < available, ErrorKind::kInvalidArgument, "{} has {} inputs, number {} was asked for",
            options_.input, available, options_.index);
  }

  /// Elements in the order of the node that instruction `i` was written for.
  Vector decode(std::size_t i, const std::vector<ckks::Ciphertext>& ciphertexts) {
    const compiler::Layout& layout = compiled_.plan.layouts[node_of(i)];
    std::vector<std::vector<std::complex<double>>> slots;
    for (const ckks::Ciphertext& c : ciphertexts) slots.push_back(ckks::decrypt_slots(secret_.key, encoder_, c));
    Vector out;
    for (const compiler::Place& place : layout.places) {
      const bool absent = place.ciphertext < 0;
      out.push_back(
          absent
              ? 0
              : slots.at(static_cast<std::size_t>(place.ciphertext)).at(static_cast<std::size_t>(place.slot)).real());
    }
    return out;
  }

  std::size_t node_of(std::size_t instruction) const {
    const compiler::Lowered& lowered = compiled_.lowered;
    for (std::size_t n = 0; n < lowered.value_of_node.size(); ++n) {
      if (lowered.made_by_node[n] && static_cast<std::size_t>(lowered.value_of_node[n]) == instruction) return n;
    }
    fail(ErrorKind::kInternal, "instruction {} belongs to no layer", instruction);
  }

  std::vector<LayerReport> compare(const compiler::Program& program, const runtime::RunReport& times) {
    const compiler::ArithGraph& graph = compiled_.plan.graph;
    const Vector& input = plain_input_.empty() ? decrypted_[0] : plain_input_;
    const std::vector<Vector> exact = compiler::evaluate(graph, input);
    std::vector<LayerReport> reports;
    // Evaluated a second time, every value is replaced by what was decrypted, so that each operation is seen alone.
    compiler::evaluate(graph, input, [&](std::size_t node, Vector& value) {
      if (!compiled_.lowered.made_by_node[node]) return;
      const auto i = static_cast<std::size_t>(compiled_.lowered.value_of_node[node]);
      LayerReport report = describe(i, program.instructions[i], times.stages.at(i).seconds);
      const Vector error = difference(decrypted_[i], exact[node]);
      report.rms = rms_of(exact[node]);
      report.largest = largest_of(exact[node]);
      report.rms_error = rms_of(error);
      report.max_error = largest_of(error);
      report.own_error = rms_of(difference(decrypted_[i], value));
      if (const auto* f = std::get_if<compiler::arith::Activation>(&graph.nodes[node].op)) {
        report.range = f->series.bound;
        report.half_period = f->series.half_period();
        const auto& op = std::get<compiler::ActivationOp>(program.instructions[i].op);
        report.operand = largest_of(decrypted_[static_cast<std::size_t>(op.x)]);
      }
      value = decrypted_[i];
      reports.push_back(std::move(report));
    });
    return reports;
  }

  LayerReport describe(std::size_t i, const compiler::Instruction& ins, double seconds) const {
    LayerReport report;
    report.instruction = i;
    report.name = ins.name;
    report.op = compiler::op_name(ins.op);
    report.level = ins.level;
    report.ciphertexts = ins.ciphertexts;
    report.seconds = seconds;
    report.predicted = compiled_.lowered.error.at(i);
    report.predicted_own = compiled_.lowered.added_noise.at(i);
    return report;
  }

  const Options& options_;
  compiler::Compiled compiled_;
  service::Client client_;
  service::ClientSecret secret_;
  ckks::ParametersPtr parameters_;
  ckks::Encoder encoder_;
  Vector plain_input_;             // empty when the input came encrypted
  std::vector<Vector> decrypted_;  // one an instruction
};

std::string table(const std::vector<LayerReport>& reports) {
  std::string text = fmt::format("{:>4} {:<10} {:>5} {:>9} {:>9} {:>9} {:>9} {:>5} {:>9} {:>9}  {}\n", "", "op",
                                 "level", "rms", "max err", "rms err", "relative", "bits", "predicted", "own", "layer");
  for (const LayerReport& r : reports) {
    text +=
        fmt::format("{:>4} {:<10} {:>5} {:>9.3g} {:>9.2e} {:>9.2e} {:>9.2e} {:>5.1f} {:>9.2e} {:>9.2e}  {}\n",
                    r.instruction, r.op, r.level, r.rms, r.max_error, r.rms_error, r.rms > 0 ? r.rms_error / r.rms : 0,
                    r.bits(), r.predicted, r.own_error, cli::printable(r.name));
    if (r.range > 0) {
      text += fmt::format("{:>16} operands up to {:.4g}, {:.0f} % of the range {:.4g}{}\n", "", r.operand,
                          100 * r.operand / r.range, r.range,
                          r.operand > r.half_period ? ": WRAPPED"
                          : r.operand > r.range     ? ": saturated"
                                                    : "");
    }
  }
  return text;
}

Json as_json(const std::vector<LayerReport>& reports) {
  Json out = Json::array();
  for (const LayerReport& r : reports) {
    Json layer = {{"instruction", r.instruction},
                  {"name", r.name},
                  {"op", r.op},
                  {"level", r.level},
                  {"ciphertexts", r.ciphertexts},
                  {"seconds", r.seconds},
                  {"rms", r.rms},
                  {"largest", r.largest},
                  {"max_error", r.max_error},
                  {"rms_error", r.rms_error},
                  {"relative_error", r.rms > 0 ? r.rms_error / r.rms : 0},
                  {"bits", r.bits()},
                  {"predicted_error", r.predicted},
                  {"own_error", r.own_error},
                  {"predicted_own_error", r.predicted_own}};
    if (r.range > 0) {
      layer["range"] = r.range;
      layer["half_period"] = r.half_period;
      layer["largest_operand"] = r.operand;
    }
    out.push_back(layer);
  }
  return out;
}

void verify(const Options& options) {
  compiler::Compiled compiled = cli::compile_model(options.model, options.common);
  const std::string model = compiled.client.model;
  const std::vector<LayerReport> reports = Verification(options, std::move(compiled)).run();
  cli::emit(options.common, {{"model", model}, {"layers", as_json(reports)}}, table(reports));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compares every layer of an encrypted run with plaintext. For developers: it needs the secret key",
               "hearth verify");
  app.footer(
      "Example:\n  hearth verify model.onnx --calibration images.npy --server out/server.hearth --client "
      "out/client.hearth --keys keys/evaluation.key --key keys/secret.key --input images.npy\n\n"
      "Options that decide what is compiled must be those that hearth compile was given.\n"
      "max err, rms err: against plaintext with exact activations; relative and bits: to the rms of the layer;\n"
      "predicted: rms error that the compiler expects; own: rms noise of the operation alone, and what the copies of "
      "its operands in other slots differ by.\n"
      "Never give a server the secret key, and keep what this prints to yourself: differences of decrypted values from "
      "plaintext can reveal the key.");
  Options options;
  cli::add_model_options(app, options.model);
  app.add_option("--server", options.server, "Server bundle, from hearth compile")->required()->type_name("FILE");
  app.add_option("--client", options.client, "Client bundle, from hearth compile")->required()->type_name("FILE");
  app.add_option("--keys", options.keys, "Evaluation keys, from hearth keygen")->required()->type_name("FILE");
  app.add_option("--key", options.secret, "Secret key, from hearth keygen")->required()->type_name("FILE");
  app.add_option("--input", options.input, "Inputs as .npy, or encrypted ones")->required()->type_name("FILE");
  app.add_option("--index", options.index, "Which of the inputs, counted from 0")
      ->capture_default_str()
      ->type_name("I");
  cli::add_common_options(app, options.common);
  return cli::run_command(app, argc, argv, options.common, [&] { verify(options); });
}
