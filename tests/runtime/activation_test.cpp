// Networks whose activations are bootstraps, on rings far too small to be secure.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "hearth/error.h"
#include "runtime/executor.h"
#include "tests/compiler/random_network.h"
#include "tests/runtime/encrypted_run.h"

namespace hearth::runtime {
namespace {

using compiler::Compiled;
using compiler::CompileOptions;
using hearth::testing::EncryptedRun;
using hearth::testing::NetworkMaker;
using nn::Activation;
using nn::ActivationKind;

constexpr int kLogN = 11;

CompileOptions insecure() {
  CompileOptions options;
  options.security = ckks::Security::kNone;
  options.log_n = kLogN;
  return options;
}

struct Outcome {
  double rms = 0;        ///< of the error
  double single = 0;     ///< the same where the client does not average the repetitions of a slot
  double predicted = 0;  ///< of the compiler
  double signal = 0;     ///< rms of the outputs
  Compiled compiled;
};

Outcome run(NetworkMaker& make, const nn::Graph& graph, const CompileOptions& options = insecure()) {
  std::vector<nn::Tensor> calibration;
  for (int i = 0; i < 16; ++i) calibration.push_back(make.tensor(graph.input_shape()));
  Outcome out;
  out.compiled = compiler::compile(graph, calibration, options);
  out.predicted = out.compiled.server.prediction.output_error;
  out.signal = out.compiled.server.prediction.output_rms;
  const EncryptedRun encrypted(out.compiled);
  // An rms of a few values scatters too much to be held between bounds: small outputs take more inputs.
  constexpr double kValues = 64;
  double energy = 0, single = 0, count = 0;
  for (std::size_t i = 0; i < 2 || (count < kValues && i < calibration.size()); ++i) {
    const nn::Tensor& x = calibration[i];
    const nn::Tensor want = nn::run(graph, x);
    const auto result = encrypted.executor().run(encrypted.keys(), encrypted.encrypt(x));
    const std::vector<double> got = encrypted.decrypt(result);
    const auto slots = encrypted.decrypt_slots(result);
    EXPECT_EQ(got.size(), want.data.size());
    for (std::size_t e = 0; e < got.size(); ++e) {
      const compiler::Place& place = out.compiled.client.output_layout.places[e];
      const auto& ciphertext = slots[static_cast<std::size_t>(place.ciphertext)];
      energy += std::pow(got[e] - want.data[e], 2);
      single += std::pow(ciphertext[static_cast<std::size_t>(place.slot)].real() - want.data[e], 2);
      ++count;
    }
  }
  out.rms = std::sqrt(energy / count);
  out.single = std::sqrt(single / count);
  return out;
}

void expect_precise(const Outcome& out, const std::string& what) {
  EXPECT_LT(out.rms, 4 * out.predicted) << what << "\n" << out.compiled.dumps.at("lower");
  EXPECT_LT(out.rms, 0.01 * out.signal) << what << "\n" << out.compiled.dumps.at("activations");
  // The simulation knows the very inputs, so it brackets what encryption does more closely than the prediction.
  const double simulated = out.compiled.simulation.output_error;
  EXPECT_LT(out.single, 3 * simulated) << what;
  EXPECT_GT(out.single, simulated / 3) << what;
}

TEST(ActivationNetwork, EveryActivationMatchesTheReference) {
  const Activation all[] = {
      {ActivationKind::kRelu},     {ActivationKind::kClip, 0, 0.75}, {ActivationKind::kLeakyRelu, 0.1},
      {ActivationKind::kElu, 1},   {ActivationKind::kSigmoid},       {ActivationKind::kHardSigmoid, 0.3, 0.5},
      {ActivationKind::kSilu},     {ActivationKind::kHardSwish},     {ActivationKind::kGelu},
      {ActivationKind::kGeluTanh}, {ActivationKind::kTanh},          {ActivationKind::kErf},
      {ActivationKind::kSoftplus}, {ActivationKind::kMish},          {ActivationKind::kAbs}};
  unsigned seed = 0;
  for (const Activation& f : all) {
    NetworkMaker make(++seed);
    nn::Graph g;
    g.name = "one activation";
    auto v = g.add("input", nn::Input{{1, 2, 6, 5}});
    v = g.add("conv", make.conv(2, 3, {3, 3}, {1, 1}, {1, 1, 1, 1}), {v});
    v = g.add("activation", f, {v});
    // Padding again: slots without an element must read as zero even where f(0) is not.
    v = g.add("conv 2", make.conv(3, 2, {3, 3}, {2, 2}, {1, 1, 1, 1}), {v});
    expect_precise(run(make, g), std::string(nn::name(f.kind)));
  }
}

TEST(ActivationNetwork, ResidualBranchesMeetOnOneScale) {
  NetworkMaker make(21);
  nn::Graph g;
  g.name = "residual";
  auto x = g.add("input", nn::Input{{1, 2, 6, 6}});
  x = g.add("stem", make.conv(2, 4, {3, 3}, {1, 1}, {1, 1, 1, 1}), {x});
  x = g.add("relu 0", Activation{}, {x});
  for (int block = 0; block < 2; ++block) {
    const bool wider = block == 1;
    const std::int64_t in = 4, out = wider ? 6 : 4;
    const nn::HeightWidth stride = wider ? nn::HeightWidth{2, 2} : nn::HeightWidth{1, 1};
    auto y = g.add("conv a", make.conv(in, out, {3, 3}, stride, {1, 1, 1, 1}), {x});
    y = g.add("relu a", Activation{}, {y});
    y = g.add("conv b", make.conv(out, out, {3, 3}, {1, 1}, {1, 1, 1, 1}), {y});
    const auto skip = wider ? g.add("shortcut", make.conv(in, out, {1, 1}, stride), {x}) : x;
    y = g.add("add", nn::Add{}, {y, skip});
    x = g.add("relu b", Activation{}, {y});
  }
  x = g.add("pool", nn::GlobalAveragePool{}, {x});
  x = g.add("flatten", nn::Reshape{{1, 6}}, {x});
  g.add("fc", make.dense(6, 3), {x});
  expect_precise(run(make, g), "residual");
}

TEST(ActivationNetwork, MaxPoolingIsATreeOfActivations) {
  const nn::MaxPool pools[] = {{.kernel = {2, 2}, .strides = {2, 2}},
                               {.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}},
                               {.kernel = {1, 3}, .strides = {1, 1}, .dilations = {1, 2}}};
  unsigned seed = 30;
  for (const nn::MaxPool& pool : pools) {
    NetworkMaker make(++seed);
    nn::Graph g;
    g.name = "pooled";
    auto v = g.add("input", nn::Input{{1, 2, 7, 8}});
    v = g.add("conv", make.conv(2, 3, {3, 3}, {1, 1}, {1, 1, 1, 1}), {v});
    v = g.add("pool", pool, {v});
    v = g.add("conv 2", make.conv(3, 2, {1, 1}), {v});
    expect_precise(run(make, g), "pooled");
  }
}

TEST(ActivationNetwork, MaximumOfTwoTensors) {
  NetworkMaker make(41);
  nn::Graph g;
  g.name = "maximum";
  const auto x = g.add("input", nn::Input{{1, 2, 4, 4}});
  const auto a = g.add("conv a", make.conv(2, 3, {1, 1}), {x}),
             b = g.add("conv b", make.conv(2, 3, {3, 3}, {1, 1}, {1, 1, 1, 1}), {x});
  const auto m = g.add("max", nn::Max{}, {a, b});
  g.add("conv c", make.conv(3, 2, {1, 1}), {m});
  expect_precise(run(make, g), "maximum");
}

TEST(ActivationNetwork, TensorsOverSeveralCiphertextsShareBootstrapsInPairs) {
  NetworkMaker make(51);
  nn::Graph g;
  g.name = "wide";
  auto v = g.add("input", nn::Input{{1, 3, 16, 16}});
  v = g.add("conv", make.conv(3, 12, {3, 3}, {1, 1}, {1, 1, 1, 1}), {v});  // 3072 values on 1024 slots
  v = g.add("relu", Activation{}, {v});
  v = g.add("pool", nn::GlobalAveragePool{}, {v});
  v = g.add("flatten", nn::Reshape{{1, 12}}, {v});
  g.add("fc", make.dense(12, 3), {v});
  const Outcome out = run(make, g);
  expect_precise(out, "wide");
  const auto& instructions = out.compiled.server.program.instructions;
  EXPECT_TRUE(std::any_of(instructions.begin(), instructions.end(), [](const auto& i) {
    return std::holds_alternative<compiler::ActivationOp>(i.op) && i.ciphertexts == 3;
  }));
}

TEST(ActivationNetwork, ActivationsInSuccessionAndAfterProducts) {
  NetworkMaker make(61);
  nn::Graph g;
  g.name = "chain";
  auto v = g.add("input", nn::Input{{1, 8}});
  v = g.add("tanh of the input", Activation{ActivationKind::kTanh}, {v});
  v = g.add("sigmoid", Activation{ActivationKind::kSigmoid}, {v});
  v = g.add("square", make.square(), {v});
  v = g.add("gelu", Activation{ActivationKind::kGelu}, {v});
  g.add("fc", make.dense(8, 4), {v});
  expect_precise(run(make, g), "chain");
}

TEST(ActivationNetwork, LongStretchesOfLayersAreRefreshed) {
  NetworkMaker make(65);
  nn::Graph g;
  g.name = "deep";
  auto v = g.add("input", nn::Input{{1, 8}});
  v = g.add("relu", Activation{}, {v});
  for (int i = 0; i < 24; ++i) {
    v = g.add("fc " + std::to_string(i), make.dense(8, 8), {v});
    v = g.add("quadratic", nn::Polynomial{nn::Tensor({3, 1}, {0.1F, 0.5F, 0.125F})}, {v});
  }
  const Outcome out = run(make, g);
  expect_precise(out, "deep");
  EXPECT_GT(out.compiled.activations.size(), 1U);
  EXPECT_EQ(out.compiled.activations.back().function, "refresh");
}

TEST(ActivationNetwork, InputsBeyondTheRangeSaturateAndFartherOnesWrap) {
  NetworkMaker make(71);
  nn::Graph g;
  g.name = "range";
  const auto v = g.add("input", nn::Input{{1, 16}});
  g.add("relu", Activation{}, {v});
  std::vector<nn::Tensor> calibration(1, nn::Tensor({1, 16}));
  calibration[0].data[0] = 1;
  CompileOptions options = insecure();
  options.activations.margin = 1.25;
  const Compiled compiled = compiler::compile(g, calibration, options);
  const compiler::ActivationReport& report = compiled.activations.at(0);
  EXPECT_DOUBLE_EQ(report.bound, 1.25);
  nn::Tensor x({1, 16});
  x.data[0] = static_cast<float>(report.bound * 1.03);         // in the guard band
  x.data[1] = static_cast<float>(report.half_period * 1.25);   // wrapped: reads as a negative number
  x.data[2] = static_cast<float>(-report.half_period * 1.25);  // and the other way round
  const std::vector<double> y = EncryptedRun(compiled).run(x);
  EXPECT_NEAR(y[0], report.bound, 0.08 * report.bound);
  EXPECT_NEAR(y[1], 0, 0.02);
  EXPECT_NEAR(y[2], 0.75 * report.half_period, 0.02);
}

TEST(ActivationNetwork, RefusesWhatCannotBe) {
  NetworkMaker make(81);
  nn::Graph g;
  g.name = "refused";
  const auto v = g.add("input", nn::Input{{1, 3, 4, 4}});
  g.add("relu", Activation{}, {v});
  const std::vector<nn::Tensor> zeros(2, nn::Tensor({1, 3, 4, 4}));
  EXPECT_THROW(compiler::compile(g, zeros, insecure()), Error);
  std::vector<nn::Tensor> calibration = {make.tensor({1, 3, 4, 4})};
  CompileOptions options = insecure();
  options.activations.margin = 0.5;
  EXPECT_THROW(compiler::compile(g, calibration, options), Error);
  options = insecure();
  options.security = ckks::Security::kBits128;  // no chain fits 2^11
  EXPECT_THROW(compiler::compile(g, calibration, options), Error);
}

}  // namespace
}  // namespace hearth::runtime
