#include "nn/calibrate.h"

#include <algorithm>
#include <cmath>

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

  void add(float value) {
    min = std::min(min, value);
    max = std::max(max, value);
    squares += double{value} * value;
    ++count;
  }

  void add(const Statistics& other) {
    min = std::min(min, other.min);
    max = std::max(max, other.max);
    squares += other.squares;
    count += other.count;
  }

  Range range() const {
    return {min, max, std::max(std::abs(min), std::abs(max)),
            static_cast<float>(std::sqrt(squares / static_cast<double>(count)))};
  }
};

using ChannelStatistics = std::vector<Statistics>;

std::size_t channel_count(const Shape& shape) { return shape.size() < 2 ? 1 : static_cast<std::size_t>(shape[1]); }

/// Adds one value's elements, channel by channel (axis 1). Returns false if one is not finite.
bool add_tensor(ChannelStatistics& channels, const Tensor& tensor) {
  channels.resize(channel_count(tensor.shape));
  const std::size_t outer = tensor.shape.size() < 2 ? 1 : static_cast<std::size_t>(tensor.shape[0]);
  const std::size_t inner = tensor.data.size() / (outer * channels.size());
  bool finite = true;
  for (std::size_t i = 0; i < tensor.data.size(); ++i) {
    finite = finite && std::isfinite(tensor.data[i]);
    channels[i / inner % channels.size()].add(tensor.data[i]);
  }
  return finite;
}

std::vector<ChannelStatistics> statistics_of(const Graph& graph, const Tensor& input) {
  const std::vector<Tensor> values = run_all(graph, input);
  std::vector<ChannelStatistics> out(values.size());
  for (ValueId id = 0; id < values.size(); ++id) {
    require(add_tensor(out[id], values[id]), ErrorKind::kInvalidArgument,
            "node '{}' ({}) computes a value that is infinite or not a number on a calibration input",
            graph.nodes[id].name, op_name(graph.nodes[id].op));
  }
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
  constexpr std::size_t kBlock = 64;
  std::vector<ChannelStatistics> total(graph.nodes.size());
  for (std::size_t begin = 0; begin < inputs.size(); begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, inputs.size());
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
