#include "runtime/executor.h"

#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/block_cache.h"
#include "base/dry_run.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/system.h"
#include "base/trace.h"
#include "compiler/program/work.h"
#include "runtime/progress_meter.h"

namespace hearth::runtime {

using namespace compiler;  // NOLINT: the program's vocabulary
using ckks::Ciphertext;
using Tensor = std::vector<Ciphertext>;

namespace {

/// Of a budget, the share that a linear map may hold while it is evaluated (about what bootstraps do; with less, inputs
/// are rotated again and again), and that of a pair of ciphertexts.
constexpr std::uint64_t kLinearShare = 4, kPairShare = 32;

/// What a run takes for small things besides: stacks, lists.
constexpr std::uint64_t kSmallBlocks = std::uint64_t{8} << 20;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::vector<ckks::Plaintext> encode_all(const ckks::Encoder& encoder, const std::vector<std::vector<double>>& vectors,
                                        double scale, const ring::Basis& basis) {
  std::vector<ckks::Plaintext> encoded;
  for (const auto& v : vectors) encoded.push_back(encoder.encode(v, scale, basis, false));
  return encoded;
}

/// Of what an instruction's map may hold, under a limit if that is not 0.
std::size_t map_memory(std::size_t usual, std::uint64_t limit, std::uint64_t share) {
  return limit == 0 ? usual : std::min<std::size_t>(usual, limit / share);
}

/// The store while a run lasts, if there is one.
class StoreScope {
 public:
  StoreScope(Residency* residency, std::mutex& mutex, std::size_t first) : residency_(residency) {
    if (residency_ == nullptr) return;
    lock_ = std::unique_lock(mutex);
    residency_->begin(first);
  }
  ~StoreScope() {
    if (residency_ != nullptr) residency_->end();
  }
  StoreScope(const StoreScope&) = delete;
  StoreScope& operator=(const StoreScope&) = delete;

 private:
  Residency* residency_;
  std::unique_lock<std::mutex> lock_;
};

}  // namespace

Executor::Executor(ckks::ParametersPtr parameters, Program program, const std::function<void(double, double)>& progress,
                   std::size_t encoded_budget)
    : parameters_(std::move(parameters)), program_(std::move(program)) {
  take_weights(encoded_budget);
  make_bootstrapper();
  for (std::size_t i = 0; i < prepared_.size(); ++i) {
    prepare(i);
    if (progress) progress(static_cast<double>(i + 1), static_cast<double>(prepared_.size()));
  }
}

Executor::Executor(ckks::ParametersPtr parameters, Program program, MemoryOptions memory,
                   const std::vector<double>& seconds, const std::function<void(double, double)>& progress)
    : parameters_(std::move(parameters)), program_(std::move(program)) {
  limit_ = memory.limit;
  // Without a tier weights are encoded in every run, to leave the memory to keys.
  take_weights(memory.tier ? kEncodedBudget : 0);
  residency_ = std::make_unique<Residency>(parameters_->n());
  record();
  plan_memory(std::move(memory), seconds);
  make_bootstrapper();
  for (std::size_t i = 0; i < prepared_.size(); ++i) {
    prepare(i);
    if (progress) progress(static_cast<double>(i + 1), static_cast<double>(prepared_.size()));
  }
}

void Executor::make_bootstrapper() {
  if (!program_.bootstrap) return;
  bootstrapper_ = std::make_unique<ckks::Bootstrapper>(parameters_, *program_.bootstrap, residency_.get());
}

void Executor::take_weights(std::size_t encoded_budget) {
  check(program_, *parameters_);
  const std::vector<bool> ahead = encoded_ahead(program_, *parameters_, encoded_budget);
  for (const Work& work : count_work(program_, *parameters_)) {
    cost_.push_back(nominal_cost(work, *parameters_));
    moved_.push_back(moved_bytes(work, *parameters_));
  }
  for (Instruction& ins : program_.instructions) {
    prepared_.push_back(nullptr);
    auto* const op = std::get_if<LinearOp>(&ins.op);
    if (op == nullptr && !std::holds_alternative<AddPlainOp>(ins.op)) continue;
    prepared_.back() = std::make_unique<Prepared>();
    if (op == nullptr) continue;
    prepared_.back()->ahead = ahead[prepared_.size() - 1];
    prepared_.back()->at_once = encoded_at_once(ins, *parameters_);
    prepared_.back()->hoisting = streamed_hoisting(ins, *parameters_);
    prepared_.back()->source = take_source(op->map);
  }
}

/// Encodes what is to be encoded ahead of an instruction. A dry run keeps the weights.
void Executor::prepare(std::size_t index) {
  const Instruction& ins = program_.instructions[index];
  Prepared* const prepared = prepared_[index].get();
  if (prepared == nullptr) return;
  const ckks::Encoder encoder(parameters_);
  const ring::Basis basis = parameters_->q_basis(ins.level);
  if (const auto* add = std::get_if<AddPlainOp>(&ins.op)) {
    prepared->constants = encode_all(encoder, add->constants, ins.scale, basis);
    return;
  }
  const auto& op = std::get<LinearOp>(ins.op);
  const std::size_t memory = map_memory(ckks::kLinearMapMemory, limit_, kLinearShare);
  prepared->memory = map_memory(kGridMemory, limit_, kLinearShare);
  if (prepared->ahead) {
    prepared->map.emplace(encoder, *parameters_, *prepared->source, op.plan, ins.work_level, op.plain_scale, memory,
                          residency_.get());
    if (!dry_run()) prepared->source.reset();
  } else if (!prepared->at_once && prepared->source) {
    prepared->streamed.emplace(*parameters_, std::exchange(prepared->source, nullptr), op.plan, ins.work_level,
                               op.plain_scale, memory, prepared->hoisting);
  }
  if (limit_ == 0) prepared->constants = encode_all(encoder, op.bias, ins.scale, basis);
}

void Executor::plan_memory(MemoryOptions memory, const std::vector<double>& seconds) {
  trim_chunks();
  malloc_trim(0);
  const std::size_t used = used_chunk_bytes(), resident = rss_bytes();
  const std::uint64_t process = (resident > used ? resident - used : 0) + kSmallBlocks;
  residency_->plan(std::move(memory), seconds, {.process = process, .fixed = chunk_bytes()});
  chunk_limit_ = std::make_unique<ChunkLimit>(limit_ - residency_->forecast().process_bytes);
  residency_->open();
}

/// Goes through the program in dry runs.
void Executor::record() {
  const DryRun dry;
  const ckks::EvaluationKeys keys = recorded_keys();
  make_bootstrapper();
  for (std::size_t i = 0; i < prepared_.size(); ++i) prepare(i);
  // Of encoding; and one key at a time is loaded, as it was read and as it is stored.
  residency_->record_working_bytes(DryRun::take_peak_bytes(), kSmallBlocks);
  std::size_t largest = 0;
  for (const auto& [name, rows] : key_rows_) largest = std::max(largest, rows->limbs() * rows->rows());
  residency_->record_working_bytes(2 * largest * parameters_->n() * sizeof(std::uint32_t), kSmallBlocks);
  const ckks::Evaluator evaluator(parameters_, &keys);
  const Instruction& in = program_.input();
  RunState state;
  state.values.emplace_back();
  for (int c = 0; c < in.ciphertexts; ++c) {
    Ciphertext input{.parts = {}, .level = in.level, .scale = in.scale, .parameters_id = parameters_->id()};
    for (int part = 0; part < 2; ++part) {
      input.parts.emplace_back(parameters_->n(), parameters_->q_basis(in.level), ring::Domain::kNtt);
    }
    state.values.back().push_back(std::move(input));
  }
  Run run(program_, evaluator, bootstrapper_.get(), std::move(state));
  run.pairs_at_once = pairs_at_once();
  run.recorder = residency_.get();
  for (std::size_t i = 0; i < prepared_.size(); ++i) {
    residency_->record_instruction(i);
    run.step(i, prepared_[i].get());
    residency_->record_working_bytes(DryRun::take_peak_bytes());
  }
  residency_->record_instruction(prepared_.size());
}

/// With a budget, as many as take a small share of it, so that keys are fetched once for all of them.
std::size_t Executor::pairs_at_once() const {
  constexpr std::size_t kMost = 8;
  const std::size_t ciphertext =
      2 * parameters_->q_basis(parameters_->max_level()).size() * parameters_->n() * sizeof(std::uint32_t);
  return limit_ == 0 ? 1 : std::clamp<std::size_t>(limit_ / kPairShare / ciphertext, 1, kMost);
}

/// The program's keys, as sources of rows without contents.
ckks::EvaluationKeys Executor::recorded_keys() {
  ckks::EvaluationKeys keys;
  keys.parameters_id = parameters_->id();
  for (const ckks::KeyName& name : ckks::key_names(program_.keys, parameters_->key_set_count() - 1)) {
    const int level = parameters_->spec().key_sets[static_cast<std::size_t>(name.set)].max_level;
    const auto rows =
        residency_->add(memory::ObjectClass::kEvaluationKey, parameters_->qp_basis(level, name.set).size(),
                        parameters_->digits(name.set, level).size());
    key_rows_.emplace(name, rows);
    keys.insert(name, {.set = name.set, .b = {}, .a = {}, .seed = {}, .rows = rows});
  }
  return keys;
}

ckks::SwitchingKey Executor::store_key(const ckks::KeyName& name, const ckks::SwitchingKey& key) const {
  const auto found = key_rows_.find(name);
  require(found != key_rows_.end(), ErrorKind::kInternal, "a key that the program does not know was to be stored");
  const ckks::RowSource& rows = *found->second;
  require(key.set == name.set && key.b.size() == rows.rows(), ErrorKind::kMismatch,
          "a key of set {} with {} digits was to be stored, expected set {} and {} digits", key.set, key.b.size(),
          name.set, rows.rows());
  for (std::size_t limb = 0; limb < rows.limbs(); ++limb) {
    std::vector<const std::uint32_t*> digits;
    for (const ring::Poly& digit : key.b) digits.push_back(digit.limb(limb));
    residency_->put_rows(rows, limb, digits);
  }
  return {.set = key.set, .b = {}, .a = {}, .seed = key.seed, .rows = found->second};
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
  const StoreScope store(residency_.get(), one_run_, first);
  Run run(program_, evaluator, bootstrapper_.get(), std::move(state));
  const ResultLookup result = [&](std::size_t index) -> const Tensor& { return run.result(index); };
  run.pairs_at_once = pairs_at_once();
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
