#pragma once

#include <optional>
#include <vector>

#include "ckks/secret/encryption.h"
#include "ckks/secret/key_generator.h"
#include "compiler/compile.h"
#include "nn/reference.h"
#include "runtime/executor.h"

namespace hearth::testing {

/// Client and server of one compiled model in one process.
class EncryptedRun {
 public:
  explicit EncryptedRun(const compiler::Compiled& compiled, std::size_t encoded_budget = compiler::kEncodedBudget)
      : client_(compiled.client),
        parameters_(ckks::Parameters::create(client_.parameters)),
        encoder_(parameters_),
        secret_(ckks::generate_secret_key(parameters_)),
        keys_(ckks::KeyGenerator(secret_, ring::random_seed()).evaluation_keys(client_.keys)),
        executor_(parameters_, compiled.server.program, {}, encoded_budget) {}

  std::vector<ckks::Ciphertext> encrypt(const nn::Tensor& x) const {
    std::vector<ckks::Ciphertext> out;
    for (const auto& slots : slots_of(x)) {
      const auto plain = encoder_.encode(slots, client_.input_scale, parameters_->q_basis(client_.input_level), false);
      out.push_back(ckks::expand(*parameters_, ckks::encrypt_seeded(secret_, plain, client_.input_level)));
    }
    return out;
  }

  /// Everything that a client can see of a result.
  std::vector<std::vector<std::complex<double>>> decrypt_slots(const std::vector<ckks::Ciphertext>& c) const {
    std::vector<std::vector<std::complex<double>>> slots;
    for (const auto& one : c) slots.push_back(ckks::decrypt_slots(secret_, encoder_, one));
    return slots;
  }

  std::vector<double> decrypt(const std::vector<ckks::Ciphertext>& c) const {
    const auto slots = decrypt_slots(c);
    std::vector<double> out;
    const auto period = static_cast<std::size_t>(client_.output_layout.period);
    for (const compiler::Place& p : client_.output_layout.places) {
      const auto& repeated = slots[static_cast<std::size_t>(p.ciphertext)];
      double sum = 0;
      for (auto s = static_cast<std::size_t>(p.slot); s < repeated.size(); s += period) sum += repeated[s].real();
      out.push_back(sum * static_cast<double>(period) / static_cast<double>(repeated.size()));
    }
    return out;
  }

  std::vector<double> run(const nn::Tensor& x, runtime::RunReport* report = nullptr) const {
    return decrypt(executor_.run(keys_, encrypt(x), report));
  }

  const runtime::Executor& executor() const { return executor_; }
  const ckks::EvaluationKeys& keys() const { return keys_; }

 private:
  std::vector<std::vector<double>> slots_of(const nn::Tensor& x) const {
    const compiler::Layout& layout = client_.input_layout;
    std::vector<std::vector<double>> slots(static_cast<std::size_t>(layout.ciphertexts),
                                           std::vector<double>(static_cast<std::size_t>(layout.period), 0));
    for (std::size_t e = 0; e < layout.places.size(); ++e) {
      const compiler::Place& p = layout.places[e];
      slots[static_cast<std::size_t>(p.ciphertext)][static_cast<std::size_t>(p.slot)] = x.data[e];
    }
    return slots;
  }

  compiler::ClientBundle client_;
  ckks::ParametersPtr parameters_;
  ckks::Encoder encoder_;
  ckks::SecretKey secret_;
  ckks::EvaluationKeys keys_;
  runtime::Executor executor_;
};

}  // namespace hearth::testing
