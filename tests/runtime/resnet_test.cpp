// The bundled residual network end to end, on a ring far too small to be secure.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/npy.h"
#include "nn/onnx_import.h"
#include "tests/runtime/encrypted_run.h"

namespace hearth::runtime {
namespace {

using compiler::Compiled;
using compiler::CompileOptions;
using hearth::testing::EncryptedRun;

constexpr int kLogN = 11;
constexpr std::size_t kImages = 20, kClasses = 10;

template <typename Values>
std::size_t top(const Values& values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

/// Images of one of the files in models/.
std::vector<nn::Tensor> images_of(const char* file, const nn::Shape& shape) {
  const NpyArray images = read_npy(file);
  const auto size = static_cast<std::size_t>(nn::element_count(shape));
  std::vector<nn::Tensor> out;
  for (auto at = images.values.begin(); at != images.values.end(); at += static_cast<std::ptrdiff_t>(size)) {
    out.push_back({shape, {at, at + static_cast<std::ptrdiff_t>(size)}});
  }
  return out;
}

TEST(BundledResNet, PlaintextLogitsAreThoseOfTheTrainingScript) {
  const nn::Graph graph = nn::import_onnx("models/digits_resnet.onnx");
  const NpyArray expected = read_npy("models/digits_resnet_logits.npy");
  const std::vector<nn::Tensor> images = images_of("models/digits_images.npy", graph.input_shape());
  ASSERT_EQ(expected.values.size(), images.size() * kClasses);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const nn::Tensor logits = nn::run(graph, images[i]);
    for (std::size_t k = 0; k < kClasses; ++k) {
      EXPECT_NEAR(logits.data[k], expected.values[i * kClasses + k], 1e-3) << "image " << i;
    }
  }
}

TEST(BundledResNet, EncryptedLabelsAreThePlaintextOnes) {
  const nn::Graph graph = nn::import_onnx("models/digits_resnet.onnx");
  CompileOptions options;
  options.security = ckks::Security::kNone;
  options.log_n = kLogN;
  const Compiled compiled =
      compiler::compile(graph, images_of("models/digits_calibration.npy", graph.input_shape()), options);
  ASSERT_EQ(compiled.activations.size(), 7U);

  const NpyArray expected = read_npy("models/digits_resnet_logits.npy");
  const std::vector<nn::Tensor> images = images_of("models/digits_images.npy", graph.input_shape());
  const EncryptedRun encrypted(compiled);
  double energy = 0;
  for (std::size_t i = 0; i < kImages; ++i) {
    const std::vector<double> logits = encrypted.run(images[i]);
    const auto first = expected.values.begin() + static_cast<std::ptrdiff_t>(i * kClasses);
    const std::vector<float> plain(first, first + kClasses);
    ASSERT_EQ(logits.size(), kClasses);
    EXPECT_EQ(top(logits), top(plain)) << "image " << i;
    for (std::size_t k = 0; k < kClasses; ++k) energy += std::pow(logits[k] - plain[k], 2);
  }
  const double rms = std::sqrt(energy / (kImages * kClasses));
  const compiler::Prediction& prediction = compiled.server.prediction;
  // The prediction is rms too; two units leave room for what it leaves out without hiding a lost bit.
  EXPECT_LT(rms, 2 * prediction.output_error) << compiled.dumps.at("activations");
  EXPECT_GT(rms, prediction.output_error / 4) << "the prediction has become useless";
  EXPECT_LT(prediction.output_error, 0.01 * prediction.output_rms);
  RecordProperty("rms", std::to_string(rms));
  RecordProperty("predicted", std::to_string(prediction.output_error));
}

}  // namespace
}  // namespace hearth::runtime
