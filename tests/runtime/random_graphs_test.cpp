#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "hearth/error.h"
#include "tests/compiler/random_network.h"
#include "tests/runtime/encrypted_run.h"

// Graphs that branch, join and relabel without a plan, under encryption, against the reference executor.
namespace hearth::runtime {
namespace {

using compiler::Compiled;
using compiler::CompileOptions;
using hearth::testing::EncryptedRun;
using hearth::testing::NetworkMaker;
using nn::ValueId;

constexpr int kMaxDepth = 7;

nn::Polynomial polynomial(std::vector<float> coefficients) {
  const auto count = static_cast<std::int64_t>(coefficients.size());
  return {nn::Tensor({count, 1}, std::move(coefficients))};
}

std::vector<nn::Tensor> calibration_for(NetworkMaker& make, const nn::Graph& graph) {
  std::vector<nn::Tensor> inputs;
  for (int i = 0; i < 8; ++i) inputs.push_back(make.tensor(graph.input_shape()));
  return inputs;
}

/// Compiles `graph` for a small ring, runs it on one calibration input and expects outputs within a few times the
/// predicted error.
void expect_right(nn::Graph graph, unsigned seed) {
  graph.name = "test";
  NetworkMaker make(seed);
  const auto inputs = calibration_for(make, graph);
  CompileOptions options;
  options.security = ckks::Security::kNone;
  options.log_n = 11;
  const Compiled compiled = compiler::compile(graph, inputs, options);
  const std::vector<double> got = EncryptedRun(compiled).run(inputs[0]);
  const nn::Tensor want = nn::run(graph, inputs[0]);
  ASSERT_EQ(got.size(), want.data.size());
  double energy = 0;
  for (std::size_t e = 0; e < got.size(); ++e) energy += (got[e] - want.data[e]) * (got[e] - want.data[e]);
  const double rms = std::sqrt(energy / static_cast<double>(got.size()));
  const auto& p = compiled.server.prediction;
  constexpr double kFloat = 1e-6;  // the reference computes in single precision
  EXPECT_LT(rms, 8 * p.output_error + kFloat * p.output_rms)
      << "seed " << seed << "\n"
      << compiled.dumps.at("import") << compiled.dumps.at("simplify") << compiled.dumps.at("layout")
      << compiled.dumps.at("lower");
}

/// Grows a graph whose values stay of order one, with joins of arbitrary earlier values.
class Grower {
 public:
  explicit Grower(unsigned seed) : make_(seed) {
    const std::vector<nn::Shape> shapes = {{1, 5}, {1, 8}, {1, 2, 3, 4}, {1, 3, 4, 4}, {1, 4, 5}, {1, 1}};
    graph_.add("input", nn::Input{shapes[index(shapes.size())]});
    depth_.push_back(0);
    probe_ = make_.tensor(graph_.input_shape());
  }

  nn::Graph grow() {
    const int steps = make_.pick(1, 14);
    for (int i = 0; i < steps; ++i) step();
    return graph_;
  }

 private:
  std::size_t index(std::size_t count) { return static_cast<std::size_t>(make_.pick(0, static_cast<int>(count) - 1)); }
  /// The newest value mostly, to make deep graphs, any other sometimes.
  ValueId any() { return make_.pick(0, 2) ? graph_.nodes.size() - 1 : index(graph_.nodes.size()); }
  const nn::Shape& shape(ValueId v) const { return graph_.nodes[v].shape; }
  int depth(ValueId v) const { return depth_[v]; }

  /// Appends an operation unless it would go too deep; brings large results back to order one.
  void append(const char* name, nn::Op op, std::vector<ValueId> inputs, int cost) {
    int deepest = 0;
    for (const ValueId v : inputs) deepest = std::max(deepest, depth(v));
    if (deepest + cost > kMaxDepth) return;
    graph_.add(name, std::move(op), std::move(inputs));
    depth_.push_back(deepest + cost);
    float largest = 0;
    for (const float v : nn::run(graph_, probe_).data) largest = std::max(largest, std::abs(v));
    if (largest < 3 || deepest + cost + 1 > kMaxDepth) return;
    graph_.add("shrink", nn::MulConstant{nn::Tensor({}, 1 / largest)}, {graph_.nodes.size() - 1});
    depth_.push_back(deepest + cost + 1);
  }

  ValueId partner(ValueId v) {
    std::vector<ValueId> alike;
    for (ValueId other = 0; other < graph_.nodes.size(); ++other) {
      if (shape(other) == shape(v)) alike.push_back(other);
    }
    return alike[index(alike.size())];
  }

  void step() {
    const ValueId v = any();
    switch (make_.pick(0, 9)) {
      case 0:
        return append("square", make_.square(), {v}, 1);
      case 1:
        return append("quadratic", nn::Polynomial{make_.tensor({3, make_.pick(0, 1) ? shape(v)[1] : 1})}, {v}, 2);
      case 2:
        return append("cubic", nn::Polynomial{make_.tensor({4, 1}, 0.7)}, {v}, 2);
      case 3:
        return append("offset", nn::AddConstant{make_.tensor(shape(v))}, {v}, 0);
      case 4:
        return join(v);
      case 5:
        return join(v);
      case 6:
        return slice(v);
      case 7:
        return append("concat", nn::Concat{1}, {v, partner(v)}, 1);
      case 8:
        return reorder(v);
      default:
        return linear(v);
    }
  }

  void join(ValueId v) {
    const std::vector<nn::Op> ops = {nn::Add{}, nn::Add{}, nn::Sub{}, nn::Multiply{}};
    append("join", ops[index(ops.size())], {v, partner(v)}, 2);
  }

  void slice(ValueId v) {
    nn::Slice op;
    for (const std::int64_t extent : shape(v)) {
      const std::int64_t first = make_.pick(0, static_cast<int>(extent) - 1);
      const bool backward = make_.pick(0, 3) == 0;
      op.starts.push_back(first);
      op.steps.push_back(backward ? -1 : 1);
      op.extents.push_back(backward ? first + 1 : extent - first);
    }
    append("slice", std::move(op), {v}, 1);
  }

  void reorder(ValueId v) {
    nn::Transpose op;
    for (std::size_t i = 0; i < shape(v).size(); ++i) op.permutation.push_back(static_cast<std::int64_t>(i));
    std::reverse(op.permutation.begin() + 1, op.permutation.end());
    append("transpose", std::move(op), {v}, 1);
  }

  void linear(ValueId v) {
    if (shape(v).size() == 4 && make_.pick(0, 1)) {
      return append("conv", make_.conv(shape(v)[1], 2, {1, 1}), {v}, 1);
    }
    append("dense", make_.dense(shape(v).back(), make_.pick(0, 2) ? shape(v).back() : 3), {v}, 1);
  }

  NetworkMaker make_;
  nn::Graph graph_;
  nn::Tensor probe_;
  std::vector<int> depth_;
};

/// Dense layer of `width` values whose outputs from `first` on lie around `level`.
nn::Dense raised(NetworkMaker& make, std::int64_t width, std::size_t first, float level) {
  nn::Dense dense = make.dense(width, width);
  for (std::size_t i = first; i < dense.bias.data.size(); ++i) dense.bias.data[i] = level;
  return dense;
}

// What a slot without an element holds may overflow as well, and an overflow in one slot spoils them all.
TEST(IdleSlots, PolynomialThatIsLargeAtZeroDoesNotOverflow) {
  NetworkMaker make(1);
  for (const auto& p : {polynomial({1600, -80, 1}), polynomial({-64000, 4800, -120, 1})}) {
    nn::Graph g;
    auto v = g.add("input", nn::Input{{1, 5}});  // in a period of 8
    v = g.add("around 40", raised(make, 5, 0, 40), {v});
    g.add("(x - 40)^k", p, {v});
    expect_right(std::move(g), 1);
  }
}

TEST(IdleSlots, SquaresOfWhatASliceDropsDoNotOverflow) {
  NetworkMaker make(2);
  nn::Graph g;
  auto v = g.add("input", nn::Input{{1, 8}});
  v = g.add("fc", raised(make, 8, 4, 20), {v});
  v = g.add("slice", nn::Slice{{0, 0}, {1, 1}, {1, 4}}, {v});
  v = g.add("square", make.square(), {v});
  expect_right(g, 2);
  v = g.add("square", make.square(), {v});
  g.add("fc2", make.dense(4, 3), {v});  // rounding of its weights meets the dropped values, too
  expect_right(std::move(g), 2);
}

TEST(Polynomials, PowersOfWideAndNarrowInputsNeitherOverflowNorVanish) {
  NetworkMaker make(3);
  for (const float width : {1e-4F, 1.0F, 1e5F}) {
    nn::Graph g;
    auto v = g.add("input", nn::Input{{1, 8}});
    nn::Dense dense = make.dense(8, 8);
    for (float& w : dense.weights.data) w *= width;
    for (float& b : dense.bias.data) b *= width;
    v = g.add("fc", dense, {v});
    std::vector<float> c;
    for (int k = 0; k < 8; ++k) c.push_back(std::pow(1 / width, static_cast<float>(k)) * (k % 2 ? 0.5F : 0.3F));
    v = g.add("degree 7", polynomial(c), {v});
    g.add("fc2", make.dense(8, 3), {v});
    expect_right(std::move(g), 3);
  }
}

// Sums that already hold a product must not meet each other, or what the product is made of, on one scale.
TEST(ScaleClasses, SumOfSumsWithProductsEnds) {
  NetworkMaker make(4);
  nn::Graph g;
  const auto x = g.add("input", nn::Input{{1, 6}});
  const auto h = g.add("h", make.dense(6, 6), {x});
  const auto y = g.add("y", nn::Add{}, {g.add("h^2", make.square(), {h}), g.add("l1", make.dense(6, 6), {x})});
  const auto z = g.add("z", nn::Add{}, {g.add("y^2", make.square(), {y}), g.add("l2", make.dense(6, 6), {x})});
  g.add("y + z", nn::Add{}, {y, z});
  expect_right(std::move(g), 4);
}

TEST(ScaleClasses, SumMeetsWhatItsProductIsMadeOf) {
  NetworkMaker make(5);
  nn::Graph g;
  const auto x = g.add("input", nn::Input{{1, 6}});
  const auto square = g.add("x^2", make.square(), {x});
  const auto sum = g.add("sum", nn::Add{}, {square, g.add("fc", make.dense(6, 6), {x})});
  g.add("sum + x", nn::Add{}, {sum, x});
  expect_right(std::move(g), 5);
}

// Folding these into one polynomial would leave the compiler without a way to evaluate it.
TEST(Polynomials, CubicsBetweenNormalisationsByChannel) {
  NetworkMaker make(8);
  nn::Graph g;
  const auto x = g.add("input", nn::Input{{1, 3, 2, 2}});
  auto v = g.add("norm", nn::BatchNorm{make.tensor({3}), make.tensor({3})}, {x});
  v = g.add("cubic", polynomial({0.1F, 0.9F, -0.3F, 0.2F}), {v});
  v = g.add("norm 2", nn::BatchNorm{make.tensor({3}), make.tensor({3})}, {v});
  v = g.add("sum", nn::Add{}, {v, x});
  v = g.add("cubic 2", polynomial({0.1F, 0.9F, -0.3F, 0.2F}), {v});
  g.add("offset", nn::AddConstant{make.tensor({3, 1, 1})}, {v});
  expect_right(std::move(g), 8);
}

TEST(Parameters, NetworksThatNeedNoKeysReachFullSecurity) {
  NetworkMaker make(9);
  nn::Graph identity;
  identity.add("input", nn::Input{{1, 6}});
  CompileOptions secure;
  secure.threads = 1;
  const Compiled compiled = compiler::compile(identity, std::vector<nn::Tensor>{make.tensor({1, 6})}, secure);
  EXPECT_LE(compiled.server.prediction.log_qp, compiled.server.prediction.log_qp_limit);
}

TEST(Parameters, DeepNetworksKeepWithinThePrimesOfARing) {
  NetworkMaker make(6);
  nn::Graph g;
  auto v = g.add("input", nn::Input{{1, 5}});
  for (int i = 0; i < 20; ++i) {
    v = g.add("fc", make.dense(5, 5), {v});
    v = g.add("quadratic", polynomial({0.1F, 0.5F, 0.2F}), {v});
  }
  expect_right(std::move(g), 6);
}

TEST(Lowering, ConstantNetworksHaveScalesToo) {
  nn::Graph g;
  const auto x = g.add("input", nn::Input{{1, 5}});
  const auto zero = g.add("zero", nn::Sub{}, {x, x});
  g.add("constant", nn::AddConstant{nn::Tensor({1, 5}, {1, 2, 3, 4, 5})}, {zero});
  expect_right(std::move(g), 7);
}

TEST(RandomGraphs, MatchTheReference) {
  const char* more = std::getenv("HEARTH_SEEDS");
  const unsigned count = more ? static_cast<unsigned>(std::atoi(more)) : 60;
  for (unsigned seed = 0; seed < count; ++seed) {
    SCOPED_TRACE(seed);
    try {
      expect_right(Grower(seed).grow(), seed);
    } catch (const Error& error) {
      ADD_FAILURE() << "seed " << seed << ": " << error.what() << "\n" << nn::to_string(Grower(seed).grow());
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace hearth::runtime
