// Linear operators as layers, for networks whose matrices are too large to be listed.
#include <numeric>
#include <variant>

#include "base/error.h"
#include "compiler/affine.h"
#include "nn/convolve.h"

namespace hearth::compiler {
namespace {

/// A factor a channel as a depthwise layer; null unless `factors` is constant on every channel.
std::shared_ptr<const Convolution> scaling(const std::vector<float>& factors, const nn::Shape& shape) {
  const auto [channels, height, width] = nn::as_chw(shape);
  const std::size_t plane = static_cast<std::size_t>(height * width);
  auto layer = std::make_shared<Convolution>();
  layer->in = layer->out = {static_cast<int>(channels), static_cast<int>(height), static_cast<int>(width)};
  layer->groups = static_cast<int>(channels);
  for (std::size_t e = 0; e < factors.size(); ++e) {
    if (e % plane == 0) layer->weights.push_back(factors[e]);
    if (factors[e] != layer->weights.back()) return nullptr;
  }
  return layer;
}

std::vector<double> spread(const std::vector<float>& by_channel, const nn::Shape& shape) {
  std::vector<double> out(static_cast<std::size_t>(nn::element_count(shape)));
  const std::size_t each = out.size() / by_channel.size();
  for (std::size_t e = 0; e < out.size(); ++e) out[e] = by_channel[e / each];
  return out;
}

/// Means of whole planes as a 1 x 1 layer whose results are summed.
Layer mean_of_planes(const nn::Shape& input) {
  const auto [channels, height, width] = nn::as_chw(input);
  auto layer = std::make_shared<Convolution>();
  layer->in = {static_cast<int>(channels), static_cast<int>(height), static_cast<int>(width)};
  layer->out = {static_cast<int>(channels), 1, 1};
  layer->groups = static_cast<int>(channels);
  layer->weights.assign(static_cast<std::size_t>(channels), 1.0F / static_cast<float>(height * width));
  return {layer, std::vector<double>(static_cast<std::size_t>(channels), 0), true};
}

bool means_planes(const nn::Op& op, const nn::Shape& input) {
  if (input.size() != 4) return false;
  if (std::holds_alternative<nn::GlobalAveragePool>(op)) return true;
  const auto* mean = std::get_if<nn::ReduceMean>(&op);
  if (mean) return mean->axes == std::vector<std::int64_t>{2, 3};
  const auto* pool = std::get_if<nn::AveragePool>(&op);
  return pool && pool->kernel == nn::HeightWidth{input[2], input[3]} && pool->pads == nn::Pads{};
}

std::vector<double> bias_of(const nn::Op& op, const nn::Shape& output) {
  if (const auto* conv = std::get_if<nn::Conv2d>(&op)) return spread(conv->bias.data, output);
  if (const auto* dense = std::get_if<nn::Dense>(&op)) return spread(dense->bias.data, output);
  if (const auto* norm = std::get_if<nn::BatchNorm>(&op)) return spread(norm->shift.data, output);
  return std::vector<double>(static_cast<std::size_t>(nn::element_count(output)), 0);
}

nn::Conv2d as_operator(const Convolution& c) {
  nn::Conv2d op;
  op.weights = nn::Tensor({c.out[0], c.in[0] / c.groups, c.kernel[0], c.kernel[1]}, c.weights);
  op.bias = nn::Tensor({c.out[0]});
  op.groups = c.groups;
  op.strides = {c.strides[0], c.strides[1]};
  op.dilations = {c.dilations[0], c.dilations[1]};
  op.pads = {.top = c.pads[0], .left = c.pads[1], .bottom = 0, .right = 0};
  return op;
}

/// Sums of planes: {C, H, W} to {C, 1, 1}.
std::vector<float> plane_sums(const std::vector<double>& x, int channels) {
  std::vector<float> out;
  const std::size_t plane = x.size() / static_cast<std::size_t>(channels);
  for (std::size_t at = 0; at < x.size(); at += plane) {
    const auto begin = x.begin() + static_cast<std::ptrdiff_t>(at);
    out.push_back(static_cast<float>(std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(plane), 0.0)));
  }
  return out;
}

}  // namespace

Layer to_layer(const std::string& node, const nn::Op& op, const nn::Shape& input, const nn::Shape& output) {
  if (means_planes(op, input)) return mean_of_planes(input);
  Layer out{to_convolution(op, input, output), bias_of(op, output)};
  if (const auto* norm = std::get_if<nn::BatchNorm>(&op)) {
    const std::vector<double> factors = spread(norm->scale.data, input);
    out.layer = scaling({factors.begin(), factors.end()}, input);
  }
  if (const auto* factor = std::get_if<nn::MulConstant>(&op)) {
    out.layer = scaling(nn::broadcast_to(factor->constant, output).data, input);
  }
  require(out.layer != nullptr, ErrorKind::kUnsupported,
          "node \"{}\": {} is not supported in networks as large as this one; convolutions, dense layers, factors by "
          "channel and pooling without padding are",
          node, nn::op_name(op));
  return out;
}

std::vector<double> apply_convolution(const Convolution& layer, bool pooled, const std::vector<double>& bias,
                                      const std::vector<double>& x) {
  const nn::Shape in{1, layer.in[0], pooled ? 1 : layer.in[1], pooled ? 1 : layer.in[2]};
  const std::vector<float> values = pooled ? plane_sums(x, layer.in[0]) : std::vector<float>(x.begin(), x.end());
  const nn::Tensor y =
      nn::convolve(as_operator(layer), nn::Tensor(in, values), {1, layer.out[0], layer.out[1], layer.out[2]});
  std::vector<double> out(y.data.begin(), y.data.end());
  for (std::size_t e = 0; e < out.size(); ++e) out[e] += bias[e];
  return out;
}

double products_of(const nn::Op& op, const nn::Shape& input, const nn::Shape& output) {
  const auto rows = static_cast<double>(nn::element_count(output));
  if (const auto* conv = std::get_if<nn::Conv2d>(&op)) {
    return rows * static_cast<double>(conv->weights.size() / conv->weights.shape[0]);
  }
  if (std::holds_alternative<nn::Dense>(op)) return rows * static_cast<double>(input.back());
  return static_cast<double>(nn::element_count(input));
}

}  // namespace hearth::compiler
