#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <vector>

#include "base/npy.h"
#include "nn/reference.h"

/// The models and images of ../shared/data, for tests.
namespace hearth::nn::testing {

inline const std::filesystem::path kData = "../shared/data";

#define SKIP_WITHOUT_DATA() \
  if (!std::filesystem::exists(kData / "models")) GTEST_SKIP() << "skipped: ../shared/data is not there"

/// Images of a folder as inputs: NHWC bytes scaled, each channel shifted by its mean and divided by its deviation.
inline std::vector<Tensor> images_of(const char* folder, std::array<float, 3> mean, std::array<float, 3> deviation,
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

inline std::vector<Tensor> photographs(const char* folder) {
  return images_of(folder, {0.485F, 0.456F, 0.406F}, {0.229F, 0.224F, 0.225F}, 1 / 255.0F);
}

/// The images of MobileNetV2: bytes from -1 to 1.
inline std::vector<Tensor> centred_photographs(const char* folder) {
  return images_of(folder, {1, 1, 1}, {1, 1, 1}, 1 / 127.5F);
}

/// Largest difference between the graph's output and the recorded logits on the first `count` images, whose
/// labels must agree.
inline double logit_error(const Graph& graph, const std::vector<Tensor>& images, const std::filesystem::path& logits,
                          std::size_t count) {
  const NpyArray expected = read_npy(kData / logits);
  const auto classes = static_cast<std::size_t>(expected.shape[1]);
  double worst = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Tensor y = run(graph, images[i]);
    EXPECT_EQ(y.data.size(), classes);
    const auto from = expected.values.begin() + static_cast<std::ptrdiff_t>(i * classes);
    EXPECT_EQ(std::ranges::max_element(y.data) - y.data.begin(),
              std::max_element(from, from + std::ssize(y.data)) - from)
        << "label of image " << i;
    for (std::size_t k = 0; k < classes; ++k) {
      worst = std::max(worst, std::abs(double{y.data[k]} - expected.values[i * classes + k]));
    }
  }
  return worst;
}

}  // namespace hearth::nn::testing
