#include "nn/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "nn/graph.h"
#include "onnx_builder.h"

namespace hearth::nn {
namespace {

using enum ActivationKind;
using testing::message_of;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const std::vector<Activation> kAll = {{kRelu},
                                      {kClip, 0, 6},
                                      {kClip, -1, 2},
                                      {kClip, 1, 3},
                                      {kClip, -kInfinity, 0},
                                      {kClip, -kInfinity, 4},
                                      {kClip, 0, kInfinity},
                                      {kClip, 2, 2},
                                      {kLeakyRelu, 0.1},
                                      {kLeakyRelu, -1},
                                      {kLeakyRelu, 1},
                                      {kElu, 1},
                                      {kElu, 0.5},
                                      {kElu, -0.5},
                                      {kSigmoid},
                                      {kHardSigmoid, 0.2, 0.5},
                                      {kHardSigmoid, -0.2, 0},
                                      {kSilu},
                                      {kHardSwish},
                                      {kGelu},
                                      {kGeluTanh},
                                      {kTanh},
                                      {kErf},
                                      {kSoftplus},
                                      {kMish},
                                      {kAbs}};

std::string label(const Activation& f) { return std::string(name(f.kind)) + "(" + parameters(f) + ")"; }

void expect_close(const Activation& f, double x, double expected) {
  EXPECT_NEAR(evaluate(f, x), expected, 1e-14 * std::max(1.0, std::abs(expected))) << label(f) << " at " << x;
}

// Values of a table of functions, or computed by hand to many digits.
TEST(Activation, Values) {
  for (const double x : {-1.5, 0.0, 2.5}) {
    expect_close({kRelu}, x, x < 0 ? 0 : x);
    expect_close({kAbs}, x, x < 0 ? -x : x);
    expect_close({kLeakyRelu, 0.1}, x, x < 0 ? 0.1 * x : x);
    expect_close({kClip, -1, 2}, x, x < 0 ? (x < -1 ? -1 : x) : (x > 2 ? 2 : x));
  }
  expect_close({kElu, 2}, -1, 2 * -0.63212055882855767);
  expect_close({kElu, 2}, 3, 3);
  expect_close({kSigmoid}, 1, 0.73105857863000488);
  expect_close({kSilu}, 1, 0.73105857863000488);
  expect_close({kHardSigmoid, 0.2, 0.5}, 1, 0.7);
  expect_close({kHardSigmoid, 0.2, 0.5}, 2.6, 1);
  expect_close({kHardSigmoid, 0.2, 0.5}, -2.6, 0);
  expect_close({kHardSwish}, 1, 4.0 / 6);
  expect_close({kHardSwish}, -4, 0);
  expect_close({kHardSwish}, 4, 4);
  expect_close({kGelu}, 1, 0.84134474606854293);
  expect_close({kGelu}, -2, -2 * 0.022750131948179207);
  EXPECT_NEAR(evaluate({kGeluTanh}, 1), 0.841192, 1e-6);
  expect_close({kTanh}, 1, 0.76159415595576489);
  expect_close({kErf}, 1, 0.84270079294971487);
  expect_close({kSoftplus}, 0, 0.69314718055994531);
  expect_close({kMish}, 1, std::tanh(1.3132616875182228));
}

TEST(Activation, LargeArgumentsNeitherOverflowNorCancel) {
  for (const Activation& f : kAll) {
    for (const double x : {-1e300, -1e4, -750.0, 750.0, 1e4, 1e300}) {
      EXPECT_TRUE(std::isfinite(evaluate(f, x))) << label(f) << " at " << x;
    }
  }
  for (const ActivationKind kind : {kSilu, kGelu, kGeluTanh, kMish, kHardSwish}) {
    EXPECT_EQ(evaluate({kind}, -1e4), 0) << name(kind);
    EXPECT_EQ(evaluate({kind}, 1e4), 1e4) << name(kind);
  }
  // Tails keep their relative precision.
  EXPECT_NEAR(evaluate({kSoftplus}, -40) / std::exp(-40), 1, 1e-12);
  EXPECT_NEAR(evaluate({kSilu}, -40) / (-40 * std::exp(-40)), 1, 1e-12);
  EXPECT_NEAR(evaluate({kMish}, -40) / (-40 * std::exp(-40)), 1, 1e-12);
  // erfc(12 / sqrt(2)) / 2 = 1.77648e-33.
  EXPECT_NEAR(evaluate({kGelu}, -12) / (-12 * 1.776482112077679e-33), 1, 1e-9);
  EXPECT_EQ(evaluate({kSoftplus}, 800), 800);
}

/// Points around the origin, the common kinks and further out.
std::vector<double> sample() {
  std::vector<double> out;
  for (int i = -800; i <= 800; ++i) out.push_back(i / 100.0);
  return out;
}

TEST(Activation, PropertiesHoldOnASample) {
  const std::vector<double> points = sample();
  for (const Activation& f : kAll) {
    SCOPED_TRACE(label(f));
    bool homogeneous = true;
    bool monotone = true;
    const auto [low, high] = value_range(f);
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double x = points[i];
      const double y = evaluate(f, x);
      for (const double c : {0.25, 4.0}) homogeneous = homogeneous && evaluate(f, c * x) == c * y;
      monotone = monotone && (i == 0 || evaluate(f, points[i - 1]) <= y);
      EXPECT_TRUE(low <= y && y <= high) << x;
    }
    EXPECT_EQ(positively_homogeneous(f), homogeneous);
    EXPECT_EQ(nondecreasing(f), monotone);
    EXPECT_EQ(zero_at_zero(f), evaluate(f, 0) == 0);
  }
}

TEST(Activation, KinksAreWhereTheSlopeJumps) {
  const double h = 1e-6;
  for (const Activation& f : kAll) {
    SCOPED_TRACE(label(f));
    std::vector<double> jumps;
    for (const double x : sample()) {
      const double left = (evaluate(f, x) - evaluate(f, x - h)) / h;
      const double right = (evaluate(f, x + h) - evaluate(f, x)) / h;
      if (std::abs(right - left) > 1e-3) jumps.push_back(x);
    }
    const std::vector<double> expected = kinks(f);
    ASSERT_EQ(jumps.size(), expected.size());
    for (std::size_t i = 0; i < jumps.size(); ++i) EXPECT_NEAR(jumps[i], expected[i], 1e-12);
  }
}

TEST(Activation, BadParametersAreRefused) {
  const double nan = std::nan("");
  for (const Activation& f :
       {Activation{kClip, 1, 0}, Activation{kClip, nan, 0}, Activation{kClip, kInfinity, kInfinity},
        Activation{kClip, -kInfinity, -kInfinity}, Activation{kLeakyRelu, kInfinity}, Activation{kElu, nan},
        Activation{kHardSigmoid, 0, 1}, Activation{kHardSigmoid, 1, nan}}) {
    const std::string message = message_of([&] { check(f); }, ErrorKind::kInvalidArgument);
    EXPECT_NE(message.find(name(f.kind)), std::string::npos) << message;
    const std::vector<Shape> inputs = {{1, 4}};
    EXPECT_NE(message_of([&] { infer_shape(f, inputs); }, ErrorKind::kInvalidArgument), "");
  }
  for (const Activation& f : kAll) check(f);
}

TEST(Activation, NamesAndParameters) {
  EXPECT_EQ(label({kRelu}), "Relu()");
  EXPECT_EQ(label(clip(0, 6)), "Clip(0, 6)");
  EXPECT_EQ(label(clip(0, kInfinity)), "Relu()");
  EXPECT_EQ(label({kLeakyRelu, 0.01}), "LeakyRelu(0.01)");
  EXPECT_EQ(name(kAbs), "Abs");
}

}  // namespace
}  // namespace hearth::nn
