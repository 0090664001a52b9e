#include "compiler/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "base/parallel.h"
#include "ckks/polynomial.h"
#include "compiler/program/encoding.h"

namespace hearth::compiler {
namespace {

/// Best of a few runs, in seconds.
template <typename F>
double time_of(const F& f) {
  double best = 1e30;
  for (int i = 0; i < 4; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

ring::Poly random_poly(const ckks::Parameters& parameters, const ring::Basis& basis) {
  return ring::sample_uniform(parameters.ring(), basis, ring::Domain::kNtt, ring::Seed{}, 0);
}

ckks::SwitchingKey random_key(const ckks::Parameters& parameters, int set) {
  const int top = parameters.spec().key_sets[static_cast<std::size_t>(set)].max_level;
  ckks::SwitchingKey key;
  key.set = set;
  for (std::size_t d = 0; d < parameters.digits(set, top).size(); ++d) {
    key.b.push_back(random_poly(parameters, parameters.qp_basis(top, set)));
    key.a.push_back(random_poly(parameters, parameters.qp_basis(top, set)));
  }
  return key;
}

ckks::Ciphertext random_ciphertext(const ckks::Parameters& parameters, int level) {
  ckks::Ciphertext c;
  for (int part = 0; part < 2; ++part) c.parts.push_back(random_poly(parameters, parameters.q_basis(level)));
  c.level = level;
  c.scale = 0x1p30;
  c.parameters_id = parameters.id();
  return c;
}

double poly_bytes(const ckks::Parameters& parameters, std::size_t limbs) {
  return 4.0 * static_cast<double>(parameters.n()) * static_cast<double>(limbs);
}

/// Counts over the program, turned into seconds with the costs of each level.
class TimeModel {
 public:
  explicit TimeModel(const ckks::ParametersPtr& parameters) : parameters_(parameters) {}

  double seconds(const Instruction& ins) {
    return std::visit([&](const auto& op) { return cost(op, ins); }, ins.op);
  }

 private:
  const LevelCost& at(int level) {
    const auto found = levels_.find(level);
    if (found != levels_.end()) return found->second;
    return levels_[level] = measure_level(parameters_, level);
  }

  double cost(const LinearOp& op, const Instruction& ins) {
    const LevelCost& c = at(ins.work_level);
    const auto moved = [](const std::vector<int>& steps) {
      return static_cast<double>(std::ranges::count_if(steps, [](int s) { return s != 0; }));
    };
    const ckks::MapShape shape = shape_of(op.map);
    const auto terms = static_cast<double>(shape.diagonals.size());
    const double babies = moved(op.plan.babies), giants = moved(op.plan.giants);
    const double folds = static_cast<double>(op.folds.size());
    return shape.inputs * (babies > 0 ? c.hoist + babies * c.hoisted : 0) + terms * c.product_term +
           shape.outputs * (giants * c.rotate + (babies > 0 ? c.mod_down : 0) + folds * c.rotate + c.rescale);
  }
  double cost(const QuadraticOp&, const Instruction& ins) { return product(ins); }
  double cost(const MultiplyOp&, const Instruction& ins) { return product(ins); }
  double cost(const PolynomialOp& op, const Instruction& ins) {
    const double products = 2 * std::sqrt(2.0 * static_cast<double>(op.coefficients.size()));
    return products * product(ins);
  }
  template <typename T>
  double cost(const T&, const Instruction&) {
    return 0;
  }
  double product(const Instruction& ins) {
    const LevelCost& c = at(ins.work_level);
    return ins.ciphertexts * (c.square + c.rescale);
  }

  ckks::ParametersPtr parameters_;
  std::map<int, LevelCost> levels_;
};

double bytes_of(const ckks::LinearMap& map) {
  double bytes = 0;
  for (const auto& [block, diagonals] : map.blocks) {
    for (const auto& [r, d] : diagonals) bytes += 8.0 * static_cast<double>(d.size()) + 100;
  }
  return bytes;
}

double bytes_of(const std::shared_ptr<const LayerMatrix>& matrix) { return static_cast<double>(matrix->bytes()); }

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

LevelCost measure_level(const ckks::ParametersPtr& parameters, int level) {
  const ckks::Parameters& p = *parameters;
  const int set = p.key_set_for(level);
  const std::uint32_t g = ckks::galois_element(1, p.log_n());
  ckks::EvaluationKeys keys;
  keys.parameters_id = p.id();
  keys.galois[{set, g}] = random_key(p, set);
  keys.relinearisation[set] = random_key(p, set);
  const ckks::Evaluator evaluator(parameters, &keys);
  const ckks::Ciphertext c = random_ciphertext(p, level);
  LevelCost cost;
  const ckks::Hoisted hoisted = evaluator.hoist(c.parts[1], level);
  cost.hoist = time_of([&] { return evaluator.hoist(c.parts[1], level); });
  cost.hoisted = time_of([&] { return evaluator.rotate_extended(c, hoisted, g); });
  cost.rotate = time_of([&] { return evaluator.rotate(c, 1); });
  const ring::Poly extended = random_poly(p, p.qp_basis(level, set));
  cost.mod_down = 2 * time_of([&] { return evaluator.mod_down(extended, level, set); });
  constexpr int kTerms = 8;
  ring::Poly sum = extended.clone();
  cost.product_term = time_of([&] {
                        for (int i = 0; i < kTerms; ++i) ring::mul_add(p.ring(), sum, extended, extended);
                      }) *
                      2 / kTerms / 2;  // two parts; dot keeps its accumulators in registers, mul_add does not
  cost.square = time_of([&] {
    ckks::Ciphertext s = evaluator.square(c);
    evaluator.relinearize_inplace(s);
  });
  if (level > 0) {
    cost.rescale = time_of([&] {
      ckks::Ciphertext s = c.clone();
      evaluator.rescale_inplace(s);
    });
  }
  return cost;
}

Prediction predict(const Lowered& lowered, const ckks::ParametersPtr& parameters, double output_rms) {
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
  out.key_bytes_memory = 2 * out.key_bytes_file;
  const auto limbs = [&](int level) { return poly_bytes(p, p.q_basis(level).size()); };
  const Instruction& last = program.instructions[static_cast<std::size_t>(program.output)];
  out.input_bytes = program.input().ciphertexts * limbs(program.input().level);  // seeded: one part
  out.output_bytes = 2 * last.ciphertexts * limbs(last.level);
  TimeModel time(parameters);
  const std::vector<bool> ahead = encoded_ahead(program, p);
  for (std::size_t i = 0; i < ahead.size(); ++i) {
    out.seconds += time.seconds(program.instructions[i]);
    if (ahead[i]) out.plaintext_bytes += static_cast<double>(encoded_bytes(program.instructions[i], p));
  }
  out.threads = threads();
  constexpr double kProcess = 12e6;  // code, libraries and tables of a server that has loaded nothing
  out.peak_bytes =
      kProcess + out.key_bytes_memory + out.plaintext_bytes + program_bytes(program) + live_bytes(program, p);
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
  line("expected precision", fmt::format("error {:.2g} rms on outputs of {:.3g} rms ({:.1f} bits)", p.output_error,
                                         p.output_rms, std::log2(p.output_rms / p.output_error)));
  return text;
}

}  // namespace hearth::compiler
