#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "nn/graph.h"

namespace hearth::testing {

/// Tensors and small networks from a seed.
class NetworkMaker {
 public:
  explicit NetworkMaker(unsigned seed) : rng_(seed) {}

  nn::Tensor tensor(nn::Shape shape, double magnitude = 1) {
    nn::Tensor t(std::move(shape));
    std::uniform_real_distribution<float> u(static_cast<float>(-magnitude), static_cast<float>(magnitude));
    for (float& v : t.data) v = u(rng_);
    return t;
  }
  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(rng_); }

  nn::Conv2d conv(std::int64_t in, std::int64_t out, nn::HeightWidth kernel, nn::HeightWidth strides = {1, 1},
                  nn::Pads pads = {}, std::int64_t groups = 1, nn::HeightWidth dilations = {1, 1}) {
    const double fan_in = static_cast<double>(in / groups * kernel[0] * kernel[1]);
    return {tensor({out, in / groups, kernel[0], kernel[1]}, 1.7 / std::sqrt(fan_in)),
            tensor({out}, 0.3),
            groups,
            strides,
            pads,
            dilations};
  }
  nn::Dense dense(std::int64_t in, std::int64_t out) {
    return {tensor({out, in}, 1.7 / std::sqrt(static_cast<double>(in))), tensor({out}, 0.3)};
  }
  nn::Polynomial square() { return {nn::Tensor({3, 1}, {0, 0, 1})}; }

  /// Conv, square, dense, square, dense: the shape of most networks here.
  nn::Graph small_cnn() {
    nn::Graph g;
    g.name = "small";
    auto v = g.add("input", nn::Input{{1, 2, 6, 5}});
    v = g.add("conv", conv(2, 3, {3, 3}, {2, 2}, {1, 1, 1, 1}), {v});
    v = g.add("square", square(), {v});
    v = g.add("flatten", nn::Reshape{{1, nn::element_count(g.nodes[v].shape)}}, {v});
    v = g.add("fc1", dense(nn::element_count(g.nodes[v].shape), 7), {v});
    v = g.add("square2", square(), {v});
    g.add("fc2", dense(7, 4), {v});
    return g;
  }

  /// Branches, concatenation, slices, padding, transposition, per-channel quadratics and products.
  nn::Graph branchy() {
    nn::Graph g;
    g.name = "branchy";
    const auto in = g.add("input", nn::Input{{1, 3, 5, 6}});
    const auto a = g.add("conv a", conv(3, 4, {3, 3}, {1, 1}, {1, 1, 1, 1}), {in});
    const auto q = g.add("quadratic", nn::Polynomial{tensor({3, 4}, 0.8)}, {a});
    const auto b = g.add("conv b", conv(3, 4, {1, 1}), {in});
    const auto sum = g.add("add", nn::Add{}, {q, b});
    const auto other = g.add("conv c", conv(3, 4, {3, 1}, {1, 1}, {1, 0, 1, 0}), {in});
    const auto product = g.add("product", nn::Multiply{}, {sum, other});
    const auto part = g.add("slice", nn::Slice{{0, 1, 0, 4}, {1, 1, 2, -2}, {1, 2, 3, 3}}, {product});
    const auto half = g.add("slice b", nn::Slice{{0, 0, 0, 0}, {1, 2, 2, 2}, {1, 2, 3, 3}}, {b});
    const auto joined = g.add("concat", nn::Concat{1}, {part, half});
    const auto turned = g.add("transpose", nn::Transpose{{0, 2, 1, 3}}, {joined});
    const auto padded = g.add("pad", nn::Pad{{0, 0, 1, 0}, {0, 0, 0, 1}, 0.0F}, {turned});
    const auto less = g.add("sub", nn::Sub{}, {padded, padded});
    const auto shifted = g.add("offset", nn::AddConstant{tensor({1, 3, 1, 1})}, {less});
    const auto both = g.add("sum", nn::Add{}, {shifted, padded});
    const auto flat = g.add("flatten", nn::Reshape{{1, nn::element_count(g.nodes[both].shape)}}, {both});
    g.add("fc", dense(nn::element_count(g.nodes[flat].shape), 5), {flat});
    return g;
  }

 private:
  std::mt19937 rng_;
};

}  // namespace hearth::testing
