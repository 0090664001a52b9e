// The convolutions of the plaintext reference on one thread: layers of ResNet-50 and MobileNetV2 in multiply-adds a
// second, those with the padding included.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/parallel.h"
#include "bench/report.h"
#include "nn/convolve.h"

namespace hearth::nn {
namespace {

struct Layer {
  std::string name;
  std::int64_t channels, extent, outputs, kernel, stride, groups;
};

const std::vector<Layer> kLayers = {
    {"7x7, stride 2", 3, 224, 64, 7, 2, 1},
    {"3x3, 64 channels, 56", 64, 56, 64, 3, 1, 1},
    {"3x3, 128 channels, 28", 128, 28, 128, 3, 1, 1},
    {"3x3, 256 channels, 14", 256, 14, 256, 3, 1, 1},
    {"3x3, 512 channels, 7", 512, 7, 512, 3, 1, 1},
    {"3x3, 512 channels, stride 2", 512, 14, 512, 3, 2, 1},
    {"1x1, 64 to 256, 56", 64, 56, 256, 1, 1, 1},
    {"1x1, 256 to 512, stride 2", 256, 56, 512, 1, 2, 1},
    {"1x1, 1024 to 256, 14", 1024, 14, 256, 1, 1, 1},
    {"1x1, 512 to 2048, 7", 512, 7, 2048, 1, 1, 1},
    {"depthwise 3x3, 144 channels, 56", 144, 56, 144, 3, 1, 144},
    {"depthwise, 96, stride 2, 112", 96, 112, 96, 3, 2, 96},
    {"depthwise, 960, 7", 960, 7, 960, 3, 1, 960},
};

Tensor filled(const Shape& shape) {
  Tensor tensor(shape);
  for (std::size_t i = 0; i < tensor.data.size(); ++i) tensor.data[i] = static_cast<float>(i % 251) / 251 - 0.5F;
  return tensor;
}

/// 10^9 multiply-adds a second.
double speed(const Layer& layer) {
  const std::int64_t pad = layer.kernel / 2;
  const std::int64_t out = (layer.extent + 2 * pad - layer.kernel) / layer.stride + 1;
  const Conv2d op{filled({layer.outputs, layer.channels / layer.groups, layer.kernel, layer.kernel}),
                  filled({layer.outputs}),
                  layer.groups,
                  {layer.stride, layer.stride},
                  {pad, pad, pad, pad}};
  const Tensor x = filled({1, layer.channels, layer.extent, layer.extent});
  const auto time = bench::measure(20, [&] { convolve(op, x, {1, layer.outputs, out, out}); });
  return static_cast<double>(op.weights.size() * out * out) / time.minimum / 1e3;
}

int run(int argc, char** argv) {
  bench::Report report("convolve_bench", argc, argv);
  set_threads(1);
  for (const Layer& layer : kLayers) report.add(layer.name, speed(layer), "G/s");
  return report.finish();
}

}  // namespace
}  // namespace hearth::nn

int main(int argc, char** argv) { return hearth::nn::run(argc, argv); }
