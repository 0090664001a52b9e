#include "runtime/run.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/polynomial.h"
#include "compiler/program/encoding.h"

namespace hearth::runtime {

using namespace compiler;  // NOLINT: the program's vocabulary
using ckks::Ciphertext;
using Tensor = Run::Tensor;

namespace {

Tensor clone_at(const Tensor& tensor, int level, const ckks::Evaluator& evaluator) {
  Tensor copy;
  for (const Ciphertext& c : tensor) {
    copy.push_back(c.clone());
    evaluator.drop_to_level_inplace(copy.back(), level);
  }
  return copy;
}

}  // namespace

Run::Run(const Program& program, const ckks::Evaluator& evaluator, const ckks::Bootstrapper* bootstrapper,
         RunState state)
    : program_(program),
      evaluator_(evaluator),
      bootstrapper_(bootstrapper),
      values_(program.instructions.size()),
      last_use_(last_uses(program)) {
  const std::vector<std::size_t> live = live_values(program, state.next);
  for (std::size_t k = 0; k < live.size(); ++k) values_[live[k]] = std::move(state.values[k]);
}

void Run::step(std::size_t index, const Prepared* prepared) {
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

const Tensor& Run::value(Value v) const { return values_[static_cast<std::size_t>(v)]; }

Tensor Run::take(Value v, int level, std::size_t index) {
  Tensor& held = values_[static_cast<std::size_t>(v)];
  if (last_use_[static_cast<std::size_t>(v)] != index) return clone_at(held, level, evaluator_);
  for (Ciphertext& c : held) evaluator_.drop_to_level_inplace(c, level);
  return std::move(held);
}

const Tensor& Run::read(Value v, int level, Tensor& storage) const {
  const Tensor& held = value(v);
  if (held.front().level == level) return held;
  storage = clone_at(held, level, evaluator_);
  return storage;
}

Tensor Run::evaluate(const InputOp&, const Instruction&, std::size_t, const Prepared*) {
  fail(ErrorKind::kInternal, "an input instruction inside a program");
}

Tensor Run::evaluate(const LinearOp& op, const Instruction& ins, std::size_t, const Prepared* prepared) {
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

Tensor Run::multiply(const LinearOp& op, const Instruction& ins, const Prepared& prepared, const Tensor& x) const {
  if (prepared.map) return prepared.map->apply(evaluator_, x);
  if (prepared.streamed) return prepared.streamed->apply(evaluator_, x);
  const ckks::PreparedLinearMap map(evaluator_.encoder(), evaluator_.parameters(), *prepared.source, op.plan,
                                    ins.work_level, op.plain_scale, prepared.memory);
  return map.apply(evaluator_, x);
}

void Run::add_bias(const LinearOp& op, int ciphertext, Ciphertext& c) const {
  const std::vector<double> bias = bias_of(op, ciphertext);
  if (bias.empty()) return;
  evaluator_.add_plain_inplace(c, evaluator_.encoder().encode(bias, c.scale, c.parts[0].basis(), false));
}

Tensor Run::evaluate(const AddOp& op, const Instruction& ins, std::size_t index, const Prepared*) {
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

Tensor Run::evaluate(const MultiplyOp& op, const Instruction& ins, std::size_t, const Prepared*) {
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

Tensor Run::evaluate(const QuadraticOp& op, const Instruction& ins, std::size_t, const Prepared*) {
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

Tensor Run::evaluate(const PolynomialOp& op, const Instruction& ins, std::size_t, const Prepared*) {
  Tensor storage;
  const Tensor& x = read(op.x, ins.work_level, storage);
  Tensor out(x.size());
  parallel_for(0, x.size(), [&](std::size_t i) {
    out[i] = ckks::evaluate_polynomial(evaluator_, x[i], op.coefficients, ckks::PolynomialBasis::kMonomial, ins.scale);
  });
  return out;
}

Tensor Run::evaluate(const ActivationOp& op, const Instruction& ins, std::size_t index, const Prepared*) {
  Tensor x = take(op.x, ins.work_level, index);
  Tensor out;
  for (std::size_t i = 0; i < x.size(); i += 2 * pairs_at_once) {
    const std::span part = std::span(x).subspan(i, std::min(2 * pairs_at_once, x.size() - i));
    const auto all = static_cast<double>(x.size());
    if (begin_part) begin_part(static_cast<double>(i) / all, static_cast<double>(i + part.size()) / all);
    if (recorder != nullptr && i > 0 && part.size() == 2 * pairs_at_once) {
      // The same as the first part, which was recorded.
      recorder->repeat_part();
      for (std::size_t k = 0; k < part.size(); ++k) out.push_back(out[k].clone());
    } else {
      if (recorder != nullptr && i == 0) recorder->begin_part();
      for (Ciphertext& c : activate(op, i, part, ins)) out.push_back(std::move(c));
      if (recorder != nullptr && i == 0) recorder->end_part();
    }
    for (Ciphertext& c : part) c = {};
  }
  return out;
}

/// The ciphertexts of a tensor from number `first` on.
Tensor Run::activate(const ActivationOp& op, std::size_t first, std::span<const Ciphertext> part,
                     const Instruction& ins) const {
  std::vector<ckks::SlotVectors> series;
  for (std::size_t k = 0; k < part.size(); ++k) series.push_back(series_of(op, first + k));
  Tensor out = bootstrapper_->evaluate(evaluator_, part, series, ins.scale);
  for (Ciphertext& c : out) evaluator_.drop_to_level_inplace(c, ins.level);
  return out;
}

Tensor Run::evaluate(const AddPlainOp& op, const Instruction& ins, std::size_t index, const Prepared* prepared) {
  Tensor x = take(op.x, ins.work_level, index);
  parallel_for(0, x.size(), [&](std::size_t i) { evaluator_.add_plain_inplace(x[i], prepared->constants[i]); });
  return x;
}

Tensor Run::evaluate(const JoinOp& op, const Instruction& ins, std::size_t, const Prepared*) {
  Tensor out;
  for (const auto& part : op.parts) {
    out.push_back(value(part.value)[static_cast<std::size_t>(part.ciphertext)].clone());
    evaluator_.drop_to_level_inplace(out.back(), ins.work_level);
  }
  return out;
}

}  // namespace hearth::runtime
