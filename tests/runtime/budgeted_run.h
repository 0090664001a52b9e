#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/block_cache.h"
#include "base/parallel.h"
#include "memory/file_tier.h"
#include "memory/mapped_tier.h"
#include "tests/base/temporary_folder.h"
#include "tests/compiler/random_network.h"
#include "tests/memory/faulty_tier.h"
#include "tests/runtime/encrypted_run.h"

namespace hearth::testing {

using CipherTensor = std::vector<ckks::Ciphertext>;

inline CipherTensor copy_of(const CipherTensor& tensor) {
  CipherTensor out;
  for (const auto& c : tensor) out.push_back(c.clone());
  return out;
}

inline bool same_bits(const CipherTensor& a, const CipherTensor& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].scale != b[i].scale || a[i].level != b[i].level || a[i].parts.size() != b[i].parts.size()) return false;
    for (std::size_t p = 0; p < a[i].parts.size(); ++p) {
      const ring::Poly &x = a[i].parts[p], &y = b[i].parts[p];
      if (x.limbs() != y.limbs()) return false;
      for (std::size_t l = 0; l < x.limbs(); ++l) {
        if (!std::equal(x.limb(l), x.limb(l) + x.size(), y.limb(l))) return false;
      }
    }
  }
  return true;
}

/// A small network with ReLUs on a ring far too small to be secure, its keys, and what a run without a budget gives.
class BudgetedModel {
 public:
  explicit BudgetedModel(int activations = 1) {
    NetworkMaker make(3);
    nn::Graph g;
    g.name = "budget";
    auto v = g.add("input", nn::Input{{1, 2, 8, 8}});
    const auto stem = v = g.add("stem", make.conv(2, 2, {3, 3}), {v});
    v = g.add("relu", nn::Activation{nn::ActivationKind::kRelu}, {v});
    for (int i = 1; i < activations; ++i) {
      v = g.add("conv " + std::to_string(i), make.conv(2, 2, {1, 1}), {v});
      v = g.add("relu " + std::to_string(i), nn::Activation{nn::ActivationKind::kRelu}, {v});
    }
    v = g.add("conv", make.conv(2, 2, {1, 1}), {v});
    v = g.add("add", nn::Add{}, {v, stem});
    v = g.add("last", make.conv(2, 1, {1, 1}), {v});
    const nn::Tensor input = make.tensor(g.input_shape());
    compiler::CompileOptions options;
    options.security = ckks::Security::kNone;
    options.log_n = 11;
    compiled_ = compiler::compile(g, std::vector<nn::Tensor>{input}, options);
    parameters_ = ckks::Parameters::create(compiled_.client.parameters);
    plain_ = std::make_unique<EncryptedRun>(compiled_);
    input_ = plain_->encrypt(input);
    expected_ = plain_->executor().run(plain_->keys(), copy_of(input_));
  }

  const ckks::ParametersPtr& parameters() const { return parameters_; }
  const compiler::Program& program() const { return plain_->executor().program(); }
  /// With its weights.
  compiler::Program whole_program() const { return compiled_.server.program; }
  const std::vector<double>& seconds() const { return compiled_.server.prediction.instruction_seconds; }
  const EncryptedRun& plain() const { return *plain_; }
  const CipherTensor& input() const { return input_; }
  const CipherTensor& expected() const { return expected_; }

 private:
  compiler::Compiled compiled_;
  ckks::ParametersPtr parameters_;
  std::unique_ptr<EncryptedRun> plain_;
  CipherTensor input_, expected_;
};

/// An executor within a budget, with the model's keys in its store.
class BudgetedRun {
 public:
  BudgetedRun(const BudgetedModel& model, runtime::MemoryOptions memory) : model_(model) {
    executor_ = std::make_unique<runtime::Executor>(model.parameters(), model.whole_program(), std::move(memory),
                                                    model.seconds());
    store_keys();
  }

  /// As a server does when it loads keys.
  void store_keys() {
    const ckks::EvaluationKeys& all = model_.plain().keys();
    keys_ = {};
    keys_.parameters_id = all.parameters_id;
    const auto store = [&](const ckks::KeyName& name, const ckks::SwitchingKey& key) {
      keys_.insert(name, executor_->store_key(name, key));
    };
    for (const auto& [set, key] : all.relinearisation) store({ckks::KeyKind::kRelinearisation, set, 0}, key);
    for (const auto& [name, key] : all.galois) store({ckks::KeyKind::kGalois, name.first, name.second}, key);
    if (all.to_sparse) store({ckks::KeyKind::kToSparse, all.to_sparse->set, 0}, *all.to_sparse);
    if (all.from_sparse) store({ckks::KeyKind::kFromSparse, all.from_sparse->set, 0}, *all.from_sparse);
  }

  const runtime::Executor& executor() const { return *executor_; }
  const runtime::Residency& residency() const { return *executor_->residency(); }
  const ckks::EvaluationKeys& keys() const { return keys_; }
  CipherTensor run(const runtime::RunHooks& hooks = {}) const {
    return executor_->run(keys_, copy_of(model_.input()), nullptr, hooks);
  }
  CipherTensor resume(runtime::RunState state) const { return executor_->resume(keys_, std::move(state)); }

 private:
  const BudgetedModel& model_;
  std::unique_ptr<runtime::Executor> executor_;
  ckks::EvaluationKeys keys_;
};

}  // namespace hearth::testing
