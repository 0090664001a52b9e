#include "service/image/resample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/base/expect_error.h"
#include "tests/service/image_files.h"

namespace hearth::service {
namespace {

using testing::ramp_image;
using Samples = std::vector<std::uint8_t>;

Image resized(const Image& image, int width, int height) {
  return resample(image, width, height, {.left = 0, .top = 0, .width = width, .height = height});
}

/// One sample of a line resized to `result` samples, from the definition: the mean of all samples under a triangle.
double triangle_mean(const std::vector<double>& line, int index, int result) {
  const double scale = static_cast<double>(line.size()) / result, support = std::max(scale, 1.0);
  double sum = 0, weights = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const double distance = std::abs(static_cast<double>(i) + 0.5 - (index + 0.5) * scale);
    const double weight = std::max(0.0, 1 - distance / support);
    sum += weight * line[i];
    weights += weight;
  }
  return std::round(sum / weights);
}

/// The slow twin: sample by sample, lines gathered anew.
double twin(const Image& image, int width, int height, int x, int y, int channel) {
  std::vector<double> column;
  for (int row = 0; row < image.height; ++row) {
    std::vector<double> line;
    for (int i = 0; i < image.width; ++i) {
      const int at = (row * image.width + i) * image.channels + channel;
      line.push_back(image.samples[static_cast<std::size_t>(at)]);
    }
    column.push_back(triangle_mean(line, x, width));
  }
  return triangle_mean(column, y, height);
}

void expect_twin(const Image& image, int width, int height, const Window& window) {
  const Image out = resample(image, width, height, window);
  ASSERT_EQ(out.width, window.width);
  ASSERT_EQ(out.height, window.height);
  ASSERT_EQ(out.channels, image.channels);
  std::size_t at = 0;
  for (int y = 0; y < window.height; ++y) {
    for (int x = 0; x < window.width; ++x) {
      for (int c = 0; c < image.channels; ++c, ++at) {
        const double expected =
            twin(image, width, height, static_cast<int>(window.left) + x, static_cast<int>(window.top) + y, c);
        EXPECT_NEAR(out.samples[at], expected, 1) << width << " x " << height << " at " << x << ", " << y;
      }
    }
  }
}

TEST(Resample, IsTheMeanUnderATriangle) {
  const Image image = ramp_image(23, 17);
  for (const auto& [width, height] : {std::pair{23, 17}, {11, 8}, {8, 8}, {1, 1}, {46, 34}, {9, 40}, {30, 3}}) {
    expect_twin(image, width, height, {.left = 0, .top = 0, .width = width, .height = height});
  }
  expect_twin(ramp_image(31, 9, 1), 10, 10, {.left = 0, .top = 0, .width = 10, .height = 10});
}

TEST(Resample, AWindowIsCutOutOfTheWhole) {
  const Image image = ramp_image(40, 30);
  const Image whole = resized(image, 21, 19);
  const Image part = resample(image, 21, 19, {.left = 5, .top = 11, .width = 7, .height = 8});
  for (std::size_t y = 0; y < 8; ++y) {
    const auto from = whole.samples.begin() + static_cast<std::ptrdiff_t>(((y + 11) * 21 + 5) * 3);
    const auto to = part.samples.begin() + static_cast<std::ptrdiff_t>(y * 7 * 3);
    EXPECT_TRUE(std::equal(to, to + 21, from)) << y;
  }
}

TEST(Resample, OfTheSameSizeChangesNothing) {
  const Image image = ramp_image(12, 9);
  EXPECT_EQ(resized(image, 12, 9), image);
}

TEST(Resample, KeepsConstantImages) {
  for (const int value : {0, 1, 127, 254, 255}) {
    const Image image{
        .width = 50, .height = 40, .channels = 1, .samples = Samples(2000, static_cast<std::uint8_t>(value))};
    for (const int size : {1, 7, 49, 200}) {
      const auto out = resized(image, size, size).samples;
      EXPECT_TRUE(std::all_of(out.begin(), out.end(), [&](std::uint8_t s) { return s == value; })) << value;
    }
  }
}

/// Image.fromarray(samples).resize((w, h), Image.BILINEAR) of Pillow 13.
TEST(Resample, IsPillowsBilinear) {
  const Image image{
      .width = 6, .height = 4, .channels = 1, .samples = {0,   255, 10, 200, 30, 90, 7,  77, 177, 250, 3,  128,
                                                          255, 255, 0,  0,   64, 32, 12, 34, 56,  78,  90, 123}};
  EXPECT_EQ(resized(image, 3, 2).samples, (Samples{105, 127, 80, 115, 70, 74}));
  EXPECT_EQ(resized(image, 5, 3).samples, (Samples{45, 151, 138, 91, 84, 139, 139, 107, 66, 70, 88, 79, 47, 73, 93}));
  EXPECT_EQ(resized(image, 8, 6).samples,
            (Samples{0,   159, 163, 34,  176, 94, 53, 90,  4,   105, 139, 110, 209, 95, 52,  109,
                     48,  85,  122, 155, 201, 87, 50, 112, 214, 221, 152, 31,  40,  49, 52,  48,
                     134, 141, 101, 30,  38,  63, 77, 78,  12,  26,  42,  59,  75,  86, 102, 123}));
  EXPECT_EQ(resized(image, 4, 4).samples,
            (Samples{96, 113, 122, 68, 33, 152, 160, 81, 255, 85, 21, 44, 20, 51, 80, 111}));
}

TEST(Resample, OfAThinGiantTakesOnlyTheWindowsMemory) {
  const Image image{.width = 1 << 20, .height = 8, .channels = 1, .samples = Samples(std::size_t{8} << 20, 9)};
  const std::int64_t width = std::int64_t{1} << 33;
  const Image out = resample(image, width, 65536, {.left = width / 2, .top = 30000, .width = 8, .height = 8});
  EXPECT_EQ(out.samples, Samples(64, 9));
}

TEST(Resample, WindowsBeyondTheResultAreRefused) {
  const Image image = ramp_image(8, 8);
  for (const Window& window : {Window{1, 0, 8, 8}, Window{0, 1, 8, 8}, Window{-1, 0, 4, 4}, Window{0, 0, 0, 4}}) {
    expect_error(ErrorKind::kInvalidArgument, "window", [&] { resample(image, 8, 8, window); });
  }
}

}  // namespace
}  // namespace hearth::service
