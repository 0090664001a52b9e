// Real models and images from ../shared/data, where present.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/npy.h"
#include "nn/calibrate.h"
#include "nn/equalise.h"
#include "nn/onnx_import.h"
#include "nn/reference.h"
#include "nn/simplify.h"
#include "onnx_builder.h"
#include "real_models.h"

namespace hearth::nn {
namespace {

using namespace testing;

std::vector<Tensor> mnist_images(const Shape& shape) {
  const NpyArray images = read_npy(kData / "mnist/images_u8.npy");
  Tensor batch(images.shape, images.values);
  for (float& value : batch.data) value = (value / 255.0F - 0.1307F) / 0.3081F;
  return split_batch(batch, shape);
}

double largest_logit_error(const Graph& graph) {
  const NpyArray expected = read_npy(kData / "mnist/mnist_square_cnn_logits.npy");
  const std::vector<Tensor> images = mnist_images(graph.input_shape());
  EXPECT_EQ(expected.shape, (std::vector<std::int64_t>{1000, 10}));
  double worst = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto from = expected.values.begin() + static_cast<std::ptrdiff_t>(10 * i);
    const Tensor logits({1, 10}, std::vector<float>(from, from + 10));
    worst = std::max(worst, distance(run(graph, images[i]), logits));
  }
  return worst;
}

TEST(RealModels, MnistLogitsAreReproduced) {
  SKIP_WITHOUT_DATA();
  const Graph graph = import_onnx(kData / "models/mnist_square_cnn.onnx");
  EXPECT_EQ(graph.input_shape(), (Shape{1, 1, 28, 28}));
  EXPECT_EQ(graph.nodes.size(), 7U) << to_string(graph);
  EXPECT_LT(largest_logit_error(graph), 1e-4);
}

TEST(RealModels, SimplifiedMnistLogitsAreReproduced) {
  SKIP_WITHOUT_DATA();
  const Graph graph = simplify(import_onnx(kData / "models/mnist_square_cnn.onnx"));
  check(graph);
  EXPECT_LT(largest_logit_error(graph), 1e-4) << to_string(graph);
}

TEST(RealModels, ResNet20LogitsAreReproduced) {
  SKIP_WITHOUT_DATA();
  const Graph graph = import_onnx(kData / "models/resnet20_cifar10.onnx");
  const Graph simple = simplify(graph);
  const std::vector<Tensor> images = photographs("cifar10");
  EXPECT_LT(logit_error(graph, images, "cifar10/resnet20_logits.npy", 4), 1e-4);
  EXPECT_LT(logit_error(simple, images, "cifar10/resnet20_logits.npy", 4), 1e-4) << to_string(simple);
}

TEST(RealModels, MobileNetLogitsAreReproduced) {
  SKIP_WITHOUT_DATA();
  const Graph graph = simplify(import_onnx(kData / "models/mobilenet_v2_1.0_224.onnx"));
  const std::vector<Tensor> images = centred_photographs("imagenet");
  EXPECT_EQ(graph.output_shape(), (Shape{1, 1001}));
  EXPECT_LT(logit_error(graph, images, "imagenet/mobilenet_v2_logits.npy", images.size()), 1e-4) << to_string(graph);
}

TEST(RealModels, EqualisedMobileNetKeepsItsLogits) {
  SKIP_WITHOUT_DATA();
  const Graph graph = simplify(import_onnx(kData / "models/mobilenet_v2_1.0_224.onnx"));
  const std::vector<Tensor> images = centred_photographs("imagenet");
  const Graph equal = equalise(graph, calibrate(graph, std::span(images).first(4)));
  EXPECT_LT(logit_error(equal, images, "imagenet/mobilenet_v2_logits.npy", 4), 1e-4);
}

TEST(RealModels, EqualisedResNet20KeepsItsLogitsAndNarrowsItsChannels) {
  SKIP_WITHOUT_DATA();
  const Graph graph = simplify(import_onnx(kData / "models/resnet20_cifar10.onnx"));
  const std::vector<Tensor> images = photographs("cifar10");
  const std::vector<Tensor> some(images.begin(), images.begin() + 4);
  const Calibration before = calibrate(graph, some);
  const Graph equal = equalise(graph, before);
  EXPECT_LT(logit_error(equal, images, "cifar10/resnet20_logits.npy", 4), 1e-4);
  const Calibration after = calibrate(equal, some);
  // Channels that use less than half of their layer's range, over all activations.
  const auto narrow = [&](const Calibration& calibration) {
    int count = 0;
    for (const Node& node : graph.nodes) {
      if (!std::holds_alternative<Activation>(node.op)) continue;
      const ValueRange& range = calibration.values[node.inputs[0]];
      for (const Range& channel : range.channels) count += 2 * channel.abs_max < range.overall.abs_max ? 1 : 0;
    }
    return count;
  };
  EXPECT_LT(3 * narrow(after), narrow(before));
}

}  // namespace
}  // namespace hearth::nn
