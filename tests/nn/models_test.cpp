// Real models and images from ../shared/data, where present.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/npy.h"
#include "nn/calibrate.h"
#include "nn/onnx_import.h"
#include "nn/reference.h"
#include "nn/simplify.h"
#include "onnx_builder.h"

namespace hearth::nn {
namespace {

using testing::distance;
using testing::message_of;

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

TEST(RealModels, ActivationsAreRefusedByName) {
  SKIP_WITHOUT_DATA();
  const std::string message =
      message_of([] { import_onnx(kData / "models/resnet20_cifar10.onnx"); }, ErrorKind::kUnsupported);
  for (const char* part :
       {"resnet20_cifar10.onnx", "/Relu", "(Relu, opset 13)", "square or quadratic", "GlobalAveragePool"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " is not in: " << message;
  }
}

TEST(RealModels, MobileNetIsRefusedAtItsClip) {
  SKIP_WITHOUT_DATA();
  const std::string message =
      message_of([] { import_onnx(kData / "models/mobilenet_v2_1.0_224.onnx"); }, ErrorKind::kUnsupported);
  EXPECT_NE(message.find("Clip_2"), std::string::npos) << message;
}

}  // namespace
}  // namespace hearth::nn
