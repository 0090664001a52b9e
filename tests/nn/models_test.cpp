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

namespace hearth::nn {
namespace {

using testing::distance;

const std::filesystem::path kData = "../shared/data";

#define SKIP_WITHOUT_DATA() \
  if (!std::filesystem::exists(kData / "models")) GTEST_SKIP() << "skipped: ../shared/data is not there"

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

/// Images of a folder as inputs: NHWC bytes scaled, each channel shifted by its mean and divided by its deviation.
std::vector<Tensor> images_of(const char* folder, std::array<float, 3> mean, std::array<float, 3> deviation,
                              float scale) {
  const NpyArray images = read_npy(kData / folder / "images_u8.npy");
  const auto pixels = static_cast<std::size_t>(images.shape[1] * images.shape[2]);
  std::vector<Tensor> out;
  for (std::size_t i = 0; i < static_cast<std::size_t>(images.shape[0]); ++i) {
    Tensor image(Shape{1, 3, images.shape[1], images.shape[2]});
    for (std::size_t e = 0; e < 3 * pixels; ++e) {
      const float value = images.values[(i * pixels + e % pixels) * 3 + e / pixels];
      image.data[e] = (value * scale - mean[e / pixels]) / deviation[e / pixels];
    }
    out.push_back(std::move(image));
  }
  return out;
}

std::vector<Tensor> photographs(const char* folder) {
  return images_of(folder, {0.485F, 0.456F, 0.406F}, {0.229F, 0.224F, 0.225F}, 1 / 255.0F);
}

/// Largest difference between the graph's output and the recorded logits on the first `count` images.
double logit_error(const Graph& graph, const std::vector<Tensor>& images, const std::filesystem::path& logits,
                   std::size_t count) {
  const NpyArray expected = read_npy(kData / logits);
  const auto classes = static_cast<std::size_t>(expected.shape[1]);
  double worst = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Tensor y = run(graph, images[i]);
    EXPECT_EQ(y.data.size(), classes);
    for (std::size_t k = 0; k < classes; ++k) {
      worst = std::max(worst, std::abs(double{y.data[k]} - expected.values[i * classes + k]));
    }
  }
  return worst;
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
  const std::vector<Tensor> images = images_of("imagenet", {1, 1, 1}, {1, 1, 1}, 1 / 127.5F);
  EXPECT_LT(logit_error(graph, images, "imagenet/mobilenet_v2_logits.npy", 1), 1e-3) << to_string(graph);
}

TEST(RealModels, ResNet50LogitsAreReproduced) {
  SKIP_WITHOUT_DATA();
  const Graph graph = simplify(import_onnx(kData / "models/resnet50_imagenet.onnx"));
  EXPECT_LT(logit_error(graph, photographs("imagenet"), "imagenet/resnet50_logits.npy", 1), 1e-3);
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
