#include "compiler/lower.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ckks/polynomial.h"
#include "compiler/diagonals.h"
#include "compiler/grid_plan.h"
#include "compiler/rotation_keys.h"
#include "compiler/scales.h"

namespace hearth::compiler {
namespace {

using arith::Linear;

double square(double x) { return x * x; }

class Lowerer {
 public:
  Lowerer(const LayoutPlan& plan, const std::vector<NodeRange>& ranges, const ckks::Parameters& parameters,
          double margin, const std::optional<ckks::BootstrapSpec>& bootstrap, double key_budget)
      : plan_(plan),
        key_budget_(key_budget),
        ranges_(ranges),
        parameters_(parameters),
        noise_(parameters),
        levels_(assign_levels(plan.graph, bootstrap ? static_cast<int>(bootstrap->stc_radices.size()) : 0)),
        scales_(plan, levels_, ranges, parameters, margin) {
    out_.program.bootstrap = bootstrap;
    if (!plan.grids.empty()) prepare_grid();
  }

  Lowered run() {
    out_.program.model = plan_.graph.name;
    out_.program.parameters = parameters_.spec();
    for (std::size_t i = 0; i < plan_.graph.nodes.size(); ++i) {
      const ArithNode& n = plan_.graph.nodes[i];
      const std::size_t before = out_.program.instructions.size();
      value_.push_back(std::visit([&](const auto& op) { return emit(static_cast<int>(i), n, op); }, n.op));
      out_.made_by_node.push_back(out_.program.instructions.size() > before);
    }
    out_.value_of_node = value_;
    out_.program.output = value_[static_cast<std::size_t>(plan_.graph.output)];
    out_.input_layout = plan_.layouts.front();
    out_.output_layout = plan_.layouts[static_cast<std::size_t>(plan_.graph.output)];
    const Instruction& last = out_.program.instructions[static_cast<std::size_t>(out_.program.output)];
    out_.output_bound = std::exp2(parameters_.log_q(last.level) - 1) / last.scale;
    // Rounding in the last rescale differs from repetition to repetition, so averaging them removes most of it.
    const double repetitions = static_cast<double>(parameters_.slots()) / out_.output_layout.period;
    const double rounding = square(noise_.rescale / last.scale);
    const double variance = square(out_.error[static_cast<std::size_t>(out_.program.output)]);
    out_.output_error = std::sqrt(std::max(variance - rounding, 0.0) + rounding / repetitions);
    out_.program.keys = required_keys(out_.program, parameters_);
    return std::move(out_);
  }

 private:
  /// What layers on a grid decide together: their splits share keys.
  void prepare_grid() {
    margins_ = margin_values(plan_.graph);
    std::vector<const ckks::MapShape*> shapes;
    std::vector<std::size_t> nodes;
    for (std::size_t i = 0; i < plan_.matrices.size(); ++i) {
      if (!plan_.matrices[i]) continue;
      shapes.push_back(&plan_.matrices[i]->shape());
      nodes.push_back(i);
    }
    const std::vector<ckks::BsgsPlan> plans =
        split_rotations(shapes, static_cast<int>(parameters_.slots()), plan_.grids.front()->row_slots(), {},
                        static_cast<std::size_t>(key_budget_ / key_bytes(levels_.work[nodes.front()])));
    splits_.resize(plan_.matrices.size());
    for (std::size_t k = 0; k < nodes.size(); ++k) splits_[nodes[k]] = plans[k];
  }

  /// Of one rotation key at a level, in memory.
  double key_bytes(int level) const {
    const int set = parameters_.key_set_for(level),
              top = parameters_.spec().key_sets[static_cast<std::size_t>(set)].max_level;
    return 8.0 * static_cast<double>(parameters_.digits(set, top).size() * parameters_.qp_basis(top, set).size() *
                                     parameters_.n());
  }

  Value value(const ArithNode& n, std::size_t k) const { return value_[static_cast<std::size_t>(n.inputs[k])]; }
  double error(const ArithNode& n, std::size_t k) const { return out_.error[static_cast<std::size_t>(value(n, k))]; }
  const NodeRange& range(const ArithNode& n, std::size_t k) const {
    return ranges_[static_cast<std::size_t>(n.inputs[k])];
  }
  const Layout& layout(int i) const { return plan_.layouts[static_cast<std::size_t>(i)]; }

  /// `added`: the part of the result's error that its operands did not bring.
  Value push(int i, Op op, double error_of_result, double added = 0) {
    const ArithNode& n = plan_.graph.nodes[static_cast<std::size_t>(i)];
    const auto at = static_cast<std::size_t>(i);
    out_.program.instructions.push_back(
        {n.name, std::move(op), layout(i).ciphertexts, levels_.work[at], levels_.result[at], scales_[i]});
    out_.error.push_back(error_of_result);
    out_.added_noise.push_back(added);
    return static_cast<Value>(out_.program.instructions.size()) - 1;
  }

  Value emit(int i, const ArithNode&, const arith::Input&) {
    return push(i, InputOp{}, noise_.fresh / scales_[i], noise_.fresh / scales_[i]);
  }

  Value emit(int i, const ArithNode& n, const Linear& op) {
    const Layout &in = layout(n.inputs[0]), &out = layout(i);
    if (op.implicit) return layer(i, n, op);
    if (auto compact = compact_weights(op, in, out)) {
      return linear(i, n, std::move(*compact), fold_steps(in, out), place_bias(op.affine.bias, out));
    }
    PlacedAffine placed = place(op.affine, in, out);
    return linear(i, n, std::move(placed.map), std::move(placed.folds), std::move(placed.bias));
  }

  /// A layer on the grid. A bias of one value a channel is kept as that.
  Value layer(int i, const ArithNode& n, const Linear& op) {
    const auto& matrix = plan_.matrices[static_cast<std::size_t>(i)];
    const std::vector<double>& bias = op.affine.bias;
    const std::size_t plane = bias.size() / static_cast<std::size_t>(matrix->layer()->out[0]);
    bool by_channel = true;
    std::vector<float> channels;
    for (std::size_t e = 0; e < bias.size(); ++e) {
      if (e % plane == 0) channels.push_back(static_cast<float>(bias[e]));
      by_channel = by_channel && bias[e] == bias[e / plane * plane];
    }
    LinearOp made;
    if (by_channel) {
      made.channel_bias = std::move(channels);
      made.margin = margins_[static_cast<std::size_t>(i)];
    }
    return linear(i, n, matrix, matrix->fold_steps(),
                  by_channel ? std::vector<std::vector<double>>{} : place_bias(bias, layout(i)), std::move(made));
  }

  /// The layer that a matrix comes from, where that takes less memory than its diagonals.
  std::optional<LinearWeights> compact_weights(const Linear& op, const Layout& in, const Layout& out) {
    if (!op.layer || !injective(in) || !injective(out)) return std::nullopt;
    auto matrix = place_layer(*op.layer, op.affine, shared(in), shared(out));
    constexpr std::size_t kNode = 100;  // of a diagonal in a map of maps, roughly
    std::size_t explicit_bytes = 0;
    for (const ckks::DiagonalPlace& d : matrix->shape().diagonals) explicit_bytes += d.period * sizeof(double) + kNode;
    if (matrix->bytes() >= explicit_bytes) return std::nullopt;
    return matrix;
  }

  std::shared_ptr<const Layout> shared(const Layout& layout) {
    const auto found = std::ranges::find_if(layouts_, [&](const auto& known) { return *known == layout; });
    if (found != layouts_.end()) return *found;
    return layouts_.emplace_back(std::make_shared<Layout>(layout));
  }

  Value emit(int i, const ArithNode& n, const arith::Rescale&) {
    PlacedAffine placed;
    placed.map.inputs = placed.map.outputs = layout(i).ciphertexts;
    for (int c = 0; c < layout(i).ciphertexts; ++c) placed.map.blocks[{c, c}][0] = {1.0};
    return linear(i, n, std::move(placed.map), {}, {});
  }

  Value linear(int i, const ArithNode& n, LinearWeights weights, std::vector<int> folds,
               std::vector<std::vector<double>> bias, LinearOp op = {}) {
    const int work = levels_.work[static_cast<std::size_t>(i)];
    const double in = scales_[n.inputs[0]];
    op.x = value(n, 0);
    op.plain_scale = scales_[i] * parameters_.level_modulus(work) / in;
    const bool on_grid = std::holds_alternative<std::shared_ptr<const GridMatrix>>(weights);
    op.plan = on_grid ? splits_[static_cast<std::size_t>(i)]
                      : plan_at(shape_of(weights), static_cast<int>(parameters_.slots()), plan_.costs);
    op.folds = std::move(folds);
    op.bias = std::move(bias);
    op.map = std::move(weights);
    const bool rotates = op.plan.babies.size() > 1 || op.plan.giants.size() > 1;
    const double switched = rotates ? noise_.key_switch(work) / in : 0;
    const LinearNoise gain = linear_noise(plan_, i);
    const double own = gain.energy * square(switched) +
                       gain.products * square(range(n, 0).slot_rms * noise_.plain(gain.period) / op.plain_scale) +
                       square(noise_.rescale / scales_[i]);
    return push(i, std::move(op), std::sqrt(gain.energy * square(error(n, 0)) + own), std::sqrt(own));
  }

  Value emit(int i, const ArithNode& n, const arith::Add& op) {
    return push(i, AddOp{value(n, 0), value(n, 1), op.subtract}, std::hypot(error(n, 0), error(n, 1)));
  }

  Value emit(int i, const ArithNode& n, const arith::Multiply&) {
    const double product = std::hypot(range(n, 0).rms * error(n, 1), range(n, 1).rms * error(n, 0));
    const double own = noise_.rescale / scales_[i];
    return push(i, MultiplyOp{value(n, 0), value(n, 1)}, std::hypot(product, own), own);
  }

  Value emit(int i, const ArithNode& n, const arith::Polynomial& op) {
    const auto& c = op.coefficients;
    double slope = 0;
    for (std::size_t k = 1; k < c.size(); ++k) {
      slope += static_cast<double>(k) * std::abs(c[k]) * std::pow(range(n, 0).rms, static_cast<double>(k) - 1);
    }
    const double last = noise_.rescale / scales_[i] * static_cast<double>(c.size() - 2);
    const double own = std::hypot(last, power_noise(i, n, c)), e = std::hypot(slope * error(n, 0), own);
    if (c.size() > 3) return push(i, PolynomialOp{value(n, 0), c}, e, own);
    return push(i, QuadraticOp{value(n, 0), c[1] / c[2], c[0], 1 / std::abs(c[2]), c[2] < 0}, e, own);
  }

  /// Of the powers that a polynomial of degree above 2 is put together from: x^k has scale q (S / q)^k.
  double power_noise(int i, const ArithNode& n, const std::vector<double>& c) const {
    const double q = parameters_.level_modulus(levels_.work[static_cast<std::size_t>(i)]);
    double variance = 0;
    for (std::size_t k = 2; k < c.size() && c.size() > 3; ++k) {
      const double unit = std::pow(q / scales_[n.inputs[0]], static_cast<double>(k));
      variance += square(c[k] * unit * noise_.rescale / q);
    }
    return std::sqrt(variance);
  }

  Value emit(int i, const ArithNode& n, const arith::AddConstant& op) {
    PlacedAffine placed = place({n_rows(i), 0, {}, op.constant}, Layout{}, layout(i));
    if (placed.bias.empty()) return value(n, 0);
    return push(i, AddPlainOp{value(n, 0), std::move(placed.bias)}, error(n, 0));
  }

  Value emit(int i, const ArithNode& n, const arith::Activation& op) {
    ActivationOp made{value(n, 0), op.series.coefficients, {}, {}};
    double noise = square(noise_.activation(*out_.program.bootstrap, op.series)), passed = 1;
    if (!op.variants.empty()) {
      std::vector<double> noises = {noise};
      for (const auto& variant : op.variants) {
        made.variants.push_back(variant.series.coefficients);
        noises.push_back(square(noise_.activation(*out_.program.bootstrap, variant.series)));
      }
      made.choices = choices(op, *plan_.grids[static_cast<std::size_t>(i)]);
      noise = passed = 0;
      for (const double gain : op.gains) {
        noise += noises[op.variant_of(gain)] / static_cast<double>(op.gains.size());
        passed += 1 / square(gain) / static_cast<double>(op.gains.size());
      }
    }
    const double e = std::sqrt(passed * square(error(n, 0)) + square(op.series.rms_error) + noise);
    return push(i, std::move(made), e, std::sqrt(noise));
  }

  /// Which series the entries of each ciphertext have.
  static std::vector<std::vector<std::uint8_t>> choices(const arith::Activation& op, const GridLayout& grid) {
    std::vector<std::vector<std::uint8_t>> out(static_cast<std::size_t>(grid.ciphertexts()));
    for (std::size_t j = 0; j < grid.entries.size(); ++j) {
      const int channel = grid.entries[j].channel;
      const std::size_t which = channel < 0 ? 0 : op.variant_of(op.gains[static_cast<std::size_t>(channel)]);
      out[j / static_cast<std::size_t>(grid.pitch)].push_back(static_cast<std::uint8_t>(which));
    }
    return out;
  }

  Value emit(int, const ArithNode& n, const arith::View&) { return value(n, 0); }

  Value emit(int i, const ArithNode& n, const arith::Concat&) {
    JoinOp op;
    double worst = 0;
    for (std::size_t k = 0; k < n.inputs.size(); ++k) {
      for (int c = 0; c < layout(n.inputs[k]).ciphertexts; ++c) op.parts.push_back({value(n, k), c});
      worst = std::max(worst, error(n, k));
    }
    return push(i, std::move(op), worst);
  }

  std::int64_t n_rows(int i) const { return plan_.graph.size(i); }

  const LayoutPlan& plan_;
  double key_budget_;
  const std::vector<NodeRange>& ranges_;
  const ckks::Parameters& parameters_;
  NoiseModel noise_;
  Levels levels_;
  Scales scales_;
  std::vector<double> margins_;         // of layers on a grid
  std::vector<ckks::BsgsPlan> splits_;  // likewise
  std::vector<Value> value_;
  std::vector<std::shared_ptr<const Layout>> layouts_;  // of layers kept as such
  Lowered out_;
};

}  // namespace

Lowered lower(const LayoutPlan& plan, const std::vector<NodeRange>& ranges, const ckks::Parameters& parameters,
              double margin, const std::optional<ckks::BootstrapSpec>& bootstrap, double key_budget) {
  return Lowerer(plan, ranges, parameters, margin, bootstrap, key_budget).run();
}

}  // namespace hearth::compiler
