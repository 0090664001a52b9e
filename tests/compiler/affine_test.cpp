#include "compiler/affine.h"

#include <gtest/gtest.h>

#include "nn/reference.h"
#include "random_network.h"

namespace hearth::compiler {
namespace {

using hearth::testing::NetworkMaker;

/// The matrix applied to a random input equals the reference executor's result.
void expect_same_function(NetworkMaker& make, const nn::Op& op, const nn::Shape& input) {
  const nn::Shape output = nn::infer_shape(op, std::vector<nn::Shape>{input});
  const nn::Tensor x = make.tensor(input);
  const nn::Tensor want = nn::evaluate(op, {&x});
  ASSERT_TRUE(is_affine(op));
  const Affine a = to_affine(op, input, output);
  const std::vector<double> got = apply_affine(a, {x.data.begin(), x.data.end()});
  ASSERT_EQ(got.size(), want.data.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want.data[i], 1e-5) << nn::op_name(op) << " element " << i;
}

TEST(Affine, ConvolutionsOfEveryKind) {
  NetworkMaker make(1);
  expect_same_function(make, make.conv(3, 5, {3, 3}), {1, 3, 7, 6});
  expect_same_function(make, make.conv(3, 5, {3, 3}, {2, 3}, {1, 0, 2, 1}), {1, 3, 7, 6});
  expect_same_function(make, make.conv(4, 6, {2, 3}, {1, 2}, {0, 1, 1, 1}, 2), {1, 4, 5, 9});
  expect_same_function(make, make.conv(4, 4, {3, 3}, {1, 1}, {2, 2, 2, 2}, 4, {2, 2}), {1, 4, 6, 6});
  expect_same_function(make, make.conv(1, 2, {7, 7}, {3, 3}), {1, 1, 28, 28});
}

TEST(Affine, DenseAndElementwise) {
  NetworkMaker make(2);
  expect_same_function(make, make.dense(12, 5), {1, 12});
  expect_same_function(make, make.dense(4, 3), {1, 6, 4});
  expect_same_function(make, nn::MulConstant{make.tensor({1, 3, 1, 1})}, {1, 3, 4, 2});
  expect_same_function(make, nn::AddConstant{make.tensor({4, 1})}, {1, 3, 4, 2});
  expect_same_function(make, nn::BatchNorm{make.tensor({3}), make.tensor({3})}, {1, 3, 4, 2});
}

TEST(Affine, PoolingMeansAndPadding) {
  NetworkMaker make(3);
  expect_same_function(make, nn::AveragePool{{2, 2}, {2, 2}, {}}, {1, 3, 6, 4});
  expect_same_function(make, nn::AveragePool{{3, 3}, {2, 2}, {1, 1, 1, 1}}, {1, 2, 7, 5});
  expect_same_function(make, nn::AveragePool{{3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, true, true}, {1, 2, 6, 6});
  expect_same_function(make, nn::AveragePool{{3, 2}, {2, 2}, {0, 1, 1, 0}, {1, 2}, true}, {1, 2, 8, 9});
  expect_same_function(make, nn::GlobalAveragePool{}, {1, 4, 3, 5});
  expect_same_function(make, nn::ReduceMean{{1, 3}, true}, {1, 4, 3, 5});
  expect_same_function(make, nn::ReduceMean{{2}, false}, {1, 4, 3, 5});
  expect_same_function(make, nn::Pad{{0, 1, 0, 2}, {0, 0, 3, 1}, 0.5F}, {1, 2, 3, 4});
}

TEST(Affine, CompositionIsApplicationInTurn) {
  NetworkMaker make(4);
  const nn::Op first = make.conv(2, 3, {3, 3}, {1, 1}, {1, 1, 1, 1}), second = nn::AveragePool{{2, 2}, {2, 2}, {}};
  const Affine a = to_affine(first, {1, 2, 4, 6}, {1, 3, 4, 6}), b = to_affine(second, {1, 3, 4, 6}, {1, 3, 2, 3});
  const Affine both = compose(b, a);
  EXPECT_LE(static_cast<std::int64_t>(both.weights.size()), compose_cost(b, a));
  const nn::Tensor x = make.tensor({48});
  const std::vector<double> in(x.data.begin(), x.data.end());
  const std::vector<double> want = apply_affine(b, apply_affine(a, in)), got = apply_affine(both, in);
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12);
}

}  // namespace
}  // namespace hearth::compiler
