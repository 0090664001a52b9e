#include <gtest/gtest.h>

#include <atomic>

#include "base/parallel.h"
#include "runtime/executor.h"
#include "tests/base/expect_error.h"
#include "tests/compiler/random_network.h"
#include "tests/runtime/encrypted_run.h"

// What a caller sees of a run while it goes on.
namespace hearth::runtime {
namespace {

using hearth::testing::EncryptedRun;
using hearth::testing::NetworkMaker;

/// Dense, ReLU, dense on values that fill more than two ciphertexts, so that the activation takes several bootstraps.
nn::Graph wide_network(NetworkMaker& make) {
  nn::Graph g;
  g.name = "wide";
  auto v = g.add("input", nn::Input{{1, 4, 32, 32}});
  v = g.add("conv", make.conv(4, 4, {1, 1}), {v});
  v = g.add("relu", nn::Activation{nn::ActivationKind::kRelu}, {v});
  v = g.add("pool", make.conv(4, 1, {1, 1}), {v});
  return g;
}

class Hooks : public ::testing::Test {
 protected:
  Hooks() {
    NetworkMaker make(1);
    const nn::Graph graph = wide_network(make);
    input_ = make.tensor(graph.input_shape());
    compiler::CompileOptions options;
    options.security = ckks::Security::kNone;
    options.log_n = 11;
    compiled_ = compiler::compile(graph, std::vector<nn::Tensor>{input_}, options);
  }
  const compiler::Program& program() const { return compiled_.server.program; }

  nn::Tensor input_;
  compiler::Compiled compiled_;
};

TEST_F(Hooks, SeeEveryResultOnceAndTheRightProgress) {
  const EncryptedRun run(compiled_);
  std::vector<std::size_t> seen;
  double last = 0, total = 0;
  std::map<std::string, int> calls;
  std::map<std::string, double> first;
  RunHooks hooks;
  hooks.observer = [&](std::size_t i, const std::vector<ckks::Ciphertext>& result) {
    const compiler::Instruction& ins = program().instructions.at(i);
    EXPECT_EQ(result.size(), static_cast<std::size_t>(ins.ciphertexts)) << i;
    EXPECT_EQ(result.front().level, ins.level) << i;
    seen.push_back(i);
  };
  hooks.progress = [&](double done, double all, const std::string& layer) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, all);
    last = done;
    total = all;
    first.emplace(layer, done);
    ++calls[layer];
  };
  const auto watched = run.executor().run(run.keys(), run.encrypt(input_), nullptr, hooks);
  EXPECT_EQ(watched.size(), static_cast<std::size_t>(program().instructions.back().ciphertexts));
  ASSERT_EQ(seen.size(), program().instructions.size());
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], i);
  EXPECT_EQ(last, total);
  EXPECT_GE(calls.at("relu"), 2) << "four ciphertexts are two bootstraps";
  // Bootstraps are nearly all of such a program's time.
  EXPECT_LT(first.at("relu"), 0.1 * total);
  EXPECT_GT(first.at("pool"), 0.8 * total);
}

TEST_F(Hooks, ProgressGoesWithTime) {
  const EncryptedRun run(compiled_);
  RunReport report;
  std::vector<double> done;
  RunHooks hooks;
  hooks.progress = [&](double share, double all, const std::string& layer) {
    if (layer == "pool") done.push_back(share / all);
  };
  run.executor().run(run.keys(), run.encrypt(input_), &report, hooks);
  double before = 0;
  for (const StageTime& stage : report.stages) before += stage.name == "pool" ? 0 : stage.seconds;
  EXPECT_NEAR(done.front(), before / report.seconds, 0.3);
}

TEST_F(Hooks, ProgressCountsInTheCostsGiven) {
  const EncryptedRun run(compiled_);
  RunHooks hooks;
  hooks.costs.assign(program().instructions.size(), 0);
  hooks.costs.back() = 7;
  double last = -1;
  hooks.progress = [&](double done, double total, const std::string&) {
    EXPECT_EQ(total, 7);
    last = done;
  };
  run.executor().run(run.keys(), run.encrypt(input_), nullptr, hooks);
  EXPECT_EQ(last, 7);
  hooks.costs.pop_back();
  expect_error(ErrorKind::kInvalidArgument, "costs of",
               [&] { run.executor().run(run.keys(), run.encrypt(input_), nullptr, hooks); });
}

struct Stop {};

/// At every place where a run may be ended it ends there, and the executor serves the next one.
TEST_F(Hooks, ACheckpointEndsTheRunWhereverItIs) {
  const EncryptedRun run(compiled_);
  std::atomic<int> calls = 0;
  RunHooks hooks;
  hooks.checkpoint = [&] { ++calls; };
  const auto whole = run.executor().run(run.keys(), run.encrypt(input_), nullptr, hooks);
  const int all = calls;
  EXPECT_GT(all, 100) << "two bootstraps switch keys hundreds of times";
  for (const int limit : {1, 2, all / 8, all / 2, all - 1}) {
    calls = 0;
    std::size_t finished = 0;
    hooks.checkpoint = [&] {
      if (++calls >= limit) throw Stop{};
    };
    hooks.observer = [&](std::size_t, const std::vector<ckks::Ciphertext>&) { ++finished; };
    EXPECT_THROW(run.executor().run(run.keys(), run.encrypt(input_), nullptr, hooks), Stop) << limit;
    EXPECT_LT(finished, program().instructions.size()) << limit;
    EXPECT_LE(calls, limit + 10 * threads()) << "work went on elsewhere";
  }
  hooks = {};
  EXPECT_EQ(run.executor().run(run.keys(), run.encrypt(input_), nullptr, hooks).size(), whole.size());
}

}  // namespace
}  // namespace hearth::runtime
