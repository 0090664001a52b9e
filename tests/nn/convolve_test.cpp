#include "nn/convolve.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/parallel.h"
#include "nn/kernels/convolve_kernels.h"
#include "onnx_builder.h"

namespace hearth::nn {
namespace {

using testing::message_of;

/// Values of many magnitudes, so that sums in double are rounded and their order shows.
Tensor random_tensor(const Shape& shape, std::uint32_t seed) {
  std::mt19937 random(seed);
  Tensor out(shape);
  for (float& value : out.data) {
    const float mantissa = static_cast<float>(random() >> 8) * 0x1p-23F - 1.0F;
    value = std::ldexp(mantissa, static_cast<int>(random() % 24) - 12);
  }
  return out;
}

/// The image, 0 outside.
double at(const Tensor& x, std::int64_t channel, std::int64_t row, std::int64_t column) {
  const std::int64_t height = x.shape[2];
  const std::int64_t width = x.shape[3];
  if (row < 0 || row >= height || column < 0 || column >= width) return 0;
  return x.data[static_cast<std::size_t>((channel * height + row) * width + column)];
}

/// The definition written in convolve.h, element by element.
Tensor by_definition(const Conv2d& op, const Tensor& x, const Shape& shape) {
  const Shape& w = op.weights.shape;
  Tensor out(shape);
  std::size_t to = 0;
  for (std::int64_t m = 0; m < shape[1]; ++m) {
    const std::int64_t first_channel = m / (w[0] / op.groups) * w[1];
    for (std::int64_t y = 0; y < shape[2]; ++y) {
      for (std::int64_t z = 0; z < shape[3]; ++z) {
        double sum = op.bias.data[static_cast<std::size_t>(m)];
        auto tap = static_cast<std::size_t>(m * w[1] * w[2] * w[3]);
        for (std::int64_t c = 0; c < w[1]; ++c) {
          for (std::int64_t ky = 0; ky < w[2]; ++ky) {
            for (std::int64_t kx = 0; kx < w[3]; ++kx) {
              sum += op.weights.data[tap++] * at(x, first_channel + c,
                                                 y * op.strides[0] - op.pads.top + ky * op.dilations[0],
                                                 z * op.strides[1] - op.pads.left + kx * op.dilations[1]);
            }
          }
        }
        out.data[to++] = static_cast<float>(sum);
      }
    }
  }
  return out;
}

struct Case {
  std::int64_t groups, rows, channels;  ///< rows and channels of a group
  HeightWidth kernel, in, out;
  HeightWidth strides = {1, 1};
  Pads pads = {};
  HeightWidth dilations = {1, 1};
};

Conv2d operator_of(const Case& c, std::uint32_t seed) {
  return {random_tensor({c.groups * c.rows, c.channels, c.kernel[0], c.kernel[1]}, seed),
          random_tensor({c.groups * c.rows}, seed + 1),
          c.groups,
          c.strides,
          c.pads,
          c.dilations};
}

/// Compares every instruction set of this machine with the definition, bit by bit.
void expect_as_defined(const Case& c, std::uint32_t seed) {
  const Conv2d op = operator_of(c, seed);
  const Tensor x = random_tensor({1, c.groups * c.channels, c.in[0], c.in[1]}, seed + 2);
  const Shape shape = {1, c.groups * c.rows, c.out[0], c.out[1]};
  const Tensor expected = by_definition(op, x, shape);
  for (const char* isa : {"scalar", "avx2", "avx512"}) {
    const ConvolveKernels* kernels = convolve_kernels_for(isa);
    if (kernels == nullptr) continue;
    EXPECT_EQ(convolve_with(*kernels, op, x, shape), expected)
        << isa << ", seed " << seed << ": " << c.groups << " groups of " << c.rows << " x " << c.channels << ", kernel "
        << c.kernel[0] << " x " << c.kernel[1] << ", " << to_string(x.shape) << " to " << to_string(shape)
        << ", strides " << c.strides[0] << ", " << c.strides[1] << ", pads " << c.pads.top << ", " << c.pads.left
        << ", dilations " << c.dilations[0] << ", " << c.dilations[1];
  }
}

TEST(Convolve, RandomGeometriesWithPadsOfAnySign) {
  std::mt19937 random(1);
  const auto from = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    Case c{from(1, 3), from(1, 11), from(1, 4), {from(1, 4), from(1, 4)}, {from(0, 9), from(0, 20)}, {}};
    c.out = {from(0, 9), from(0, 28)};
    c.strides = {from(1, 3), from(1, 3)};
    c.pads = {from(-5, 5), from(-5, 5), from(-5, 5), from(-5, 5)};
    c.dilations = {from(1, 3), from(1, 3)};
    expect_as_defined(c, seed);
  }
}

// More rows, positions and taps than one piece of the work holds, and none a multiple of it.
TEST(Convolve, SeveralPieces) {
  expect_as_defined({1, 139, 31, {3, 3}, {17, 13}, {17, 13}, {1, 1}, {1, 1, 1, 1}}, 1);
  expect_as_defined({2, 67, 61, {3, 3}, {13, 31}, {7, 31}, {2, 1}, {1, 1, 0, 1}}, 4);
  expect_as_defined({1, 9, 300, {1, 1}, {31, 17}, {31, 17}}, 7);
}

TEST(Convolve, PointwiseReadsTheImageInPlace) {
  for (std::int64_t width = 1; width <= 17; ++width) {
    expect_as_defined({2, 5, 3, {1, 1}, {1, width}, {1, width}}, 1);
    expect_as_defined({3, 1, 1, {1, 1}, {3, width}, {3, width}}, 2);
  }
}

TEST(Convolve, Depthwise) {
  for (std::int64_t width = 1; width <= 75; width += 7) {
    expect_as_defined({5, 1, 1, {3, 3}, {9, width}, {9, width}, {1, 1}, {1, 1, 1, 1}}, 1);
    expect_as_defined({5, 2, 1, {5, 3}, {11, 2 * width}, {6, width}, {2, 2}, {0, 0, 1, 1}}, 2);
    expect_as_defined({2, 1, 40, {3, 3}, {9, width}, {9, width}, {1, 1}, {1, 1, 1, 1}}, 3);
  }
}

// A copy of the image with all of its padding would take terabytes.
TEST(Convolve, AbsurdPadsAndDilations) {
  constexpr std::int64_t kFar = std::int64_t{1} << 20;
  expect_as_defined({1, 3, 2, {2, 2}, {5, 6}, {5, 9}, {1, 1}, {kFar, kFar}, {kFar, kFar}}, 1);
  expect_as_defined({2, 1, 1, {3, 3}, {5, 6}, {4, 9}, {kFar, 1}, {0, -kFar}, {kFar - 1, kFar}}, 2);
  expect_as_defined({1, 2, 1, {1, 1}, {5, 6}, {4, 9}, {kFar, kFar}, {-kFar, 3}}, 3);
}

TEST(Convolve, NegativePadsCutOff) {
  const Conv2d op{Tensor({1, 1, 1, 1}, std::vector<float>{2}), Tensor(Shape{1}, 1.0F), 1, {1, 1}, {-1, -2, 0, 0}};
  const Tensor x({1, 1, 2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(convolve(op, x, {1, 1, 2, 3}), (Tensor({1, 1, 2, 3}, {15, 17, 1, 1, 1, 1})));
}

TEST(Convolve, ThreadsDoNotChangeTheResult) {
  const Case c{2, 70, 40, {3, 3}, {19, 23}, {19, 23}, {1, 1}, {1, 1, 1, 1}};
  const Conv2d op = operator_of(c, 1);
  const Tensor x = random_tensor({1, 80, 19, 23}, 3);
  const int before = threads();
  set_threads(1);
  const Tensor serial = convolve(op, x, {1, 140, 19, 23});
  set_threads(3);
  EXPECT_EQ(convolve(op, x, {1, 140, 19, 23}), serial);
  set_threads(before);
}

TEST(Convolve, RefusesShapesThatDoNotFit) {
  const Conv2d op = operator_of({2, 3, 2, {3, 3}, {}, {}}, 1);
  const Tensor x = random_tensor({1, 4, 5, 5}, 2);
  const auto refusal = [&](const Conv2d& conv, const Tensor& image, const Shape& shape) {
    return message_of([&] { convolve(conv, image, shape); }, ErrorKind::kInvalidArgument);
  };
  EXPECT_NE(refusal(op, random_tensor({1, 3, 5, 5}, 2), {1, 6, 3, 3}), "");
  EXPECT_NE(refusal(op, random_tensor({4, 5, 5}, 2), {1, 6, 3, 3}), "");
  EXPECT_NE(refusal(op, x, {1, 5, 3, 3}), "");
  EXPECT_NE(refusal(op, x, {1, 6, 9}), "");
  Conv2d still = op;
  still.strides = {0, 1};
  EXPECT_NE(refusal(still, x, {1, 6, 3, 3}), "");
  Conv2d biased = op;
  biased.bias = Tensor(Shape{5});
  EXPECT_NE(refusal(biased, x, {1, 6, 3, 3}), "");
}

}  // namespace
}  // namespace hearth::nn
