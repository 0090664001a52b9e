// The largest of the real models from ../shared/data, where present.
#include <gtest/gtest.h>

#include "nn/onnx_import.h"
#include "nn/simplify.h"
#include "real_models.h"

namespace hearth::nn {
namespace {

using namespace testing;

TEST(RealModels, ResNet50LogitsAreReproduced) {
  SKIP_WITHOUT_DATA();
  const Graph graph = simplify(import_onnx(kData / "models/resnet50_imagenet.onnx"));
  EXPECT_LT(logit_error(graph, photographs("imagenet"), "imagenet/resnet50_logits.npy", 1), 1e-3);
}

}  // namespace
}  // namespace hearth::nn
