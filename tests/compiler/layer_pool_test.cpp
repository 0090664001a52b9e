#include "compiler/layer_pool.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "nn/reference.h"
#include "nn/simplify.h"
#include "random_network.h"
#include "tests/base/expect_error.h"

namespace hearth::compiler {
namespace {

using hearth::testing::NetworkMaker;

/// A convolution, a ReLU and a pooling; `more_readers`: something else reads the ReLU, so that it cannot be shared.
nn::Graph pooled(NetworkMaker& make, const nn::MaxPool& pool, std::int64_t extent, bool more_readers) {
  nn::Graph g;
  auto x = g.add("input", nn::Input{{1, 2, extent, extent}});
  x = g.add("conv", make.conv(2, 3, {3, 3}, {2, 2}, {1, 1, 1, 1}), {x});
  const auto a = g.add("relu", nn::Activation{}, {x});
  x = g.add("pool", pool, {a});
  if (more_readers) {
    const auto y = g.add("other", make.conv(3, 3, {1, 1}, pool.strides), {a});
    x = g.add("add", nn::Add{}, {x, y});
  }
  return g;
}

int activations(const ArithGraph& graph) {
  return static_cast<int>(std::ranges::count_if(
      graph.nodes, [](const ArithNode& n) { return std::holds_alternative<arith::Activation>(n.op); }));
}

struct Case {
  nn::MaxPool pool;
  std::int64_t extent;   ///< of the network's input, twice that of the pooling's
  int shared, separate;  ///< activations
};

const Case kCases[] = {{{.kernel = {2, 2}, .strides = {2, 2}}, 16, 5, 4},
                       {{.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}}, 16, 8, 7},
                       {{.kernel = {3, 3}, .strides = {2, 2}, .pads = {0, 0, 1, 1}}, 16, 8, 7},
                       {{.kernel = {3, 3}, .strides = {1, 1}, .pads = {1, 1, 1, 1}}, 12, 5, 5}};

TEST(LayerPool, IsTheMaximum) {
  for (const Case& c : kCases) {
    for (const bool more_readers : {false, true}) {
      NetworkMaker make(static_cast<unsigned>(c.extent));
      const nn::Graph graph = pooled(make, c.pool, c.extent, more_readers);
      const ArithGraph reduced = reduce(nn::simplify(graph), LinearForm::kImplicit);
      EXPECT_EQ(activations(reduced), more_readers ? c.separate : c.shared) << to_string(reduced);
      const nn::Tensor x = make.tensor(graph.input_shape());
      const nn::Tensor want = nn::run(graph, x);
      const auto values = evaluate(reduced, {x.data.begin(), x.data.end()});
      const auto& got = values[static_cast<std::size_t>(reduced.output)];
      ASSERT_EQ(got.size(), want.data.size());
      for (std::size_t e = 0; e < got.size(); ++e) EXPECT_NEAR(got[e], want.data[e], 1e-5) << to_string(reduced);
    }
  }
}

TEST(LayerPool, NamesWhatItCannotDo) {
  NetworkMaker make(9);
  const auto refused = [&](const nn::MaxPool& pool, std::int64_t extent) {
    const nn::Graph graph = pooled(make, pool, extent, false);
    expect_error(ErrorKind::kUnsupported, "\"pool\"", [&] { reduce(nn::simplify(graph), LinearForm::kImplicit); });
  };
  refused({.kernel = {2, 2}, .strides = {1, 1}, .dilations = {2, 2}}, 16);
  refused({.kernel = {3, 3}, .strides = {2, 2}}, 16);  // the last column of 8 is in no window
}

}  // namespace
}  // namespace hearth::compiler
