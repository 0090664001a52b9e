#include "service/server.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::service {
namespace {

/// None where nothing was predicted.
std::vector<double> predicted_costs(const compiler::Prediction& prediction) {
  const std::vector<double>& times = prediction.instruction_seconds;
  const bool useful = std::ranges::any_of(times, [](double seconds) { return seconds > 0; });
  return useful ? times : std::vector<double>();
}

}  // namespace

Server::Server(const std::filesystem::path& bundle, const ProgressFunction& progress) : name_(bundle.string()) {
  compiler::Program program = open(bundle);
  executor_ = std::make_unique<runtime::Executor>(parameters_, std::move(program), progress);
}

Server::Server(const std::filesystem::path& bundle, runtime::MemoryOptions memory, const ProgressFunction& progress)
    : name_(bundle.string()) {
  compiler::Program program = open(bundle);
  executor_ = std::make_unique<runtime::Executor>(parameters_, std::move(program), std::move(memory),
                                                  predicted_costs(prediction_), progress);
}

/// All of a server but its executor.
compiler::Program Server::open(const std::filesystem::path& bundle) {
  compiler::ServerBundle contents = compiler::read_server_bundle(bundle);
  prediction_ = contents.prediction;
  parameters_ = ckks::Parameters::create(contents.program.parameters);
  binding_ = {.model = contents.program.model, .model_id = contents.model_id, .parameters_id = parameters_->id()};
  return std::move(contents.program);
}

ClientKeys Server::load_keys(const std::filesystem::path& file, const ProgressFunction& progress) const {
  const EvaluationKeyFile keys(file);
  require_same_model(keys.binding(), keys.name(), binding_, name_);
  return {.binding = keys.binding(), .file = keys.name(), .checksum = keys.checksum(), .keys = load(keys, progress)};
}

ckks::EvaluationKeys Server::load(const EvaluationKeyFile& file, const ProgressFunction& progress) const {
  if (residency() == nullptr) return file.load(*parameters_, program().keys, progress);
  const auto store = [&](const ckks::KeyName& name, const ckks::SwitchingKey& key) {
    return executor_->store_key(name, key);
  };
  return file.load_through(*parameters_, program().keys, store, progress);
}

CiphertextHead Server::check_input(const CiphertextFile& input, const ClientKeys& keys) const {
  input.require_role(CiphertextRole::kInput);
  require_same_model(input.head().binding, input.name(), binding_, name_);
  require_same_model(keys.binding, keys.file, binding_, name_);
  require_same_key(input.head().binding, input.name(), keys.binding, keys.file);
  const int expected = program().input().ciphertexts;
  require(input.head().ciphertexts == static_cast<std::uint32_t>(expected), ErrorKind::kMismatch,
          "{} has {} ciphertexts an input, the model \"{}\" expects {}", input.name(), input.head().ciphertexts,
          program().model, expected);
  return input.head();
}

CiphertextHead Server::output_head(CiphertextHead input) const {
  const auto& result = program().instructions[static_cast<std::size_t>(program().output)];
  input.role = CiphertextRole::kOutput;
  input.seeded = false;
  input.ciphertexts = static_cast<std::uint32_t>(result.ciphertexts);
  return input;
}

runtime::RunHooks Server::hooks(std::uint32_t input, std::uint32_t inputs, const LayerProgress& progress,
                                const std::function<void()>& checkpoint) const {
  runtime::RunHooks hooks;
  hooks.costs = predicted_costs(prediction_);
  hooks.checkpoint = checkpoint;
  if (progress) {
    hooks.progress = [=, &progress](double done, double total, const std::string& layer) {
      progress(input + done / total, inputs, layer);
    };
  }
  return hooks;
}

void Server::run(const ClientKeys& keys, const std::filesystem::path& input, const std::filesystem::path& output,
                 std::vector<runtime::RunReport>* reports, const LayerProgress& progress,
                 const std::function<void()>& checkpoint) const {
  const CiphertextFile in(input);
  const CiphertextHead head = check_input(in, keys);
  CiphertextWriter out(output, output_head(head), parameters_->spec());
  for (std::uint32_t i = 0; i < head.tensors; ++i) {
    runtime::RunReport report;
    out.add(executor_->run(keys.keys, in.read(*parameters_, i), &report, hooks(i, head.tensors, progress, checkpoint)));
    if (reports) reports->push_back(std::move(report));
  }
  out.finish();
}

}  // namespace hearth::service
