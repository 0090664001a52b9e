// ResNet-50's topology at a sixteenth of its width, on photographs' 224 x 224, end to end under encryption.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/compiler/random_network.h"
#include "tests/runtime/encrypted_run.h"

namespace hearth::runtime {
namespace {

using hearth::testing::EncryptedRun;
using hearth::testing::NetworkMaker;

constexpr std::int64_t kWidth = 4;  // of the stem; 64 in the original

nn::ValueId bottleneck(NetworkMaker& make, nn::Graph& g, nn::ValueId x, std::int64_t in, std::int64_t width,
                       std::int64_t stride) {
  const nn::HeightWidth strides{stride, stride};
  auto y = g.add("reduce", make.conv(in, width, {1, 1}), {x});
  y = g.add("relu", nn::Activation{}, {y});
  y = g.add("spread", make.conv(width, width, {3, 3}, strides, {1, 1, 1, 1}), {y});
  y = g.add("relu", nn::Activation{}, {y});
  y = g.add("expand", make.conv(width, 4 * width, {1, 1}), {y});
  const bool same = in == 4 * width && stride == 1;
  const auto skip = same ? x : g.add("shortcut", make.conv(in, 4 * width, {1, 1}, strides), {x});
  y = g.add("add", nn::Add{}, {y, skip});
  return g.add("relu", nn::Activation{}, {y});
}

nn::Graph resnet50(NetworkMaker& make) {
  nn::Graph g;
  g.name = "resnet50, narrow";
  auto x = g.add("input", nn::Input{{1, 3, 224, 224}});
  x = g.add("stem", make.conv(3, kWidth, {7, 7}, {2, 2}, {3, 3, 3, 3}), {x});
  x = g.add("relu", nn::Activation{}, {x});
  x = g.add("pool", nn::MaxPool{.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}}, {x});
  std::int64_t channels = kWidth, width = kWidth;
  for (const int blocks : {3, 4, 6, 3}) {
    for (int block = 0; block < blocks; ++block) {
      x = bottleneck(make, g, x, channels, width, block == 0 && width != kWidth ? 2 : 1);
      channels = 4 * width;
    }
    width *= 2;
  }
  x = g.add("average", nn::GlobalAveragePool{}, {x});
  x = g.add("flatten", nn::Reshape{{1, channels}}, {x});
  g.add("classes", make.dense(channels, 100), {x});
  return g;
}

TEST(ResNet50, NarrowAndRandomMatchesTheReference) {
  NetworkMaker make(50);
  const nn::Graph graph = resnet50(make);
  std::vector<nn::Tensor> calibration;
  for (int i = 0; i < 4; ++i) calibration.push_back(make.tensor(graph.input_shape()));
  compiler::CompileOptions options;
  options.security = ckks::Security::kNone;
  options.log_n = 13;
  options.linear_form = compiler::LinearForm::kImplicit;
  const compiler::Compiled compiled = compiler::compile(graph, calibration, options);
  EXPECT_EQ(compiled.activations.size(), 56U);  // 48 of the blocks, 8 of the pooling
  const EncryptedRun encrypted(compiled);
  const nn::Tensor want = nn::run(graph, calibration[0]);
  const std::vector<double> got = encrypted.run(calibration[0]);
  ASSERT_EQ(got.size(), want.data.size());
  double error = 0;
  for (std::size_t e = 0; e < got.size(); ++e) error += std::pow(got[e] - want.data[e], 2);
  const double rms = std::sqrt(error / static_cast<double>(got.size()));
  EXPECT_LT(rms, 3 * compiled.simulation.output_error);
  EXPECT_LT(rms, 0.15 * compiled.simulation.output_spread);
}

}  // namespace
}  // namespace hearth::runtime
