#include "nn/reference.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "onnx_builder.h"
#include "random_graph.h"

namespace hearth::nn {
namespace {

using testing::distance;
using testing::random_tensor;

Tensor apply(const Op& op, const Tensor& x) { return evaluate(op, {&x}); }

Tensor row(std::vector<float> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return {{1, count}, std::move(values)};
}

Tensor image(std::int64_t height, std::int64_t width, std::vector<float> values) {
  return {{1, 1, height, width}, std::move(values)};
}

/// Element (c, y, x) of an image, 0 outside it.
double at(const Tensor& t, std::int64_t c, std::int64_t y, std::int64_t x) {
  if (y < 0 || x < 0 || y >= t.shape[2] || x >= t.shape[3]) return 0;
  return t.data[static_cast<std::size_t>((c * t.shape[2] + y) * t.shape[3] + x)];
}

/// Convolution by its definition, one output element at a time.
Tensor naive_conv(const Conv2d& op, const Tensor& x) {
  const Shape& w = op.weights.shape;
  Tensor y(infer_shape(op, std::vector<Shape>{x.shape}));
  std::size_t out = 0;
  for (std::int64_t m = 0; m < w[0]; ++m) {
    for (std::int64_t oy = 0; oy < y.shape[2]; ++oy) {
      for (std::int64_t ox = 0; ox < y.shape[3]; ++ox) {
        double sum = op.bias.data[static_cast<std::size_t>(m)];
        for (std::int64_t c = 0; c < w[1]; ++c) {
          const std::int64_t channel = m / (w[0] / op.groups) * w[1] + c;
          for (std::int64_t ky = 0; ky < w[2]; ++ky) {
            for (std::int64_t kx = 0; kx < w[3]; ++kx) {
              const std::int64_t iy = oy * op.strides[0] - op.pads.top + ky * op.dilations[0];
              const std::int64_t ix = ox * op.strides[1] - op.pads.left + kx * op.dilations[1];
              const auto tap = static_cast<std::size_t>(((m * w[1] + c) * w[2] + ky) * w[3] + kx);
              sum += op.weights.data[tap] * at(x, channel, iy, ix);
            }
          }
        }
        y.data[out++] = static_cast<float>(sum);
      }
    }
  }
  return y;
}

/// Average pooling by its definition.
Tensor naive_pool(const AveragePool& op, const Tensor& x) {
  Tensor y(infer_shape(op, std::vector<Shape>{x.shape}));
  std::size_t out = 0;
  for (std::int64_t c = 0; c < x.shape[1]; ++c) {
    for (std::int64_t oy = 0; oy < y.shape[2]; ++oy) {
      for (std::int64_t ox = 0; ox < y.shape[3]; ++ox) {
        double sum = 0;
        int count = 0;
        for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
          for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
            const std::int64_t iy = oy * op.strides[0] - op.pads.top + ky * op.dilations[0];
            const std::int64_t ix = ox * op.strides[1] - op.pads.left + kx * op.dilations[1];
            const bool inside = iy >= 0 && ix >= 0 && iy < x.shape[2] && ix < x.shape[3];
            const bool padding = iy < x.shape[2] + op.pads.bottom && ix < x.shape[3] + op.pads.right;
            if (inside || (op.count_include_pad && padding)) ++count;
            sum += at(x, c, iy, ix);
          }
        }
        y.data[out++] = count == 0 ? 0.0F : static_cast<float>(sum / count);
      }
    }
  }
  return y;
}

TEST(Reference, ConvolutionByHand) {
  const Conv2d op{Tensor({1, 1, 2, 2}, {1, 2, 3, 4}), Tensor(Shape{1}, 10.0F), 1, {1, 1}, {}, {1, 1}};
  const Tensor y = apply(op, image(2, 3, {1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(y, (Tensor({1, 1, 1, 2}, {10 + 1 + 4 + 12 + 20, 10 + 2 + 6 + 15 + 24})));
}

TEST(Reference, ConvolutionMatchesItsDefinition) {
  std::uint32_t seed = 1;
  for (const std::int64_t groups : {1, 2, 4}) {
    for (const HeightWidth strides : {HeightWidth{1, 1}, HeightWidth{2, 3}}) {
      for (const Pads& pads : {Pads{}, Pads{1, 2, 0, 3}, Pads{4, 4, 4, 4}}) {
        for (const HeightWidth dilations : {HeightWidth{1, 1}, HeightWidth{2, 1}}) {
          const Conv2d op{random_tensor({4, 4 / groups, 3, 2}, seed),
                          random_tensor({4}, seed + 1),
                          groups,
                          strides,
                          pads,
                          dilations};
          const Tensor x = random_tensor({1, 4, 7, 6}, seed + 2);
          EXPECT_LT(distance(apply(op, x), naive_conv(op, x)), 1e-6);
          seed += 3;
        }
      }
    }
  }
}

// More output channels, positions and taps than one piece of the work holds, and none a multiple of it.
TEST(Reference, LargeConvolutionsMatchTheirDefinition) {
  for (const std::int64_t groups : {1, 3}) {
    Conv2d op{random_tensor({groups * 67, 61, 3, 3}, 1), random_tensor({groups * 67}, 2), groups, {1, 1}, {1, 1, 1, 1}};
    const Tensor x = random_tensor({1, groups * 61, 13, 11}, 3);
    EXPECT_LT(distance(apply(op, x), naive_conv(op, x)), 1e-5);
    op.strides = {2, 1};
    EXPECT_LT(distance(apply(op, x), naive_conv(op, x)), 1e-5);
  }
}

TEST(Reference, AveragePoolMatchesItsDefinition) {
  std::uint32_t seed = 100;
  for (const bool count_pad : {false, true}) {
    for (const bool ceil : {false, true}) {
      for (const Pads& pads : {Pads{}, Pads{1, 0, 0, 1}, Pads{1, 1, 1, 1}}) {
        for (const HeightWidth strides : {HeightWidth{1, 2}, HeightWidth{2, 2}, HeightWidth{3, 3}}) {
          const AveragePool op{{2, 3}, strides, pads, {1, 1}, count_pad, ceil};
          const Tensor x = random_tensor({1, 3, 8, 7}, seed++);
          EXPECT_LT(distance(apply(op, x), naive_pool(op, x)), 1e-6);
        }
      }
    }
  }
  const AveragePool dilated{{2, 2}, {1, 1}, {1, 1, 1, 1}, {2, 3}, false, false};
  const Tensor x = random_tensor({1, 2, 8, 7}, seed);
  EXPECT_LT(distance(apply(dilated, x), naive_pool(dilated, x)), 1e-6);
}

TEST(Reference, CeilModeAddsAWindowThatCountsOnlyWhatIsThere) {
  const AveragePool flat{{1, 2}, {1, 2}, {}, {1, 1}, true, true};
  EXPECT_EQ(apply(flat, image(1, 3, {1, 3, 5})), (Tensor({1, 1, 1, 2}, {2, 5})));
}

/// Maximum pooling by its definition.
Tensor naive_max_pool(const MaxPool& op, const Tensor& x) {
  Tensor y(infer_shape(op, std::vector<Shape>{x.shape}));
  std::size_t out = 0;
  for (std::int64_t c = 0; c < x.shape[1]; ++c) {
    for (std::int64_t oy = 0; oy < y.shape[2]; ++oy) {
      for (std::int64_t ox = 0; ox < y.shape[3]; ++ox) {
        std::vector<double> window;
        for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
          for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
            const std::int64_t iy = oy * op.strides[0] - op.pads.top + ky * op.dilations[0];
            const std::int64_t ix = ox * op.strides[1] - op.pads.left + kx * op.dilations[1];
            if (iy >= 0 && ix >= 0 && iy < x.shape[2] && ix < x.shape[3]) window.push_back(at(x, c, iy, ix));
          }
        }
        y.data[out++] = static_cast<float>(*std::ranges::max_element(window));
      }
    }
  }
  return y;
}

TEST(Reference, MaxPoolMatchesItsDefinition) {
  std::uint32_t seed = 200;
  for (const bool ceil : {false, true}) {
    for (const Pads& pads : {Pads{}, Pads{1, 0, 0, 2}, Pads{1, 2, 1, 1}}) {
      for (const HeightWidth strides : {HeightWidth{1, 2}, HeightWidth{2, 2}, HeightWidth{3, 3}}) {
        for (const HeightWidth dilations : {HeightWidth{1, 1}, HeightWidth{2, 2}}) {
          const MaxPool op{{2, 3}, strides, pads, dilations, ceil};
          Tensor x = random_tensor({1, 3, 8, 7}, seed++);
          for (float& v : x.data) v -= 2;  // all negative: padding must not win
          EXPECT_EQ(apply(op, x), naive_max_pool(op, x));
        }
      }
    }
  }
}

TEST(Reference, ActivationsAndMaxima) {
  const Tensor a = row({-2, 0.5F, 9});
  EXPECT_EQ(apply(Activation{}, a), row({0, 0.5F, 9}));
  EXPECT_EQ(apply(clip(-1, 6), a), row({-1, 0.5F, 6}));
  EXPECT_EQ(apply(Activation{ActivationKind::kSigmoid}, row({0})), row({0.5F}));
  const Tensor b = row({1, -1, 9});
  EXPECT_EQ(evaluate(Max{}, {&a, &b}), row({1, 0.5F, 9}));
}

TEST(Reference, DenseByHand) {
  const Dense op{
      Tensor({2, 3}, {1, 0, -1, 2, 2, 2}),
      Tensor(Shape{2}, {0.5F, 0}),
  };
  EXPECT_EQ(apply(op, row({1, 2, 3})), row({-1.5F, 12}));
  EXPECT_EQ(apply(op, Tensor({2, 3}, {1, 2, 3, 0, 0, 1})), (Tensor({2, 2}, {-1.5F, 12, -0.5F, 2})));
}

TEST(Reference, ElementWiseOperations) {
  const Tensor a = row({1, 2, 3});
  const Tensor b = row({5, -1, 2});
  EXPECT_EQ(evaluate(Add{}, {&a, &b}), row({6, 1, 5}));
  EXPECT_EQ(evaluate(Sub{}, {&a, &b}), row({-4, 3, 1}));
  EXPECT_EQ(evaluate(Multiply{}, {&a, &b}), row({5, -2, 6}));
  EXPECT_EQ(apply(AddConstant{Tensor(Shape{3}, {1, 10, 100})}, a), row({2, 12, 103}));
  EXPECT_EQ(apply(MulConstant{Tensor(Shape{}, 2.0F)}, a), row({2, 4, 6}));
  EXPECT_EQ(apply(Identity{}, a), a);
}

TEST(Reference, ConstantsBroadcastAlongChannels) {
  const Tensor x({1, 2, 1, 2}, {1, 2, 3, 4});
  EXPECT_EQ(apply(MulConstant{Tensor({1, 2, 1, 1}, {10, 100})}, x).data, (std::vector<float>{10, 20, 300, 400}));
  EXPECT_EQ(apply(AddConstant{Tensor({1, 1, 1, 2}, {10, 100})}, x).data, (std::vector<float>{11, 102, 13, 104}));
}

TEST(Reference, PolynomialForAllAndByChannel) {
  EXPECT_EQ(apply(Polynomial{Tensor({3, 1}, {1, 2, 3})}, row({0, 1, -2})), row({1, 6, 9}));
  const Polynomial by_channel{Tensor({3, 2}, {1, 0, 0, 5, 1, 0})};
  const Tensor x({1, 2, 1, 2}, {2, 3, 4, 5});
  EXPECT_EQ(apply(by_channel, x).data, (std::vector<float>{5, 10, 20, 25}));
}

TEST(Reference, BatchNormIsAffineByChannel) {
  const BatchNorm op{Tensor(Shape{2}, {2, -1}), Tensor(Shape{2}, {0.5F, 0})};
  EXPECT_EQ(apply(op, Tensor({1, 2, 1, 2}, {1, 2, 3, 4})).data, (std::vector<float>{2.5F, 4.5F, -3, -4}));
  EXPECT_EQ(apply(op, row({1, 2})), row({2.5F, -2}));
}

TEST(Reference, Means) {
  const Tensor x({1, 2, 2, 2}, {1, 2, 3, 6, 0, 0, 4, 0});
  EXPECT_EQ(apply(GlobalAveragePool{}, x), (Tensor({1, 2, 1, 1}, {3, 1})));
  EXPECT_EQ(apply(ReduceMean{{2, 3}, false}, x), row({3, 1}));
  EXPECT_EQ(apply(ReduceMean{{1}, true}, x), (Tensor({1, 1, 2, 2}, {0.5F, 1, 3.5F, 3})));
  EXPECT_EQ(apply(ReduceMean{{0, 1, 2, 3}, false}, x), Tensor(Shape{}, 2.0F));
}

TEST(Reference, Rearrangements) {
  const Tensor x({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(apply(Reshape{{3, 2}}, x), (Tensor({3, 2}, {1, 2, 3, 4, 5, 6})));
  EXPECT_EQ(apply(Transpose{{1, 0}}, x), (Tensor({3, 2}, {1, 4, 2, 5, 3, 6})));
  EXPECT_EQ(apply(Pad{{0, 1}, {1, 0}, 9.0F}, x), (Tensor({3, 4}, {9, 1, 2, 3, 9, 4, 5, 6, 9, 9, 9, 9})));
  EXPECT_EQ(apply(Slice{{1, 2}, {-1, -2}, {2, 2}}, x), (Tensor({2, 2}, {6, 4, 3, 1})));
  const Tensor z({2, 1}, {7, 8});
  EXPECT_EQ(evaluate(Concat{1}, {&x, &z, &z}), (Tensor({2, 5}, {1, 2, 3, 7, 7, 4, 5, 6, 8, 8})));
}

TEST(Reference, RunGivesTheOutputOfRunAll) {
  Graph graph;
  graph.add("x", Input{{1, 2}});
  const ValueId square = graph.add("square", Multiply{}, {0, 0});
  graph.add("sum", Add{}, {square, 0});
  graph.add("unused", Identity{}, {square});
  graph.output = 2;
  const std::vector<Tensor> all = run_all(graph, row({3, -1}));
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[1], row({9, 1}));
  EXPECT_EQ(all[2], row({12, 0}));
  EXPECT_EQ(run(graph, row({3, -1})), all[2]);
  EXPECT_EQ(run(graph, Tensor(Shape{2}, {3, -1})), all[2]);
  EXPECT_NE(testing::message_of([&] { run(graph, row({1, 2, 3})); }, ErrorKind::kMismatch), "");
}

TEST(Reference, VisitsEveryValueInOrder) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const Graph graph = testing::random_graph(seed);
    const Tensor x = random_tensor(graph.input_shape(), seed);
    const std::vector<Tensor> all = run_all(graph, x);
    std::vector<Tensor> visited;
    const Tensor y = run_visiting(graph, x, [&](ValueId id, const Tensor& value) {
      EXPECT_EQ(id, visited.size());
      visited.push_back(value);
    });
    EXPECT_EQ(visited, all);
    EXPECT_EQ(y, all[graph.output]);
    EXPECT_EQ(run(graph, x), y);
  }
}

}  // namespace
}  // namespace hearth::nn
