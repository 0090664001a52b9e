// Networks with ReLU at 128 bits of security, through the whole chain: each step a process of its own over files.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>

#include "base/npy.h"
#include "tests/cli/shell.h"

namespace hearth {
namespace {

using cli::Json;
using testing::Shell;

constexpr std::size_t kImages = 2, kClasses = 10;

/// A model and its data: paths from the root of the repository or in the shell's folder "$D".
struct Model {
  std::string onnx, calibration, images, normalisation;
};

struct Classified {
  Json compiled, ran;
  std::vector<float> logits;  ///< of the first kImages images
};

Classified classify(const Shell& shell, const Model& model) {
  Classified out;
  out.compiled = shell.json("compile " + model.onnx + " --calibration " + model.calibration + model.normalisation +
                            " -o \"$D/out\"");
  shell.json("keygen \"$D/out/client.hearth\" -o \"$D/keys\"");
  shell.json("encrypt \"$D/out/client.hearth\" --key \"$D/keys/secret.key\" --input " + model.images + " --count " +
             std::to_string(kImages) + " -o \"$D/input.ct\"");
  out.ran = shell.json(
      "run \"$D/out/server.hearth\" --keys \"$D/keys/evaluation.key\" --input \"$D/input.ct\" -o \"$D/output.ct\"");
  shell.json(
      "decrypt \"$D/out/client.hearth\" --key \"$D/keys/secret.key\" --input \"$D/output.ct\" -o \"$D/logits.npy\"");
  out.logits = read_npy(shell / "logits.npy").values;
  return out;
}

std::ptrdiff_t top(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

double standard_deviation(std::span<const float> values) {
  double sum = 0, squares = 0;
  for (const double v : values) sum += v, squares += v * v;
  const auto count = static_cast<double>(values.size());
  return std::sqrt(squares / count - sum / count * (sum / count));
}

/// Labels as in plaintext, errors below this share of the standard deviation of all plaintext logits, 128 bits.
void expect_plaintext(const Classified& got, const std::vector<float>& plain, double share) {
  EXPECT_GE(got.compiled.at("prediction").at("security_bits").get<double>(), 128);
  ASSERT_EQ(got.logits.size(), kImages * kClasses);
  ASSERT_GE(plain.size(), got.logits.size());
  double squares = 0;
  for (std::size_t i = 0; i < got.logits.size(); ++i) squares += std::pow(double{got.logits[i]} - plain[i], 2);
  const double rms = std::sqrt(squares / static_cast<double>(got.logits.size()));
  EXPECT_LT(rms, share * standard_deviation(plain));
  for (std::size_t i = 0; i < kImages; ++i) {
    const std::size_t at = i * kClasses;
    EXPECT_EQ(top(std::span(got.logits).subspan(at, kClasses)), top(std::span(plain).subspan(at, kClasses))) << i;
  }
  fmt::print("logits off by {:.4f} rms, {:.2f} % of their standard deviation; {:.1f} s an image, peak {:.2f} GiB\n",
             rms, 100 * rms / standard_deviation(plain), got.ran.at("seconds_per_input").get<double>(),
             got.ran.at("peak_bytes").get<double>() / (1 << 30));
}

TEST(ResNet, BundledNetworkClassifiesEncryptedDigits) {
  const Shell shell;
  const Classified got =
      classify(shell, {"models/digits_resnet.onnx", "models/digits_calibration.npy", "models/digits_images.npy", ""});
  expect_plaintext(got, read_npy("models/digits_resnet_logits.npy").values, 0.01);
}

TEST(ResNet, ResNet20ClassifiesEncryptedPhotographs) {
  const std::string data = "../shared/data";
  if (!std::filesystem::exists(data + "/models/resnet20_cifar10.onnx")) GTEST_SKIP() << "skipped: no " << data;
  const Shell shell;
  const std::string images = data + "/cifar10/images_u8.npy";
  // Calibrated on other images than are classified.
  constexpr std::int64_t kCalibration = 20;
  NpyArray all = read_npy(images);
  const std::int64_t size = static_cast<std::int64_t>(all.values.size()) / all.shape[0];
  all.shape[0] = kCalibration;
  write_npy(shell / "calibration.npy", all.shape,
            std::span(all.values).last(static_cast<std::size_t>(kCalibration * size)));
  const Classified got = classify(shell, {data + "/models/resnet20_cifar10.onnx", "\"$D/calibration.npy\"", images,
                                          " --divide 255 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"});
  expect_plaintext(got, read_npy(data + "/cifar10/resnet20_logits.npy").values, 0.05);
}

}  // namespace
}  // namespace hearth
