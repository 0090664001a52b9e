#include "runtime/executor.h"

#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "base/trace.h"
#include "ckks/linear_map_streamed.h"
#include "ckks/polynomial.h"
#include "compiler/program/work.h"
#include "runtime/progress_meter.h"

namespace hearth::runtime {

using namespace compiler;  // NOLINT: the program's vocabulary
using ckks::Ciphertext;
using Tensor = std::vector<Ciphertext>;

/// What is made ahead for one instruction: for a linear one, either of the maps, or what its map is made of when its
/// turn comes.
struct Executor::Prepared {
  std::optional<ckks::PreparedLinearMap> map;
  std::optional<ckks::StreamedLinearMap> streamed;
  std::shared_ptr<const ckks::LinearMapSource> source;
  std::vector<ckks::Plaintext> constants;  // bias or added vectors, one a ciphertext
};

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::vector<ckks::Plaintext> encode_all(const ckks::Encoder& encoder, const std::vector<std::vector<double>>& vectors,
                                        double scale, const ring::Basis& basis) {
  std::vector<ckks::Plaintext> encoded;
  for (const auto& v : vectors) encoded.push_back(encoder.encode(v, scale, basis, false));
  return encoded;
}

Tensor clone_at(const Tensor& tensor, int level, const ckks::Evaluator& evaluator) {
  Tensor copy;
  for (const Ciphertext& c : tensor) {
    copy.push_back(c.clone());
    evaluator.drop_to_level_inplace(copy.back(), level);
  }
  return copy;
}

/// Runs one program once: holds the live values and frees each after its last use.
class Run {
 public:
  Run(const Program& program, const ckks::Evaluator& evaluator, const ckks::Bootstrapper* bootstrapper, RunState state)
      : program_(program),
        evaluator_(evaluator),
        bootstrapper_(bootstrapper),
        values_(program.instructions.size()),
        last_use_(last_uses(program)) {
    const std::vector<std::size_t> live = live_values(program, state.next);
    for (std::size_t k = 0; k < live.size(); ++k) values_[live[k]] = std::move(state.values[k]);
  }

  /// Called when a part of the current instruction begins, with the shares of it at which that begins and ends.
  std::function<void(double, double)> begin_part;

  /// Of an instruction that has been evaluated, until its last use.
  const Tensor& result(std::size_t index) const { return values_[index]; }
  Tensor output() { return std::move(values_[static_cast<std::size_t>(program_.output)]); }

  template <typename Prepared>
  void step(std::size_t index, const Prepared* prepared) {
    const Instruction& ins = program_.instructions[index];
    if (index > 0) {
      Tensor result = std::visit([&](const auto& op) { return evaluate(op, ins, index, prepared); }, ins.op);
      for (Ciphertext& c : result) {
        require(c.level == ins.level && std::abs(c.scale / ins.scale - 1) < 1e-6, ErrorKind::kInternal,
                "instruction {} (\"{}\") gave level {} scale {}, the program says level {} scale {}", index, ins.name,
                c.level, c.scale, ins.level, ins.scale);
        c.scale = ins.scale;
      }
      values_[index] = std::move(result);
    }
    for (const Value v : operands(ins.op)) {
      if (last_use_[static_cast<std::size_t>(v)] == index) values_[static_cast<std::size_t>(v)].clear();
    }
  }

 private:
  const Tensor& value(Value v) const { return values_[static_cast<std::size_t>(v)]; }

  /// The operand at the working level: moved when this is its last use, copied otherwise.
  Tensor take(Value v, int level, std::size_t index) {
    Tensor& held = values_[static_cast<std::size_t>(v)];
    if (last_use_[static_cast<std::size_t>(v)] != index) return clone_at(held, level, evaluator_);
    for (Ciphertext& c : held) evaluator_.drop_to_level_inplace(c, level);
    return std::move(held);
  }

  /// The operand at the working level for reading: in place when it is there already.
  const Tensor& read(Value v, int level, Tensor& storage) const {
    const Tensor& held = value(v);
    if (held.front().level == level) return held;
    storage = clone_at(held, level, evaluator_);
    return storage;
  }

  template <typename Prepared>
  Tensor evaluate(const InputOp&, const Instruction&, std::size_t, const Prepared*) {
    fail(ErrorKind::kInternal, "an input instruction inside a program");
  }

  template <typename Prepared>
  Tensor evaluate(const LinearOp& op, const Instruction& ins, std::size_t, const Prepared* prepared) {
    Tensor storage;
    const Tensor& x = read(op.x, ins.work_level, storage);
    Tensor out = multiply(op, ins, *prepared, x);
    parallel_for(0, out.size(), [&](std::size_t i) {
      for (const int steps : op.folds) evaluator_.add_inplace(out[i], evaluator_.rotate(out[i], steps));
      evaluator_.rescale_inplace(out[i]);
      out[i].scale = ins.scale;
      if (prepared->constants.empty()) return add_bias(op, static_cast<int>(i), out[i]);
      evaluator_.add_plain_inplace(out[i], prepared->constants[i]);
    });
    return out;
  }

  template <typename Prepared>
  Tensor multiply(const LinearOp& op, const Instruction& ins, const Prepared& prepared, const Tensor& x) const {
    if (prepared.map) return prepared.map->apply(evaluator_, x);
    if (prepared.streamed) return prepared.streamed->apply(evaluator_, x);
    const ckks::PreparedLinearMap map(evaluator_.encoder(), evaluator_.parameters(), *prepared.source, op.plan,
                                      ins.work_level, op.plain_scale, kGridMemory);
    return map.apply(evaluator_, x);
  }

  /// Where it was not encoded ahead: margins make the vectors of biases long.
  void add_bias(const LinearOp& op, int ciphertext, Ciphertext& c) const {
    const std::vector<double> bias = bias_of(op, ciphertext);
    if (bias.empty()) return;
    evaluator_.add_plain_inplace(c, evaluator_.encoder().encode(bias, c.scale, c.parts[0].basis(), false));
  }

  template <typename Prepared>
  Tensor evaluate(const AddOp& op, const Instruction& ins, std::size_t index, const Prepared*) {
    Tensor storage;
    const Tensor* b = &read(op.b, ins.work_level, storage);
    if (op.a == op.b && b == &value(op.b)) {
      storage = clone_at(*b, ins.work_level, evaluator_);
      b = &storage;
    }
    Tensor a = take(op.a, ins.work_level, index);
    parallel_for(0, a.size(), [&](std::size_t i) {
      a[i].scale = (*b)[i].scale;
      op.subtract ? evaluator_.sub_inplace(a[i], (*b)[i]) : evaluator_.add_inplace(a[i], (*b)[i]);
    });
    return a;
  }

  template <typename Prepared>
  Tensor evaluate(const MultiplyOp& op, const Instruction& ins, std::size_t, const Prepared*) {
    Tensor storage_a, storage_b;
    const Tensor& a = read(op.a, ins.work_level, storage_a);
    const Tensor& b = read(op.b, ins.work_level, storage_b);
    Tensor out(a.size());
    parallel_for(0, a.size(), [&](std::size_t i) {
      out[i] = evaluator_.multiply(a[i], b[i]);
      evaluator_.relinearize_rescale_inplace(out[i]);
    });
    return out;
  }

  template <typename Prepared>
  Tensor evaluate(const QuadraticOp& op, const Instruction& ins, std::size_t, const Prepared*) {
    Tensor storage;
    const Tensor& x = read(op.x, ins.work_level, storage);
    Tensor out(x.size());
    parallel_for(0, x.size(), [&](std::size_t i) {
      out[i] = evaluator_.square(x[i]);
      if (op.linear != 0) {
        Ciphertext linear = x[i].clone();
        evaluator_.mul_constant_inplace(linear, op.linear, x[i].scale);
        evaluator_.add_inplace(out[i], linear);
      }
      evaluator_.relinearize_rescale_inplace(out[i]);
      if (op.negate) evaluator_.negate_inplace(out[i]);
      out[i].scale *= op.scale_factor;
      if (op.constant != 0) evaluator_.add_constant_inplace(out[i], op.constant);
    });
    (void)ins;
    return out;
  }

  template <typename Prepared>
  Tensor evaluate(const PolynomialOp& op, const Instruction& ins, std::size_t, const Prepared*) {
    Tensor storage;
    const Tensor& x = read(op.x, ins.work_level, storage);
    Tensor out(x.size());
    parallel_for(0, x.size(), [&](std::size_t i) {
      out[i] =
          ckks::evaluate_polynomial(evaluator_, x[i], op.coefficients, ckks::PolynomialBasis::kMonomial, ins.scale);
    });
    return out;
  }

  /// Two ciphertexts share a bootstrap, as its real and imaginary parts.
  template <typename Prepared>
  Tensor evaluate(const ActivationOp& op, const Instruction& ins, std::size_t index, const Prepared*) {
    const Tensor x = take(op.x, ins.work_level, index);
    Tensor out;
    for (std::size_t i = 0; i < x.size(); i += 2) {
      const std::span pair = std::span(x).subspan(i, std::min<std::size_t>(2, x.size() - i));
      const auto all = static_cast<double>(x.size());
      if (begin_part) begin_part(static_cast<double>(i) / all, static_cast<double>(i + pair.size()) / all);
      std::vector<ckks::SlotVectors> series;
      for (std::size_t k = 0; k < pair.size(); ++k) series.push_back(series_of(op, i + k));
      for (Ciphertext& c : bootstrapper_->evaluate(evaluator_, pair, series, ins.scale)) {
        evaluator_.drop_to_level_inplace(c, ins.level);
        out.push_back(std::move(c));
      }
    }
    return out;
  }

  template <typename Prepared>
  Tensor evaluate(const AddPlainOp& op, const Instruction& ins, std::size_t index, const Prepared* prepared) {
    Tensor x = take(op.x, ins.work_level, index);
    parallel_for(0, x.size(), [&](std::size_t i) { evaluator_.add_plain_inplace(x[i], prepared->constants[i]); });
    return x;
  }

  template <typename Prepared>
  Tensor evaluate(const JoinOp& op, const Instruction& ins, std::size_t, const Prepared*) {
    Tensor out;
    for (const auto& part : op.parts) {
      out.push_back(value(part.value)[static_cast<std::size_t>(part.ciphertext)].clone());
      evaluator_.drop_to_level_inplace(out.back(), ins.work_level);
    }
    return out;
  }

  const Program& program_;
  const ckks::Evaluator& evaluator_;
  const ckks::Bootstrapper* bootstrapper_;
  std::vector<Tensor> values_;
  std::vector<std::size_t> last_use_;
};

}  // namespace

Executor::Executor(ckks::ParametersPtr parameters, Program program, const std::function<void(double, double)>& progress,
                   std::size_t encoded_budget)
    : parameters_(std::move(parameters)), program_(std::move(program)) {
  check(program_, *parameters_);
  if (program_.bootstrap) bootstrapper_ = std::make_unique<ckks::Bootstrapper>(parameters_, *program_.bootstrap);
  const ckks::Encoder encoder(parameters_);
  const auto total = static_cast<double>(program_.instructions.size());
  const std::vector<bool> ahead = encoded_ahead(program_, *parameters_, encoded_budget);
  for (const Work& work : count_work(program_, *parameters_)) {
    cost_.push_back(nominal_cost(work, *parameters_));
    moved_.push_back(moved_bytes(work, *parameters_));
  }
  for (Instruction& ins : program_.instructions) {
    auto prepared = std::make_unique<Prepared>();
    const ring::Basis basis = parameters_->q_basis(ins.level);
    if (auto* op = std::get_if<LinearOp>(&ins.op)) {
      const ckks::Hoisting hoisting = streamed_hoisting(ins, *parameters_);
      const bool at_once = encoded_at_once(ins, *parameters_);
      const auto source = take_source(op->map);
      if (ahead[prepared_.size()]) {
        prepared->map.emplace(encoder, *parameters_, *source, op->plan, ins.work_level, op->plain_scale);
      } else if (at_once) {
        prepared->source = source;
      } else {
        prepared->streamed.emplace(*parameters_, source, op->plan, ins.work_level, op->plain_scale,
                                   ckks::kLinearMapMemory, hoisting);
      }
      prepared->constants = encode_all(encoder, op->bias, ins.scale, basis);
    } else if (const auto* add = std::get_if<AddPlainOp>(&ins.op)) {
      prepared->constants = encode_all(encoder, add->constants, ins.scale, basis);
    } else {
      prepared.reset();
    }
    prepared_.push_back(std::move(prepared));
    if (progress) progress(static_cast<double>(prepared_.size()), total);
  }
}

Executor::~Executor() = default;

std::size_t Executor::plaintext_bytes() const {
  std::size_t bytes = bootstrapper_ ? bootstrapper_->bytes() : 0;
  for (const auto& p : prepared_) {
    if (!p) continue;
    if (p->map) bytes += p->map->bytes();
    for (const auto& constant : p->constants) bytes += constant.poly.bytes();
  }
  return bytes;
}

std::vector<Ciphertext> Executor::run(const ckks::EvaluationKeys& keys, std::vector<Ciphertext> input,
                                      RunReport* report, const RunHooks& hooks) const {
  RunState state;
  state.values.push_back(std::move(input));
  return resume(keys, std::move(state), report, hooks);
}

std::vector<Ciphertext> Executor::resume(const ckks::EvaluationKeys& keys, RunState state, RunReport* report,
                                         const RunHooks& hooks) const {
  require(keys.parameters_id == parameters_->id(), ErrorKind::kMismatch,
          "the evaluation keys were made for other parameters than those of model \"{}\"", program_.model);
  check_state(program_, *parameters_, state);
  require(hooks.costs.empty() || hooks.costs.size() == program_.instructions.size(), ErrorKind::kInvalidArgument,
          "costs of {} instructions were given for a program of {}", hooks.costs.size(), program_.instructions.size());
  ProgressMeter meter(hooks.costs.empty() ? cost_ : hooks.costs, hooks.progress, now);
  ckks::Evaluator evaluator(parameters_, &keys);
  evaluator.set_checkpoint([&] {
    if (hooks.checkpoint) hooks.checkpoint();
    meter.tick();
  });
  const std::size_t first = state.next;
  Run run(program_, evaluator, bootstrapper_.get(), std::move(state));
  const ResultLookup result = [&](std::size_t index) -> const Tensor& { return run.result(index); };
  run.begin_part = [&](double from, double to) { meter.begin_part(from, to); };
  const double start = now();
  for (std::size_t i = first; i < program_.instructions.size(); ++i) {
    const Instruction& ins = program_.instructions[i];
    const double begin = now();
    meter.begin(i, ins.name);
    evaluator.checkpoint();
    {
      const trace::Span span(trace::Category::kCompute, ins.name, op_name(ins.op), moved_[i]);
      run.step(i, prepared_[i].get());
    }
    if (report) report->stages.push_back({ins.name, op_name(ins.op), now() - begin});
    if (hooks.observer) hooks.observer(i, run.result(i));
    if (hooks.save) hooks.save(i + 1, result);
  }
  if (report) report->seconds += now() - start;
  meter.finish();
  return run.output();
}

}  // namespace hearth::runtime
