#include <numeric>

#include "base/error.h"
#include "service/server.h"

// Server::run with a checkpoint folder: every output is in the folder before the first is in the output file.
namespace hearth::service {
namespace {

ResumePoint resume_point(const runtime::Checkpoint& kept, const compiler::Program& program, std::uint32_t inputs) {
  const auto all = static_cast<std::uint32_t>(program.instructions.size());
  if (kept.input() == inputs) return {.input = inputs - 1, .instruction = all, .layer = ""};
  const auto next = static_cast<std::uint32_t>(kept.seconds().size());
  return {.input = kept.input(), .instruction = next, .layer = program.instructions[next].name};
}

std::vector<double> seconds_of(const runtime::RunReport& report) {
  std::vector<double> out;
  for (const auto& stage : report.stages) out.push_back(stage.seconds);
  return out;
}

void write_outputs(const runtime::Checkpoint& kept, CiphertextWriter& writer, const std::filesystem::path& folder) {
  try {
    for (std::uint32_t i = 0; i < kept.input(); ++i) writer.add(kept.output(i).value);
    writer.finish();
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("{}; all results are in {}: the same command writes them again", error.what(),
                                          folder.string()));
  }
}

}  // namespace

/// As the executor reports, of instructions that took these times.
runtime::RunReport Server::report_of(const std::vector<double>& seconds) const {
  runtime::RunReport report;
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    const compiler::Instruction& instruction = program().instructions.at(i);
    report.stages.push_back({instruction.name, op_name(instruction.op), seconds[i]});
  }
  report.seconds = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  return report;
}

runtime::Checkpoint Server::open_checkpoint(const ClientKeys& keys, const CiphertextFile& input,
                                            const Checkpointing& keeping) const {
  const std::uint32_t inputs = input.head().tensors;
  return {keeping.folder,
          {.model = binding_.model,
           .model_id = binding_.model_id,
           .parameters_id = binding_.parameters_id,
           .key_id = keys.binding.key_id,
           .keys = keys.checksum,
           .input = input.checksum(),
           .inputs = inputs,
           .program = HEARTH_VERSION},
          program(),
          *parameters_,
          {keeping.every, inputs * prediction_.seconds}};
}

KeptRun Server::run_kept(const ClientKeys& keys, const std::filesystem::path& input,
                         const std::filesystem::path& output, const Checkpointing& keeping,
                         std::vector<runtime::RunReport>* reports, const LayerProgress& progress,
                         const std::function<void()>& checkpoint) const {
  const CiphertextFile in(input);
  const CiphertextHead head = output_head(check_input(in, keys));
  // Written at the end only, so that a killed run leaves nothing beside it; but refused now if it cannot be.
  { const CiphertextWriter probe(output, head, parameters_->spec()); }
  runtime::Checkpoint kept = open_checkpoint(keys, in, keeping);
  KeptRun out;
  if (kept.resumed()) out.resumed = resume_point(kept, program(), head.tensors);
  if (out.resumed && keeping.resumed) keeping.resumed(*out.resumed);
  const auto report = [&](runtime::RunReport&& of) {
    if (reports) reports->push_back(std::move(of));
  };
  for (std::uint32_t i = 0; i < kept.input(); ++i) report(report_of(kept.output(i).seconds));
  for (std::uint32_t i = kept.input(); i < head.tensors; ++i) {
    runtime::RunReport times = report_of(kept.seconds());
    runtime::RunState state = kept.state();
    // Only the input's own value, which is the first, can be empty.
    if (state.values.front().empty()) state.values.front() = in.read(*parameters_, i);
    runtime::RunHooks hooks = this->hooks(i, head.tensors, progress, checkpoint);
    hooks.save = [&](std::size_t done, const runtime::ResultLookup& result) {
      kept.save(done, seconds_of(times), result);
    };
    executor_->resume(keys.keys, std::move(state), &times, hooks);
    report(std::move(times));
  }
  CiphertextWriter writer(output, head, parameters_->spec());
  write_outputs(kept, writer, keeping.folder);
  kept.remove();
  out.cost = kept.cost();
  return out;
}

}  // namespace hearth::service
