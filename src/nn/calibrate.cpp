#include "nn/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/parallel.h"
#include "nn/reference.h"

namespace hearth::nn {

namespace {

/// A range being collected; rms is only known at the end.
struct Statistics {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
  double squares = 0;
  std::int64_t count = 0;

  void add(const Statistics& other) {
    min = std::min(min, other.min);
    max = std::max(max, other.max);
    squares += other.squares;
    count += other.count;
  }

  /// Squares of floats do not overflow a double, so their sum is finite exactly if all values are.
  bool finite() const { return std::isfinite(squares); }

  Range range() const {
    return {min, max, std::max(std::abs(min), std::abs(max)),
            static_cast<float>(std::sqrt(squares / static_cast<double>(count)))};
  }
};

/// The statistics of neighbouring values. Those kLanes apart are collected together, so that the compiler finds work
/// for vectors without reordering sums.
Statistics statistics_of(std::span<const float> values) {
  constexpr std::size_t kLanes = 16;
  std::array<float, kLanes> min, max;
  std::array<double, kLanes> squares{};
  const Statistics nothing;
  min.fill(nothing.min);
  max.fill(nothing.max);
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float value = values[i + lane];
      min[lane] = value < min[lane] ? value : min[lane];
      max[lane] = value > max[lane] ? value : max[lane];
      squares[lane] += double{value} * value;
    }
  }
  Statistics out;
  for (std::size_t lane = 0; lane < kLanes; ++lane) out.add({min[lane], max[lane], squares[lane], 0});
  for (; i < values.size(); ++i) out.add({values[i], values[i], double{values[i]} * values[i], 0});
  out.count = static_cast<std::int64_t>(values.size());
  return out;
}

using ChannelStatistics = std::vector<Statistics>;

std::size_t channel_count(const Shape& shape) { return shape.size() < 2 ? 1 : static_cast<std::size_t>(shape[1]); }

/// The statistics of one value, channel by channel (axis 1).
ChannelStatistics channels_of(const Tensor& tensor) {
  ChannelStatistics channels(channel_count(tensor.shape));
  const std::size_t outer = tensor.shape.size() < 2 ? 1 : static_cast<std::size_t>(tensor.shape[0]);
  const std::size_t runs = outer * channels.size();
  const std::size_t inner = runs == 0 ? 0 : tensor.data.size() / runs;
  const std::span<const float> values = tensor.data;
  for (std::size_t i = 0; i < runs; ++i) {
    channels[i % channels.size()].add(statistics_of(values.subspan(i * inner, inner)));
  }
  return channels;
}

std::vector<ChannelStatistics> statistics_of(const Graph& graph, const Tensor& input) {
  std::vector<ChannelStatistics> out(graph.nodes.size());
  run_visiting(graph, input, [&](ValueId id, const Tensor& value) {
    out[id] = channels_of(value);
    require(std::ranges::all_of(out[id], &Statistics::finite), ErrorKind::kInvalidArgument,
            "node '{}' ({}) computes a value that is infinite or not a number on a calibration input",
            graph.nodes[id].name, op_name(graph.nodes[id].op));
  });
  return out;
}

ValueRange to_range(const ChannelStatistics& channels) {
  ValueRange out;
  Statistics all;
  for (const Statistics& channel : channels) {
    all.add(channel);
    out.channels.push_back(channel.range());
  }
  out.overall = all.range();
  return out;
}

}  // namespace

Calibration calibrate(const Graph& graph, std::span<const Tensor> inputs) {
  require(!inputs.empty(), ErrorKind::kInvalidArgument, "calibration needs at least one input");
  // Inputs are processed in blocks and merged in order, so that sums do not depend on the number of threads and memory
  // does not grow with the number of inputs.
  const std::size_t block_size = std::max<std::size_t>(8, static_cast<std::size_t>(threads()));
  std::vector<ChannelStatistics> total(graph.nodes.size());
  for (std::size_t begin = 0; begin < inputs.size(); begin += block_size) {
    const std::size_t end = std::min(begin + block_size, inputs.size());
    std::vector<std::vector<ChannelStatistics>> block(end - begin);
    parallel_for(begin, end, [&](std::size_t i) { block[i - begin] = statistics_of(graph, inputs[i]); });
    for (const std::vector<ChannelStatistics>& one : block) {
      for (ValueId id = 0; id < total.size(); ++id) {
        total[id].resize(one[id].size());
        for (std::size_t c = 0; c < one[id].size(); ++c) total[id][c].add(one[id][c]);
      }
    }
  }
  Calibration out;
  out.inputs = static_cast<std::int64_t>(inputs.size());
  for (const ChannelStatistics& channels : total) out.values.push_back(to_range(channels));
  return out;
}

std::vector<Tensor> split_batch(const Tensor& batch, const Shape& input_shape) {
  const std::int64_t each = element_count(input_shape);
  require(each > 0 && !batch.shape.empty() && batch.shape[0] * each == batch.size(), ErrorKind::kMismatch,
          "an array of shape {} does not hold inputs of shape {}, one a row", to_string(batch.shape),
          to_string(input_shape));
  std::vector<Tensor> out;
  for (std::int64_t i = 0; i < batch.shape[0]; ++i) {
    const auto from = batch.data.begin() + i * each;
    out.emplace_back(input_shape, std::vector<float>(from, from + each));
  }
  return out;
}

}  // namespace hearth::nn
