#include "nn/calibrate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/parallel.h"
#include "base/system.h"
#include "onnx_builder.h"

namespace hearth::nn {
namespace {

using testing::message_of;
using testing::random_tensor;

Graph square_graph() {
  Graph graph;
  graph.add("x", Input{{1, 2, 1, 2}});
  graph.add("square", Multiply{}, {0, 0});
  return graph;
}

TEST(Calibrate, RangesByHand) {
  const std::vector<Tensor> inputs = {Tensor({1, 2, 1, 2}, {1, -3, 0, 2}), Tensor({1, 2, 1, 2}, {2, 0, 0, -4})};
  const Calibration out = calibrate(square_graph(), inputs);
  EXPECT_EQ(out.inputs, 2);
  ASSERT_EQ(out.values.size(), 2U);
  const Range& x = out.values[0].overall;
  EXPECT_EQ(x.min, -4);
  EXPECT_EQ(x.max, 2);
  EXPECT_EQ(x.abs_max, 4);
  EXPECT_FLOAT_EQ(x.rms, std::sqrt((1 + 9 + 4 + 4 + 16) / 8.0F));
  ASSERT_EQ(out.values[0].channels.size(), 2U);
  EXPECT_EQ(out.values[0].channels[0].min, -3);
  EXPECT_EQ(out.values[0].channels[1].max, 2);
  EXPECT_EQ(out.values[1].channels[0].max, 9);
  EXPECT_EQ(out.values[1].channels[1].max, 16);
  EXPECT_EQ(out.values[1].overall.min, 0);
}

/// The range of one channel of a {2, 3, 37} value, element by element.
Range range_by_definition(const Tensor& x, std::size_t channel) {
  Range out{x.data[channel * 37], x.data[channel * 37], 0, 0};
  double squares = 0;
  for (std::size_t i = 0; i < x.data.size(); ++i) {
    if (i / 37 % 3 != channel) continue;
    out.min = std::min(out.min, x.data[i]);
    out.max = std::max(out.max, x.data[i]);
    out.abs_max = std::max(out.abs_max, std::abs(x.data[i]));
    squares += double{x.data[i]} * x.data[i];
  }
  out.rms = static_cast<float>(std::sqrt(squares / 74));
  return out;
}

TEST(Calibrate, LongChannelsInSeveralRuns) {
  Graph graph;
  graph.add("x", Input{{1, 222}});
  graph.add("parts", Reshape{{2, 3, 37}}, {0});
  const Tensor x = random_tensor({1, 222}, 1);
  const Calibration out = calibrate(graph, std::vector<Tensor>{x});
  ASSERT_EQ(out.values[1].channels.size(), 3U);
  for (std::size_t c = 0; c < 3; ++c) {
    const Range expected = range_by_definition(x, c);
    EXPECT_EQ(out.values[1].channels[c].min, expected.min);
    EXPECT_EQ(out.values[1].channels[c].max, expected.max);
    EXPECT_EQ(out.values[1].channels[c].abs_max, expected.abs_max);
    EXPECT_FLOAT_EQ(out.values[1].channels[c].rms, expected.rms);
  }
}

// All values of the one input take 768 MiB; the limit leaves room for what sanitizers keep of freed memory.
TEST(Calibrate, ValuesAreFreedAfterTheirLastUse) {
  constexpr std::int64_t kValues = 48;
  Graph graph;
  graph.add("x", Input{{1, 1, 2048, 2048}});
  for (ValueId id = 1; id < kValues; ++id) graph.add("relu", Activation{}, {id - 1});
  const std::size_t before = peak_rss_bytes();
  const Calibration out = calibrate(graph, std::vector<Tensor>{Tensor(Shape{1, 1, 2048, 2048}, 1.0F)});
  EXPECT_EQ(out.values.back().overall.max, 1);
  EXPECT_LT(peak_rss_bytes() - before, std::size_t{500} << 20);
}

TEST(Calibrate, ThreadsDoNotChangeTheResult) {
  std::vector<Tensor> inputs;
  for (std::uint32_t i = 0; i < 150; ++i) inputs.push_back(random_tensor({1, 2, 1, 2}, i));
  const int before = threads();
  set_threads(1);
  const Calibration serial = calibrate(square_graph(), inputs);
  set_threads(2);
  const Calibration parallel = calibrate(square_graph(), inputs);
  set_threads(before);
  for (std::size_t id = 0; id < 2; ++id) {
    EXPECT_EQ(serial.values[id].overall.rms, parallel.values[id].overall.rms);
    EXPECT_EQ(serial.values[id].overall.max, parallel.values[id].overall.max);
  }
}

TEST(Calibrate, RefusesNothingWrongShapesAndInfinities) {
  const Graph graph = square_graph();
  EXPECT_NE(message_of([&] { calibrate(graph, {}); }, ErrorKind::kInvalidArgument), "");
  const std::vector<Tensor> wrong = {Tensor(Shape{1, 3})};
  EXPECT_NE(message_of([&] { calibrate(graph, wrong); }, ErrorKind::kMismatch), "");
  const std::vector<Tensor> large = {Tensor({1, 2, 1, 2}, {1e30F, 0, 0, 0})};
  const std::string message = message_of([&] { calibrate(graph, large); }, ErrorKind::kInvalidArgument);
  EXPECT_NE(message.find("'square'"), std::string::npos) << message;
  Tensor undefined(Shape{1, 2, 1, 2});
  undefined.data[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(message_of([&] { calibrate(graph, std::vector<Tensor>{undefined}); }, ErrorKind::kInvalidArgument), "");
}

TEST(Calibrate, SplitsABatch) {
  const Tensor batch({2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const std::vector<Tensor> parts = split_batch(batch, {1, 1, 2, 2});
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[1], (Tensor({1, 1, 2, 2}, {5, 6, 7, 8})));
  EXPECT_NE(message_of([&] { split_batch(batch, {1, 3}); }, ErrorKind::kMismatch), "");
}

}  // namespace
}  // namespace hearth::nn
