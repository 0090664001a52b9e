#include "runtime/executor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hearth/error.h"
#include "tests/compiler/random_network.h"
#include "tests/runtime/encrypted_run.h"

namespace hearth::runtime {
namespace {

using compiler::Compiled;
using compiler::CompileOptions;
using hearth::testing::EncryptedRun;
using hearth::testing::NetworkMaker;

CompileOptions insecure(int log_n) {
  CompileOptions options;
  options.security = ckks::Security::kNone;
  options.log_n = log_n;
  return options;
}

struct Comparison {
  double rms = 0, largest = 0;
  Compiled compiled;
};

/// Compiles, runs `count` random inputs under encryption and compares with the reference executor.
Comparison compare(NetworkMaker& make, const nn::Graph& graph, const CompileOptions& options, int count = 2) {
  std::vector<nn::Tensor> calibration;
  for (int i = 0; i < 16; ++i) calibration.push_back(make.tensor(graph.input_shape()));
  Comparison c;
  c.compiled = compiler::compile(graph, calibration, options);
  const EncryptedRun run(c.compiled);
  double energy = 0;
  std::size_t outputs = 0;
  for (int i = 0; i < count; ++i) {
    const nn::Tensor& x = calibration[static_cast<std::size_t>(i)];
    const nn::Tensor want = nn::run(graph, x);
    const std::vector<double> got = run.run(x);
    EXPECT_EQ(got.size(), want.data.size());
    for (std::size_t e = 0; e < got.size(); ++e) {
      const double error = std::abs(got[e] - want.data[e]);
      c.largest = std::max(c.largest, error);
      energy += error * error;
      ++outputs;
    }
  }
  c.rms = std::sqrt(energy / static_cast<double>(outputs));
  return c;
}

TEST(Executor, SmallNetworkMatchesTheReferenceWithinThePredictedNoise) {
  for (unsigned seed = 0; seed < 3; ++seed) {
    NetworkMaker make(seed);
    const Comparison c = compare(make, make.small_cnn(), insecure(11), 6);
    const double predicted = c.compiled.server.prediction.output_error;
    EXPECT_LT(c.rms, 3 * predicted) << c.compiled.dumps.at("lower");
    EXPECT_GT(c.rms, predicted / 5) << "the prediction is far too pessimistic";
    EXPECT_LT(c.rms, 3e-3 * c.compiled.server.prediction.output_rms);
  }
}

/// Weights that do not fit the budget are encoded in every run, from diagonals or from the layers they belong to.
TEST(Executor, WeightsEncodedInTheRunGiveTheSameResults) {
  NetworkMaker make(5);
  nn::Graph g;
  g.name = "layers";
  auto v = g.add("input", nn::Input{{1, 4, 8, 8}});
  v = g.add("conv", make.conv(4, 8, {3, 3}, {1, 1}, {1, 1, 1, 1}), {v});
  v = g.add("square", make.square(), {v});
  v = g.add("conv2", make.conv(8, 8, {3, 3}, {2, 2}, {1, 1, 1, 1}), {v});
  v = g.add("pool", nn::GlobalAveragePool{}, {v});
  g.add("scaled", nn::MulConstant{make.tensor({1, 8, 1, 1})}, {v});
  const std::vector<nn::Tensor> inputs = {make.tensor(g.input_shape()), make.tensor(g.input_shape())};
  const Compiled compiled = compiler::compile(g, inputs, insecure(11));
  EXPECT_NE(compiled.dumps.at("lower").find("3 x 3/1, 4x8x8 -> 8x8x8: 288 weights"), std::string::npos)
      << compiled.dumps.at("lower");
  const double predicted = compiled.server.prediction.output_error;
  const nn::Tensor want = nn::run(g, inputs[0]);
  std::size_t bytes = compiler::kEncodedBudget;
  for (const std::size_t budget : {compiler::kEncodedBudget, std::size_t{1000}}) {
    const EncryptedRun run(compiled, budget);
    EXPECT_LT(run.executor().plaintext_bytes(), bytes);
    bytes = run.executor().plaintext_bytes() / 4;
    const std::vector<double> got = run.run(inputs[0]);
    for (std::size_t e = 0; e < got.size(); ++e) EXPECT_NEAR(got[e], want.data[e], 8 * predicted) << budget;
  }
}

TEST(Executor, BranchesJoinsAndProductsMatchTheReference) {
  for (unsigned seed = 0; seed < 4; ++seed) {
    NetworkMaker make(seed);
    const Comparison c = compare(make, make.branchy(), insecure(11));
    EXPECT_LT(c.rms, 6 * c.compiled.server.prediction.output_error) << c.compiled.dumps.at("lower");
    EXPECT_LT(c.rms, 1e-2 * c.compiled.server.prediction.output_rms);
  }
}

TEST(Executor, TensorsOverSeveralCiphertexts) {
  NetworkMaker make(11);
  nn::Graph g;
  g.name = "wide";
  auto v = g.add("input", nn::Input{{1, 6, 20, 20}});  // 2400 values on 1024 slots
  v = g.add("conv", make.conv(6, 8, {3, 3}, {1, 1}, {1, 1, 1, 1}, 2), {v});
  v = g.add("square", make.square(), {v});
  v = g.add("conv2", make.conv(8, 4, {3, 3}, {2, 2}, {1, 1, 1, 1}), {v});
  const Comparison c = compare(make, g, insecure(11), 1);
  EXPECT_GT(c.compiled.client.input_layout.ciphertexts, 1);
  EXPECT_LT(c.rms, 4 * c.compiled.server.prediction.output_error) << c.compiled.dumps.at("lower");
}

TEST(Executor, PolynomialActivations) {
  NetworkMaker make(12);
  nn::Graph g;
  g.name = "cubic";
  auto v = g.add("input", nn::Input{{1, 10}});
  v = g.add("fc1", make.dense(10, 12), {v});
  v = g.add("cubic", nn::Polynomial{nn::Tensor({4, 1}, {0.1F, 0.9F, -0.3F, 0.2F})}, {v});
  v = g.add("fc2", make.dense(12, 6), {v});
  v = g.add("negative square", nn::Polynomial{nn::Tensor({3, 1}, {0.4F, 0.7F, -0.5F})}, {v});
  g.add("fc3", make.dense(6, 3), {v});
  const Comparison c = compare(make, g, insecure(11), 4);
  EXPECT_LT(c.rms, 1e-3 * c.compiled.server.prediction.output_rms) << c.compiled.dumps.at("lower");
}

TEST(Executor, DefaultsReachFullSecurityAndThePrecisionAskedFor) {
  NetworkMaker make(13);
  const Comparison c = compare(make, make.small_cnn(), {}, 2);
  const auto& p = c.compiled.server.prediction;
  EXPECT_LE(p.log_qp, p.log_qp_limit);
  EXPECT_GE(p.security_bits, 128);
  EXPECT_LE(p.output_error, 1e-4 * p.output_rms);
  EXPECT_LT(c.rms, 4 * p.output_error);
}

/// The client decrypts whole ciphertexts: apart from the output, every slot must be zero up to noise.
TEST(Executor, OutputsCarryNothingElse) {
  NetworkMaker make(16);
  nn::Graph g;
  g.name = "sliced";
  auto v = g.add("input", nn::Input{{1, 20}});
  v = g.add("fc", make.dense(20, 30), {v});
  v = g.add("shifted square", nn::Polynomial{nn::Tensor({3, 1}, {5, 1, 1})}, {v});
  g.add("slice", nn::Slice{{0, 3}, {1, 2}, {1, 7}}, {v});
  const nn::Tensor x = make.tensor(g.input_shape());
  const Compiled compiled = compiler::compile(g, std::vector<nn::Tensor>{x}, insecure(11));
  const EncryptedRun run(compiled);
  const auto& layout = compiled.client.output_layout;
  std::vector<bool> used(static_cast<std::size_t>(layout.period), false);
  for (const compiler::Place& p : layout.places) used[static_cast<std::size_t>(p.slot)] = true;
  const auto slots = run.decrypt_slots(run.executor().run(run.keys(), run.encrypt(x)));
  for (const auto& ciphertext : slots) {
    for (std::size_t s = 0; s < ciphertext.size(); ++s) {
      if (used[s % used.size()]) continue;
      ASSERT_LT(std::abs(ciphertext[s]), 0.05) << "slot " << s;
    }
  }
}

TEST(Executor, ReportsEveryInstruction) {
  NetworkMaker make(14);
  const nn::Graph graph = make.small_cnn();
  const nn::Tensor x = make.tensor(graph.input_shape());
  const Compiled compiled = compiler::compile(graph, std::vector<nn::Tensor>{x}, insecure(11));
  const EncryptedRun run(compiled);
  RunReport report;
  run.run(x, &report);
  ASSERT_EQ(report.stages.size(), compiled.server.program.instructions.size());
  EXPECT_GT(report.seconds, 0);
  EXPECT_GT(run.executor().plaintext_bytes(), 0U);
}

TEST(Executor, RefusesWhatDoesNotBelong) {
  NetworkMaker make(15);
  const nn::Graph graph = make.small_cnn();
  const nn::Tensor x = make.tensor(graph.input_shape());
  const Compiled compiled = compiler::compile(graph, std::vector<nn::Tensor>{x}, insecure(11));
  const EncryptedRun run(compiled);
  const auto expect_mismatch = [&](std::vector<ckks::Ciphertext> input, const ckks::EvaluationKeys& keys) {
    try {
      run.executor().run(keys, std::move(input));
      ADD_FAILURE() << "not refused";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kMismatch) << e.what();
    }
  };
  expect_mismatch({}, run.keys());
  auto wrong_scale = run.encrypt(x);
  wrong_scale[0].scale *= 2;
  expect_mismatch(std::move(wrong_scale), run.keys());
  auto foreign = run.encrypt(x);
  foreign[0].parameters_id ^= 1;
  expect_mismatch(std::move(foreign), run.keys());
  expect_mismatch(run.encrypt(x), ckks::EvaluationKeys{});
  ckks::EvaluationKeys none;
  none.parameters_id = compiled.client.keys.galois.empty() ? 0 : run.keys().parameters_id;
  expect_mismatch(run.encrypt(x), none);
}

}  // namespace
}  // namespace hearth::runtime
