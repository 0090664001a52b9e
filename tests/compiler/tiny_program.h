#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "compiler/program/bundle.h"

/// A network small enough to write down: y_i = (a_i x_i + b_i x_{i+1} + c_i)^2 on 8 values, indices modulo 8.
namespace hearth::testing {

inline constexpr int kTinySize = 8;

struct TinyNetwork {
  std::vector<double> a{0.5, -0.25, 1, 0.125, -0.5, 0.75, 0.25, -1};
  std::vector<double> b{0.25, 0.5, -0.5, 1, 0.25, -0.75, 0.5, 0.125};
  std::vector<double> c{0.125, 0, -0.25, 0.5, 0.25, 0, -0.125, 0.25};

  std::vector<double> operator()(const std::vector<float>& x) const {
    std::vector<double> y(kTinySize);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double linear = a[i] * x[i] + b[i] * x[(i + 1) % kTinySize] + c[i];
      y[i] = linear * linear;
    }
    return y;
  }
};

inline ckks::ParameterSpec tiny_spec(int log_n = 10) {
  return {.log_n = log_n,
          .levels = {{30}, {30}, {30}},
          .special_bits = {30},
          .key_sets = {{.max_level = 2, .digit_primes = 1, .special_primes = 1}},
          .secret = ckks::SecretKind::kUniformTernary,
          .hamming_weight = 0,
          .security = ckks::Security::kNone};
}

inline compiler::Program tiny_program(const TinyNetwork& network = {}, int log_n = 10) {
  using namespace compiler;  // NOLINT: the program's vocabulary
  const auto parameters = ckks::Parameters::create(tiny_spec(log_n));
  const double scale = 0x1p28;
  LinearOp linear;
  ckks::LinearMap map;
  map.blocks[{0, 0}] = {{0, network.a}, {1, network.b}};
  linear.plan = ckks::plan_bsgs(map, static_cast<int>(parameters->slots()));
  linear.map = std::move(map);
  linear.plain_scale = parameters->level_modulus(2);
  linear.bias = {network.c};
  Program program;
  program.model = "tiny";
  program.parameters = tiny_spec(log_n);
  program.instructions.push_back(
      {.name = "x", .op = InputOp{}, .ciphertexts = 1, .work_level = 2, .level = 2, .scale = scale});
  program.instructions.push_back(
      {.name = "mix", .op = linear, .ciphertexts = 1, .work_level = 2, .level = 1, .scale = scale});
  program.instructions.push_back({.name = "square",
                                  .op = QuadraticOp{.x = 1},
                                  .ciphertexts = 1,
                                  .work_level = 1,
                                  .level = 0,
                                  .scale = scale * scale / parameters->level_modulus(1)});
  program.output = 2;
  program.keys = required_keys(program, *parameters);
  return program;
}

/// A 1 x 3 convolution with two channels out on a row of four, which gives both of its layouts runs and a hole.
inline std::shared_ptr<const compiler::LayerMatrix> tiny_layer() {
  using namespace compiler;  // NOLINT: the program's vocabulary
  const Convolution layer{
      .in = {1, 1, 4}, .out = {2, 1, 4}, .kernel = {1, 3}, .pads = {0, 1}, .weights = {0.5, 1, -0.25, 2, -1, 0.125}};
  const auto in = std::make_shared<Layout>(Layout{{{0, 0}, {0, 2}, {-1, 0}, {0, 6}}, 1, 8});
  const auto out =
      std::make_shared<Layout>(Layout{{{0, 0}, {0, 2}, {0, 4}, {0, 6}, {0, 1}, {0, 3}, {0, 5}, {0, 7}}, 1, 8});
  return std::make_shared<LayerMatrix>(
      layer, in, out, std::vector<ckks::DiagonalPlace>{{0, 0, 0, 8}, {0, 0, 1, 8}, {0, 0, 2, 8}, {0, 0, 7, 8}});
}

/// A 3 x 3 convolution with stride 2 from two channels of 2 x 2 to one of 1 x 1 (grid rows 2, so one phase below the
/// image's), on eight slots.
inline std::shared_ptr<const compiler::GridMatrix> tiny_grid_layer() {
  using namespace compiler;  // NOLINT: the program's vocabulary
  const auto in = std::make_shared<GridLayout>(GridLayout{8, 2, 1, 2, {2, 2, 3}, false, grid_entries(2, 2, 1)});
  const auto out = std::make_shared<GridLayout>(GridLayout{8, 2, 2, 1, {1, 1, 2}, false, grid_entries(1, 1, 2)});
  const Convolution layer{.in = {2, 2, 3},
                          .out = {1, 1, 2},
                          .kernel = {2, 2},
                          .strides = {2, 2},
                          .weights = {0.5, 1, -0.25, 2, -1, 0.125, 4, -2}};
  return std::make_shared<GridMatrix>(std::make_shared<Convolution>(layer), in, out, false);
}

inline compiler::ServerBundle tiny_server(const TinyNetwork& network = {}, int log_n = 10) {
  compiler::ServerBundle bundle;
  bundle.program = tiny_program(network, log_n);
  bundle.model_id = model_id(bundle.program);
  bundle.prediction.log_n = log_n;
  bundle.prediction.seconds = 0.25;
  bundle.prediction.instruction_seconds = {0, 0.1875, 0.0625};
  bundle.prediction.moved_bytes = 1 << 20;
  bundle.prediction.output_error = 1e-5;
  return bundle;
}

inline compiler::ClientBundle tiny_client(const compiler::ServerBundle& server) {
  compiler::Layout layout;
  layout.period = kTinySize;
  for (int i = 0; i < kTinySize; ++i) layout.places.push_back({0, i});
  compiler::ClientBundle bundle;
  bundle.model = server.program.model;
  bundle.parameters = server.program.parameters;
  bundle.keys = server.program.keys;
  bundle.input_shape = {1, 2, 4};
  bundle.output_shape = {1, kTinySize};
  bundle.image_resize = 6;
  bundle.classes = {"ant", "bee", "crane fly", "dragonfly", "earwig", "firefly", "grasshopper", "h\xc3\xbcpfer"};
  bundle.input_layout = bundle.output_layout = layout;
  bundle.input_level = 2;
  bundle.input_scale = server.program.instructions.front().scale;
  bundle.input_bound = 1;
  bundle.output_level = 0;
  bundle.output_scale = server.program.instructions.back().scale;
  bundle.output_bound = 6;
  bundle.prediction = server.prediction;
  bundle.prediction.instruction_seconds.clear();
  bundle.model_id = server.model_id;
  return bundle;
}

}  // namespace hearth::testing
