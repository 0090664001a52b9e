#include <gtest/gtest.h>

#include "base/parallel.h"
#include "tests/base/expect_error.h"
#include "tests/compiler/random_network.h"
#include "tests/runtime/encrypted_run.h"

// A run taken up again after any of its instructions ends with the same bits.
namespace hearth::runtime {
namespace {

using hearth::testing::EncryptedRun;
using hearth::testing::NetworkMaker;
using Tensor = std::vector<ckks::Ciphertext>;

/// With a branch that lives across an activation and two layers.
nn::Graph network(NetworkMaker& make) {
  nn::Graph g;
  g.name = "branch";
  auto v = g.add("input", nn::Input{{1, 2, 8, 8}});
  const auto stem = v = g.add("stem", make.conv(2, 2, {3, 3}), {v});
  v = g.add("relu", nn::Activation{nn::ActivationKind::kRelu}, {v});
  v = g.add("conv", make.conv(2, 2, {1, 1}), {v});
  v = g.add("add", nn::Add{}, {v, stem});
  v = g.add("last", make.conv(2, 1, {1, 1}), {v});
  return g;
}

Tensor copy_of(const Tensor& tensor) {
  Tensor out;
  for (const auto& c : tensor) out.push_back(c.clone());
  return out;
}

void expect_same_bits(const Tensor& a, const Tensor& b, std::size_t instruction) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].scale, b[i].scale);
    ASSERT_EQ(a[i].level, b[i].level);
    for (std::size_t p = 0; p < a[i].parts.size(); ++p) {
      const ring::Poly &x = a[i].parts[p], &y = b[i].parts[p];
      ASSERT_EQ(x.limbs(), y.limbs());
      for (std::size_t l = 0; l < x.limbs(); ++l) {
        EXPECT_TRUE(std::equal(x.limb(l), x.limb(l) + x.size(), y.limb(l))) << "resumed at " << instruction;
      }
    }
  }
}

class Resume : public ::testing::Test {
 protected:
  Resume() {
    NetworkMaker make(3);
    const nn::Graph graph = network(make);
    input_ = make.tensor(graph.input_shape());
    compiler::CompileOptions options;
    options.security = ckks::Security::kNone;
    options.log_n = 11;
    run_ = std::make_unique<EncryptedRun>(compiler::compile(graph, std::vector<nn::Tensor>{input_}, options));
  }
  const compiler::Program& program() const { return run_->executor().program(); }

  nn::Tensor input_;
  std::unique_ptr<EncryptedRun> run_;
};

TEST_F(Resume, GivesTheSameBitsAfterEveryInstruction) {
  std::vector<RunState> states;
  RunHooks hooks;
  hooks.save = [&](std::size_t done, const ResultLookup& result) {
    if (done == program().instructions.size()) return;
    states.push_back({.next = done, .values = {}});
    for (const std::size_t v : live_values(program(), done)) states.back().values.push_back(copy_of(result(v)));
  };
  const Tensor whole = run_->executor().run(run_->keys(), run_->encrypt(input_), nullptr, hooks);
  ASSERT_EQ(states.size(), program().instructions.size() - 1);
  std::size_t most = 0;
  const int before = threads();
  for (RunState& state : states) {
    const std::size_t next = state.next;
    most = std::max(most, state.values.size());
    RunReport report;
    set_threads(next % 2 == 0 ? 1 : before);
    expect_same_bits(run_->executor().resume(run_->keys(), std::move(state), &report), whole, next);
    EXPECT_EQ(report.stages.size(), program().instructions.size() - next);
  }
  set_threads(before);
  EXPECT_GE(most, 2U) << "the branch lives beside the trunk";
}

TEST_F(Resume, RefusesStatesThatDoNotFit) {
  const auto refused = [&](const std::string& part, RunState state) {
    expect_error(ErrorKind::kMismatch, part, [&] { run_->executor().resume(run_->keys(), std::move(state)); });
  };
  refused("cannot go on at instruction", {.next = program().instructions.size(), .values = {}});
  refused("needs 1 value(s)", {.next = 1, .values = {}});
  refused("ciphertext(s)", {.next = 1, .values = std::vector<Tensor>(1)});
  RunState late{.next = program().instructions.size() - 1, .values = {}};
  late.values.push_back(run_->encrypt(input_));
  refused("is at level", std::move(late));
}

}  // namespace
}  // namespace hearth::runtime
