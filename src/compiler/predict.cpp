#include "compiler/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/parallel.h"
#include "base/scratch.h"
#include "compiler/program/encoding.h"
#include "ring/random.h"

namespace hearth::compiler {
namespace {

double poly_bytes(const ckks::Parameters& parameters, std::size_t limbs) {
  return 4.0 * static_cast<double>(parameters.n()) * static_cast<double>(limbs);
}

/// Costs of this machine at the levels that a program works at.
MachineCosts measure_for(const std::vector<Work>& work, const ckks::ParametersPtr& parameters) {
  std::set<int> levels;
  for (const Work& w : work) {
    for (const auto& [level, counts] : w) levels.insert(level);
  }
  if (levels.empty()) levels.insert(parameters->max_level());
  return measure_machine(parameters, {levels.begin(), levels.end()});
}

double bytes_of(const ckks::LinearMap& map) {
  double bytes = 0;
  for (const auto& [block, diagonals] : map.blocks) {
    for (const auto& [r, d] : diagonals) bytes += 8.0 * static_cast<double>(d.size()) + 100;
  }
  return bytes;
}

template <typename Matrix>
double bytes_of(const std::shared_ptr<const Matrix>& matrix) {
  return static_cast<double>(matrix->bytes());
}

/// Bytes of weights that are not encoded: all while the program is loaded, later those of maps that are encoded in
/// every run.
double program_bytes(const Program& program) {
  double bytes = 0;
  for (const Instruction& ins : program.instructions) {
    if (const auto* op = std::get_if<LinearOp>(&ins.op)) {
      bytes += std::visit([](const auto& map) { return bytes_of(map); }, op->map);
    }
  }
  return bytes;
}

double key_bytes(const Program& program, const ckks::Parameters& parameters) {
  double bytes = 0;
  const auto one = [&](int set) {
    const int top = parameters.spec().key_sets[static_cast<std::size_t>(set)].max_level;
    const auto digits = parameters.digits(set, top).size();
    return static_cast<double>(digits) * poly_bytes(parameters, parameters.qp_basis(top, set).size());
  };
  for (const ckks::KeyName& key : ckks::key_names(program.keys, parameters.key_set_count() - 1)) bytes += one(key.set);
  return bytes;
}

/// Bytes of the encoded factors of a bootstrap's embeddings.
double embedding_bytes(const Program& program, const ckks::Parameters& parameters) {
  double bytes = 0;
  if (!program.bootstrap) return bytes;
  for (const EmbeddingFactor& factor : embedding_factors(*program.bootstrap, parameters)) {
    double words = 0;
    for (const ckks::DiagonalPlace& place : factor.shape.diagonals) words += 2 * static_cast<double>(place.period);
    const bool extended = ckks::factor_hoisting(factor.level) == ckks::Hoisting::kDouble;
    const ring::Basis basis = extended ? parameters.qp_basis(factor.level, parameters.key_set_for(factor.level))
                                       : parameters.q_basis(factor.level);
    bytes += 4 * words * static_cast<double>(basis.size());
  }
  return bytes;
}

/// Traffic of one inference (Prediction::moved_bytes).
double traffic(const Program& program, const ckks::Parameters& parameters, const std::vector<Work>& work,
               const std::vector<bool>& ahead) {
  const double embedding = embedding_bytes(program, parameters);
  double sum = 0;
  for (std::size_t i = 0; i < work.size(); ++i) {
    const Instruction& ins = program.instructions[i];
    if (ahead[i]) sum += static_cast<double>(encoded_bytes(ins, parameters));
    if (std::holds_alternative<ActivationOp>(ins.op)) sum += embedding * ((ins.ciphertexts + 1) / 2);  // NOLINT: pairs
    sum += moved_bytes(work[i], parameters);
  }
  return sum;
}

/// What a bootstrap holds at once: rotated inputs of a factor, or the powers that a polynomial is made of.
double bootstrap_bytes(const Program& program, const ckks::Parameters& parameters) {
  double most = 0;
  if (!program.bootstrap) return most;
  for (const EmbeddingFactor& factor : embedding_factors(*program.bootstrap, parameters)) {
    const auto plan = ckks::plan_factor(factor.shape, static_cast<int>(parameters.slots()));
    const auto rotated = static_cast<double>(plan.babies.size() + plan.giants.size());
    const std::size_t limbs = parameters.qp_basis(factor.level, parameters.key_set_for(factor.level)).size();
    most = std::max(most,
                    std::min(static_cast<double>(ckks::kLinearMapMemory), 2 * rotated * poly_bytes(parameters, limbs)));
  }
  // Powers of two ciphertexts for a series of degree 63, about half way down the chain.
  constexpr double kPolynomials = 2 * 12 * 2;
  return most + kPolynomials * poly_bytes(parameters, parameters.q_basis(parameters.max_level() / 2).size());
}

/// What linear maps hold of rotated inputs, sums and diagonals at once, and idle working memory that threads keep.
double working_bytes(const Program& program, const ckks::Parameters& parameters, const std::vector<bool>& ahead) {
  double most = bootstrap_bytes(program, parameters);
  for (std::size_t i = 0; i < ahead.size(); ++i) {
    const Instruction& ins = program.instructions[i];
    const auto* op = std::get_if<LinearOp>(&ins.op);
    if (!op || ahead[i]) continue;
    const double rotated = static_cast<double>(op->plan.babies.size()) * shape_of(op->map).inputs;
    const double extended = poly_bytes(parameters, encoded_limbs(ins, parameters));
    most = std::max(most, std::min(static_cast<double>(ckks::kLinearMapMemory), 2 * rotated * extended));
  }
  const double top = 4 * poly_bytes(parameters, parameters.qp_basis(parameters.max_level(), 0).size());
  return most + threads() * std::min(static_cast<double>(kScratchKept), top);
}

/// Most bytes of ciphertexts alive at once, with an instruction's hoisted digits and accumulators.
double live_bytes(const Program& program, const ckks::Parameters& parameters) {
  double most = 0;
  for (const Instruction& ins : program.instructions) {
    const int set = parameters.key_set_for(ins.work_level);
    const double extended = poly_bytes(parameters, parameters.qp_basis(ins.work_level, set).size());
    const double inputs = static_cast<double>(operands(ins.op).size() * static_cast<std::size_t>(ins.ciphertexts)) + 1;
    const double digits = static_cast<double>(parameters.digits(set, ins.work_level).size());
    most = std::max(most, (inputs + ins.ciphertexts) * (4 + digits) * extended);
  }
  return most;
}

}  // namespace

Prediction predict(const Lowered& lowered, const ckks::ParametersPtr& parameters, double output_rms,
                   const MachineCosts* known) {
  const Program& program = lowered.program;
  const ckks::Parameters& p = *parameters;
  Prediction out;
  out.security_bits = p.security().estimated_bits;
  out.log_qp = p.security().log_qp;
  out.log_qp_limit = p.security().limit;
  out.log_n = p.log_n();
  out.levels = p.max_level();
  out.rotation_keys = static_cast<int>(program.keys.galois.size());
  out.key_bytes_file = key_bytes(program, p);
  // Random halves are kept only where making them again and again is slow.
  out.key_bytes_memory = (ring::uniform_is_fast() ? 1 : 2) * out.key_bytes_file;
  const auto limbs = [&](int level) { return poly_bytes(p, p.q_basis(level).size()); };
  const Instruction& last = program.instructions[static_cast<std::size_t>(program.output)];
  out.input_bytes = program.input().ciphertexts * limbs(program.input().level);  // seeded: one part
  out.output_bytes = 2 * last.ciphertexts * limbs(last.level);
  const std::vector<bool> ahead = encoded_ahead(program, p);
  for (std::size_t i = 0; i < ahead.size(); ++i) {
    if (ahead[i]) out.plaintext_bytes += static_cast<double>(encoded_bytes(program.instructions[i], p));
  }
  out.plaintext_bytes += embedding_bytes(program, p);
  const std::vector<Work> work = count_work(program, p);
  const MachineCosts costs = known && known->covers(p.log_n()) ? *known : measure_for(work, parameters);
  for (const Work& w : work) out.instruction_seconds.push_back(seconds_of(w, p, costs));
  out.seconds = std::accumulate(out.instruction_seconds.begin(), out.instruction_seconds.end(), 0.0);
  out.moved_bytes = traffic(program, p, work, ahead);
  out.threads = costs.threads;
  constexpr double kProcess = 12e6;  // code, libraries and tables of a server that has loaded nothing
  out.peak_bytes = kProcess + out.key_bytes_memory + out.plaintext_bytes + program_bytes(program) +
                   live_bytes(program, p) + working_bytes(program, p, ahead);
  out.output_error = lowered.output_error;
  out.output_rms = output_rms;
  return out;
}

std::string to_string(const Prediction& p) {
  const auto mib = [](double bytes) { return bytes / 1048576; };
  std::string text;
  const auto line = [&](std::string_view what, const std::string& value) {
    text += fmt::format("  {:<22}{}\n", what, value);
  };
  line("ring degree", fmt::format("2^{}", p.log_n));
  line("modulus", fmt::format("log2(QP) = {:.1f}{}", p.log_qp,
                              p.log_qp_limit > 0 ? fmt::format(", at most {:.0f} for 128 bits", p.log_qp_limit) : ""));
  line("security", p.log_qp_limit >= p.log_qp ? fmt::format("128 bits or more (about {:.0f})", p.security_bits)
                                              : "BELOW 128 bits: for experiments only");
  line("levels", fmt::format("{}", p.levels));
  line("rotation keys", fmt::format("{}", p.rotation_keys));
  line("evaluation keys",
       fmt::format("{:.1f} MiB to upload, {:.1f} MiB in memory", mib(p.key_bytes_file), mib(p.key_bytes_memory)));
  line("messages", fmt::format("{:.2f} MiB in, {:.2f} MiB out", mib(p.input_bytes), mib(p.output_bytes)));
  line("encoded weights", fmt::format("{:.1f} MiB", mib(p.plaintext_bytes)));
  line("expected time", fmt::format("{:.3g} s on {} thread(s)", p.seconds, p.threads));
  line("expected peak memory", fmt::format("{:.0f} MiB", mib(p.peak_bytes)));
  line("expected data moved", fmt::format("{:.1f} GiB", p.moved_bytes / (1 << 30)));
  line("expected precision", fmt::format("error {:.2g} rms on outputs of {:.3g} rms ({:.1f} bits)", p.output_error,
                                         p.output_rms, std::log2(p.output_rms / p.output_error)));
  return text;
}

}  // namespace hearth::compiler
