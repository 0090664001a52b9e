// Networks kept as layers on a grid, as those too large for listed matrices are, on rings far too small to be secure.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "hearth/error.h"
#include "tests/base/expect_error.h"
#include "tests/compiler/random_network.h"
#include "tests/runtime/encrypted_run.h"

namespace hearth::runtime {
namespace {

using compiler::CompileOptions;
using hearth::testing::EncryptedRun;
using hearth::testing::NetworkMaker;
using nn::Activation;
using nn::ActivationKind;

const Activation kRelu6{ActivationKind::kClip, 0, 6};

CompileOptions on_grid(int log_n) {
  CompileOptions options;
  options.security = ckks::Security::kNone;
  options.log_n = log_n;
  options.linear_form = compiler::LinearForm::kImplicit;
  return options;
}

/// Outputs within `tolerance` of the reference, in units of their rms, and no worse than simulated.
void expect_precise(NetworkMaker& make, const nn::Graph& graph, const std::string& what, double tolerance = 0.02,
                    int log_n = 11) {
  std::vector<nn::Tensor> calibration;
  for (int i = 0; i < 8; ++i) calibration.push_back(make.tensor(graph.input_shape()));
  const compiler::Compiled compiled = compiler::compile(graph, calibration, on_grid(log_n));
  const EncryptedRun encrypted(compiled, 0);  // nothing is encoded ahead
  double error = 0, count = 0;
  for (int i = 0; i < 2; ++i) {
    const nn::Tensor want = nn::run(graph, calibration[static_cast<std::size_t>(i)]);
    const std::vector<double> got = encrypted.run(calibration[static_cast<std::size_t>(i)]);
    ASSERT_EQ(got.size(), want.data.size());
    for (std::size_t e = 0; e < got.size(); ++e) error += std::pow(got[e] - want.data[e], 2);
    count += static_cast<double>(got.size());
  }
  const double rms = std::sqrt(error / count);
  EXPECT_LT(rms, tolerance * compiled.server.prediction.output_rms) << what << "\n" << compiled.dumps.at("layout");
  EXPECT_LT(rms, 3 * compiled.simulation.output_error) << what;
}

TEST(GridNetwork, BottlenecksWithStridesAndResiduals) {
  NetworkMaker make(1);
  nn::Graph g;
  g.name = "bottlenecks";
  auto x = g.add("input", nn::Input{{1, 3, 14, 14}});
  x = g.add("stem", make.conv(3, 5, {3, 3}, {1, 1}, {1, 1, 1, 1}), {x});
  x = g.add("relu", Activation{}, {x});
  for (const bool wider : {false, true}) {
    const std::int64_t in = 5, out = wider ? 9 : 5;
    const nn::HeightWidth stride = wider ? nn::HeightWidth{2, 2} : nn::HeightWidth{1, 1};
    auto y = g.add("reduce", make.conv(in, 3, {1, 1}), {x});
    y = g.add("relu a", Activation{}, {y});
    y = g.add("spread", make.conv(3, 3, {3, 3}, stride, {1, 1, 1, 1}), {y});
    y = g.add("relu b", Activation{}, {y});
    y = g.add("expand", make.conv(3, out, {1, 1}), {y});
    const auto skip = wider ? g.add("shortcut", make.conv(in, out, {1, 1}, stride), {x}) : x;
    y = g.add("add", nn::Add{}, {y, skip});
    x = g.add("relu c", Activation{}, {y});
  }
  x = g.add("pool", nn::GlobalAveragePool{}, {x});
  x = g.add("flatten", nn::Reshape{{1, 9}}, {x});
  g.add("fc", make.dense(9, 6), {x});
  expect_precise(make, g, "bottlenecks");
}

TEST(GridNetwork, InvertedResidualsWithTwoLinearLayersInARow) {
  NetworkMaker make(2);
  nn::Graph g;
  g.name = "inverted";
  auto x = g.add("input", nn::Input{{1, 3, 14, 14}});
  x = g.add("stem", make.conv(3, 4, {3, 3}, {2, 2}, {0, 0, 1, 1}), {x});  // TensorFlow's SAME
  x = g.add("relu6 0", kRelu6, {x});
  x = g.add("project 0", make.conv(4, 3, {1, 1}), {x});
  for (const bool strided : {false, true}) {
    const nn::HeightWidth stride = strided ? nn::HeightWidth{2, 2} : nn::HeightWidth{1, 1};
    auto y = g.add("expand", make.conv(3, 7, {1, 1}), {x});
    y = g.add("relu6 a", kRelu6, {y});
    y = g.add("depthwise", make.conv(7, 7, {3, 3}, stride, {1, 1, 1, 1}, 7), {y});
    y = g.add("relu6 b", kRelu6, {y});
    y = g.add("project", make.conv(7, 3, {1, 1}), {y});
    x = strided ? y : g.add("add", nn::Add{}, {x, y});
  }
  x = g.add("last", make.conv(3, 8, {1, 1}), {x});
  x = g.add("relu6 last", kRelu6, {x});
  x = g.add("pool", nn::GlobalAveragePool{}, {x});
  x = g.add("classifier", make.conv(8, 5, {1, 1}), {x});
  g.add("flatten", nn::Reshape{{1, 5}}, {x});
  expect_precise(make, g, "inverted");
}

TEST(GridNetwork, StemAndMaxPoolingThatSharesTheRelu) {
  NetworkMaker make(3);
  nn::Graph g;
  g.name = "stem";
  auto x = g.add("input", nn::Input{{1, 3, 28, 28}});
  x = g.add("stem", make.conv(3, 4, {7, 7}, {2, 2}, {3, 3, 3, 3}), {x});
  x = g.add("relu", Activation{}, {x});
  x = g.add("pool", nn::MaxPool{.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}}, {x});
  x = g.add("conv", make.conv(4, 3, {3, 3}, {1, 1}, {1, 1, 1, 1}), {x});
  expect_precise(make, g, "stem");
}

TEST(GridNetwork, MaxPoolingOfActivations) {
  const nn::MaxPool pools[] = {{.kernel = {2, 2}, .strides = {2, 2}},
                               {.kernel = {3, 3}, .strides = {2, 2}, .pads = {0, 0, 1, 1}},
                               {.kernel = {3, 3}, .strides = {1, 1}, .pads = {1, 1, 1, 1}}};
  for (const nn::MaxPool& pool : pools) {
    NetworkMaker make(4);
    nn::Graph g;
    g.name = "pooled";
    auto x = g.add("input", nn::Input{{1, 2, 8, 8}});
    x = g.add("conv", make.conv(2, 3, {3, 3}, {1, 1}, {1, 1, 1, 1}), {x});
    const auto a = g.add("relu", Activation{}, {x});
    x = g.add("pool", pool, {a});
    const auto y = g.add("other", make.conv(3, 3, {1, 1}, pool.strides), {a});
    x = g.add("add", nn::Add{}, {x, y});
    x = g.add("conv 2", make.conv(3, 2, {1, 1}), {x});
    expect_precise(make, g, "pooled");
  }
}

TEST(GridNetwork, LargeKernelsGroupsAndOddSizes) {
  NetworkMaker make(5);
  nn::Graph g;
  g.name = "odd";
  auto x = g.add("input", nn::Input{{1, 2, 13, 11}});
  x = g.add("5 x 5", make.conv(2, 6, {5, 5}, {2, 2}, {2, 2, 2, 2}), {x});
  x = g.add("relu 0", Activation{}, {x});
  x = g.add("groups", make.conv(6, 9, {3, 3}, {1, 1}, {1, 1, 1, 1}, 3), {x});
  x = g.add("relu", Activation{}, {x});
  x = g.add("dilated", make.conv(9, 4, {3, 3}, {1, 1}, {2, 2, 2, 2}, 1, {2, 2}), {x});
  x = g.add("silu", Activation{ActivationKind::kSilu}, {x});
  x = g.add("1 x 1", make.conv(4, 5, {1, 1}), {x});
  x = g.add("relu 2", Activation{}, {x});
  x = g.add("flatten", nn::Reshape{{1, 5 * 42}}, {x});
  x = g.add("fc", make.dense(5 * 42, 7), {x});
  expect_precise(make, g, "odd", 0.03);
}

/// Half of the channels are eight times as small as the others, and count as much for the output.
TEST(GridNetwork, ChannelsOfSmallValuesHaveSeriesOfTheirOwn) {
  NetworkMaker make(7);
  nn::Conv2d wide = make.conv(2, 8, {3, 3}, {1, 1}, {1, 1, 1, 1});
  nn::Conv2d joined = make.conv(8, 4, {1, 1});
  for (std::size_t i = 0; i < wide.weights.data.size(); i += 36) {
    for (std::size_t k = 0; k < 18; ++k) wide.weights.data[i + k] /= 8;
  }
  for (std::size_t c = 0; c < 8; c += 2) wide.bias.data[c] /= 8;
  for (std::size_t k = 0; k < joined.weights.data.size(); k += 2) joined.weights.data[k] *= 8;
  nn::Graph g;
  g.name = "gains";
  auto x = g.add("input", nn::Input{{1, 2, 7, 7}});
  x = g.add("conv", wide, {x});
  x = g.add("relu6", Activation{ActivationKind::kClip, 0, 0.5}, {x});
  g.add("join", joined, {x});
  std::vector<nn::Tensor> calibration;
  for (int i = 0; i < 8; ++i) calibration.push_back(make.tensor(g.input_shape()));
  double errors[2] = {};
  for (const bool gains : {false, true}) {
    CompileOptions options = on_grid(11);
    options.larger_degree = 0;
    if (!gains) options.activations.channel_gain = 1;
    const compiler::Compiled compiled = compiler::compile(g, calibration, options);
    const EncryptedRun encrypted(compiled, 0);
    const nn::Tensor want = nn::run(g, calibration[0]);
    const std::vector<double> got = encrypted.run(calibration[0]);
    for (std::size_t e = 0; e < got.size(); ++e) errors[gains] += std::pow(got[e] - want.data[e], 2);
    const auto& op = std::get<compiler::ActivationOp>(compiled.server.program.instructions[2].op);
    EXPECT_EQ(op.variants.empty(), !gains);
    EXPECT_EQ(op.choices.empty(), !gains);
  }
  EXPECT_LT(std::sqrt(errors[1]), 0.5 * std::sqrt(errors[0]));
}

TEST(GridNetwork, SaysWhatItCannotDo) {
  NetworkMaker make(6);
  nn::Graph g;
  g.name = "unusual";
  auto x = g.add("input", nn::Input{{1, 2, 8, 8}});
  x = g.add("a conv", make.conv(2, 2, {3, 3}, {1, 1}, {1, 1, 1, 1}), {x});
  x = g.add("turned", nn::Transpose{{0, 1, 3, 2}}, {x});
  g.add("another", make.conv(2, 2, {1, 1}), {x});
  const std::vector<nn::Tensor> calibration = {make.tensor(g.input_shape())};
  expect_error(ErrorKind::kUnsupported, "\"turned\"", [&] { compiler::compile(g, calibration, on_grid(11)); });
  nn::Graph silu;
  silu.name = "margins";
  x = silu.add("input", nn::Input{{1, 2, 7, 7}});
  x = silu.add("conv", make.conv(2, 2, {3, 3}, {1, 1}, {1, 1, 1, 1}), {x});
  x = silu.add("silu", Activation{ActivationKind::kSilu}, {x});
  silu.add("window", make.conv(2, 2, {3, 3}, {1, 1}, {1, 1, 1, 1}), {x});
  const std::vector<nn::Tensor> typical = {make.tensor(silu.input_shape())};
  expect_error(ErrorKind::kUnsupported, "\"window\"", [&] { compiler::compile(silu, typical, on_grid(11)); });
}

}  // namespace
}  // namespace hearth::runtime
