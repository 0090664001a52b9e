// The largest of the real models from ../shared/data, where present.
#include <gtest/gtest.h>

#include <vector>

#include "nn/calibrate.h"
#include "nn/equalise.h"
#include "nn/onnx_import.h"
#include "nn/simplify.h"
#include "real_models.h"

namespace hearth::nn {
namespace {

using namespace testing;

TEST(RealModels, ResNet50LogitsAreReproduced) {
  SKIP_WITHOUT_DATA();
  const Graph graph = simplify(import_onnx(kData / "models/resnet50_imagenet.onnx"));
  const std::vector<Tensor> images = photographs("imagenet");
  EXPECT_LT(logit_error(graph, images, "imagenet/resnet50_logits.npy", images.size()), 1e-3);
}

TEST(RealModels, EqualisedResNet50KeepsItsLogits) {
  SKIP_WITHOUT_DATA();
  const Graph graph = simplify(import_onnx(kData / "models/resnet50_imagenet.onnx"));
  const std::vector<Tensor> images = photographs("imagenet");
  const Graph equal = equalise(graph, calibrate(graph, images));
  EXPECT_LT(logit_error(equal, images, "imagenet/resnet50_logits.npy", images.size()), 1e-3);
}

}  // namespace
}  // namespace hearth::nn
