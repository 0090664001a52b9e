#include "compiler/compile.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <numeric>

#include "hearth/error.h"
#include "random_network.h"

namespace hearth::compiler {
namespace {

using hearth::testing::NetworkMaker;

nn::Graph wide(NetworkMaker& make) {
  nn::Graph g;
  g.name = "wide";
  auto v = g.add("input", nn::Input{{1, 3, 16, 16}});
  v = g.add("conv", make.conv(3, 12, {3, 3}, {1, 1}, {1, 1, 1, 1}), {v});
  v = g.add("square", make.square(), {v});
  g.add("conv2", make.conv(12, 8, {3, 3}, {2, 2}, {1, 1, 1, 1}), {v});
  return g;
}

Compiled compile_insecure(NetworkMaker& make, const nn::Graph& graph) {
  CompileOptions options;
  options.security = ckks::Security::kNone;
  options.log_n = 11;
  return compile(graph, std::vector<nn::Tensor>{make.tensor(graph.input_shape())}, options);
}

/// The offset of a baby-step giant-step plan was once left out of the file: programs whose best plan has babies on both
/// sides of zero (convolutions over several ciphertexts) were then refused by the server.
TEST(Compile, PlansWithAnOffsetSurviveTheBundle) {
  NetworkMaker make(1);
  const auto path = std::filesystem::temp_directory_path() / "hearth_compile_test.hearth";
  bool any_offset = false;
  for (const nn::Graph& graph : {wide(make), make.branchy(), make.small_cnn()}) {
    const Compiled compiled = compile_insecure(make, graph);
    write_bundle(path, compiled.server);
    const ServerBundle read = read_server_bundle(path);
    EXPECT_EQ(to_string(read.program), to_string(compiled.server.program));
    for (std::size_t i = 0; i < read.program.instructions.size(); ++i) {
      const auto* want = std::get_if<LinearOp>(&compiled.server.program.instructions[i].op);
      if (!want) continue;
      const auto& got = std::get<LinearOp>(read.program.instructions[i].op);
      EXPECT_EQ(got.plan.step, want->plan.step);
      EXPECT_EQ(got.plan.offset, want->plan.offset);
      EXPECT_EQ(got.plan.babies, want->plan.babies);
      EXPECT_EQ(got.plan.giants, want->plan.giants);
      any_offset = any_offset || want->plan.offset > 0;
    }
  }
  std::filesystem::remove(path);
  EXPECT_TRUE(any_offset) << "no network here has such a plan any more; choose another";
}

TEST(Compile, EveryStepCanBePrinted) {
  NetworkMaker make(2);
  const Compiled compiled = compile_insecure(make, make.small_cnn());
  for (const std::string& step : compile_steps()) {
    ASSERT_TRUE(compiled.dumps.contains(step)) << step;
    EXPECT_FALSE(compiled.dumps.at(step).empty()) << step;
  }
}

TEST(Compile, SameInputsGiveTheSameProgram) {
  NetworkMaker a(3), b(3);
  EXPECT_EQ(compile_insecure(a, wide(a)).server.model_id, compile_insecure(b, wide(b)).server.model_id);
}

TEST(Compile, ClientAndServerAgree) {
  NetworkMaker make(4);
  const Compiled c = compile_insecure(make, make.small_cnn());
  const Program& program = c.server.program;
  EXPECT_EQ(c.client.model_id, c.server.model_id);
  EXPECT_EQ(c.client.input_level, program.input().level);
  EXPECT_EQ(c.client.input_scale, program.input().scale);
  EXPECT_EQ(c.client.output_scale, program.instructions[static_cast<std::size_t>(program.output)].scale);
  EXPECT_EQ(c.client.keys.galois, program.keys.galois);
  EXPECT_EQ(c.server.prediction.rotation_keys, static_cast<int>(program.keys.galois.size()));
  EXPECT_GT(c.server.prediction.seconds, 0);
  const std::vector<double>& parts = c.server.prediction.instruction_seconds;
  ASSERT_EQ(parts.size(), program.instructions.size());
  EXPECT_NEAR(std::accumulate(parts.begin(), parts.end(), 0.0), c.server.prediction.seconds, 1e-9);
  EXPECT_TRUE(c.client.prediction.instruction_seconds.empty());
  EXPECT_GT(c.server.prediction.moved_bytes, c.server.prediction.key_bytes_memory) << "every key is used";
  EXPECT_GT(c.server.prediction.peak_bytes, c.server.prediction.key_bytes_memory);
}

template <typename F>
void expect_error(ErrorKind kind, const std::string& part, const F& f) {
  try {
    f();
    FAIL() << "not refused";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(Compile, TooDeepNetworksAreRefusedWithTheNumbers) {
  NetworkMaker make(5);
  nn::Graph g;
  g.name = "deep";
  auto v = g.add("input", nn::Input{{1, 4}});
  for (int i = 0; i < 6; ++i) {
    v = g.add("fc", make.dense(4, 4), {v});
    v = g.add("square", make.square(), {v});
  }
  const std::vector<nn::Tensor> calibration = {make.tensor({1, 4}, 0.1)};
  CompileOptions options;
  options.log_n = 13;
  expect_error(ErrorKind::kUnsupported, "12 levels", [&] { compile(g, calibration, options); });
  EXPECT_EQ(compile(g, calibration).client.parameters.log_n, 14) << "a larger ring has room";
}

TEST(Compile, UnusableCalibrationIsRefused) {
  NetworkMaker make(6);
  const nn::Graph g = make.small_cnn();
  expect_error(ErrorKind::kInvalidArgument, "at least one", [&] { compile(g, {}); });
  expect_error(ErrorKind::kInvalidArgument, "shape", [&] {
    compile(g, std::vector<nn::Tensor>{make.tensor({1, 2, 6, 6})});
  });
  expect_error(ErrorKind::kInvalidArgument, "zero", [&] {
    compile(g, std::vector<nn::Tensor>{nn::Tensor({1, 2, 6, 5})});
  });
  nn::Tensor bad = make.tensor({1, 2, 6, 5});
  bad.data[3] = std::numeric_limits<float>::quiet_NaN();
  expect_error(ErrorKind::kInvalidArgument, "finite", [&] { compile(g, std::vector<nn::Tensor>{bad}); });
}

}  // namespace
}  // namespace hearth::compiler
