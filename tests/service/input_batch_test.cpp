#include "service/wire/input_batch.h"

#include <gtest/gtest.h>

#include "tests/base/expect_error.h"

namespace hearth::service {
namespace {

using Shape = std::vector<std::int64_t>;

NpyArray array_of(const Shape& shape) {
  NpyArray out{.shape = shape, .values = {}};
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  for (std::int64_t i = 0; i < count; ++i) out.values.push_back(static_cast<float>(i));
  return out;
}

std::size_t count(const Shape& array, const Shape& input) { return count_inputs(array_of(array), input, "x.npy"); }

TEST(CountInputs, AcceptsOneInputAndStacks) {
  EXPECT_EQ(count({1, 3, 8, 8}, {1, 3, 8, 8}), 1U);
  EXPECT_EQ(count({3, 8, 8}, {1, 3, 8, 8}), 1U);
  EXPECT_EQ(count({5, 3, 8, 8}, {1, 3, 8, 8}), 5U);
  EXPECT_EQ(count({28, 28}, {1, 1, 28, 28}), 1U);
  EXPECT_EQ(count({7, 28, 28}, {1, 1, 28, 28}), 7U);
  EXPECT_EQ(count({7, 1, 28, 28}, {1, 1, 28, 28}), 7U);
  EXPECT_EQ(count({8, 8, 8}, {1, 1, 8, 8}), 8U);
  EXPECT_EQ(count({4, 10}, {1, 10}), 4U);
  EXPECT_EQ(count({10}, {1, 10}), 1U);
}

TEST(CountInputs, AcceptsImagesWithChannelsLast) {
  EXPECT_EQ(count({8, 6, 3}, {1, 3, 8, 6}), 1U);
  EXPECT_EQ(count({5, 8, 6, 3}, {1, 3, 8, 6}), 5U);
  EXPECT_EQ(count({3, 3, 3}, {1, 3, 3, 3}), 1U);
}

TEST(CountInputs, NamesBothShapesOtherwise) {
  for (const Shape& shape :
       {Shape{2, 8, 3, 8}, Shape{192}, Shape{}, Shape{3, 8}, Shape{2, 2, 3, 8, 8}, Shape{0, 3, 8, 8}}) {
    expect_error(ErrorKind::kMismatch, "x.npy has shape " + format_shape(shape), [&] { count(shape, {1, 3, 8, 8}); });
    expect_error(ErrorKind::kMismatch, "[1, 3, 8, 8]", [&] { count(shape, {1, 3, 8, 8}); });
  }
}

TEST(InputAt, GivesConsecutiveElements) {
  const NpyArray array = array_of({3, 2, 2});
  const auto second = input_at(array, Shape{1, 2, 2}, 1);
  EXPECT_EQ(std::vector<float>(second.begin(), second.end()), (std::vector<float>{4, 5, 6, 7}));
}

TEST(InputAt, MovesTrailingChannelsToTheFront) {
  const NpyArray array = array_of({2, 2, 1, 3});  // two images of 2 x 1 pixels
  EXPECT_EQ(input_at(array, Shape{1, 3, 2, 1}, 1), (std::vector<float>{6, 9, 7, 10, 8, 11}));
  EXPECT_EQ(input_at(array_of({3, 3, 3}), Shape{1, 3, 3, 3}, 0), array_of({3, 3, 3}).values) << "either reading fits";
}

TEST(Normalised, FollowsTheFormula) {
  const std::vector<float> raw{0, 255, 51, 102};
  EXPECT_EQ(normalised(raw, {}, Shape{1, 2, 2}), raw);
  const compiler::Normalisation one{.divisor = 255, .mean = {0.5}, .deviation = {0.25}};
  const auto a = normalised(raw, one, Shape{1, 2, 2});
  for (std::size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(a[i], (raw[i] / 255 - 0.5F) / 0.25F);
  const compiler::Normalisation each{.divisor = 1, .mean = {1, 2}, .deviation = {2, 4}};
  EXPECT_EQ(normalised(raw, each, Shape{1, 2, 2}), (std::vector<float>{-0.5F, 127, 12.25F, 25}));
}

TEST(Normalised, RefusesWrongChannelCountsAndZeros) {
  const std::vector<float> raw(4);
  expect_error(ErrorKind::kInvalidArgument, "2 channels", [&] {
    normalised(raw, {.divisor = 1, .mean = {1, 2, 3}, .deviation = {}}, Shape{1, 2, 2});
  });
  expect_error(ErrorKind::kInvalidArgument, "zero", [&] {
    normalised(raw, {.divisor = 0, .mean = {}, .deviation = {}}, Shape{1, 2, 2});
  });
  expect_error(ErrorKind::kInvalidArgument, "zero", [&] {
    normalised(raw, {.divisor = 1, .mean = {}, .deviation = {1, 0}}, Shape{1, 2, 2});
  });
}

}  // namespace
}  // namespace hearth::service
