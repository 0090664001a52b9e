#include "compiler/compile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/parallel.h"
#include "compiler/grid_plan.h"
#include "compiler/lower.h"
#include "compiler/predict.h"
#include "compiler/simulate.h"
#include "nn/equalise.h"
#include "nn/simplify.h"

namespace hearth::compiler {
namespace {

constexpr int kSmallestLogN = 11, kLargestLogN = 17;
/// Fewest factors of SlotsToCoeffs, so the lowest level at which activations may take their operands.
constexpr int kLeastActivationLevel = 2;
/// Shortest period of slots that bootstraps are made for.
constexpr int kLeastLogPeriod = 6;

/// Says that a step begins. Shares of the whole work are those of ResNets; smaller networks are quick anyway.
void begin(const CompileOptions& options, const std::string& step) {
  static const std::map<std::string, double> before = {
      {"simplify", 0},    {"activations", 0.17}, {"layout", 0.27}, {"lower", 0.68},
      {"simulate", 0.82}, {"predict", 0.97},     {"dump", 0.98},   {"done", 1}};
  if (options.progress) options.progress(step == "done" ? "" : step, before.at(step), 1);
}

/// One way to compile: a ring degree and a width of the base modulus.
struct Candidate {
  ckks::ParametersPtr parameters;
  LayoutPlan plan;
  std::vector<NodeRange> ranges;
  Lowered lowered;
  double output_rms = 0;
  std::vector<ActivationReport> activations;

  double relative_error() const { return lowered.output_error / std::max(output_rms, 1e-30); }
};

/// Empty when the slots do not hold an image that they must hold.
std::optional<LayoutPlan> lay_out(const ArithGraph& graph, int slots) {
  const bool implicit = std::ranges::any_of(graph.nodes, [](const ArithNode& node) {
    const auto* linear = std::get_if<arith::Linear>(&node.op);
    return linear && linear->implicit;
  });
  return implicit ? plan_on_grid(graph, slots) : choose_layouts(graph, slots);
}

/// Matrices of more weights than this in all are not listed.
constexpr double kListedWeights = 0x1p28;

LinearForm choose_form(const nn::Graph& graph) {
  double weights = 0;
  for (const nn::Node& node : graph.nodes) {
    if (is_affine(node.op)) weights += products_of(node.op, graph.nodes[node.inputs[0]].shape, node.shape);
  }
  return weights > kListedWeights ? LinearForm::kImplicit : LinearForm::kListed;
}

/// Tries ring degrees from small to large until the predicted precision suffices; keeps the most precise otherwise.
class Chooser {
 public:
  Chooser(const ArithGraph& graph, const std::vector<std::vector<double>>& inputs, const CompileOptions& options)
      : graph_(graph), inputs_(inputs), options_(options) {}

  /// Whether some ring holds all levels without a bootstrap.
  bool possible() const { return fits(options_.log_n ? options_.log_n : kLargestLogN); }

  Candidate run() {
    const int from = options_.log_n ? options_.log_n : kSmallestLogN;
    const int to = options_.log_n ? options_.log_n : kLargestLogN;
    for (int log_n = from; log_n <= to; ++log_n) {
      if (!fits(log_n)) continue;
      const std::optional<LayoutPlan> plan = lay_out(align_scales(graph_), 1 << (log_n - 1));
      if (!plan) continue;
      for (const int base_primes : {1, 2}) {
        std::optional<Candidate> candidate = attempt(*plan, log_n, base_primes);
        if (!candidate) continue;
        const bool enough = candidate->relative_error() <= options_.target_error;
        if (!best_ || candidate->relative_error() < best_->relative_error()) best_ = std::move(candidate);
        if (enough) return std::move(*best_);
      }
    }
    if (best_) return std::move(*best_);
    refuse();
  }

 private:
  /// Whether the graph's levels fit at all, before the layout search, which costs time.
  bool fits(int log_n) const { return choose_parameters(log_n, 1, depth(), {}, options_.security).has_value(); }
  int depth() const { return assign_levels(align_scales(graph_)).result[0]; }

  std::optional<Candidate> attempt(const LayoutPlan& plan, int log_n, int base_primes) const {
    const Levels levels = assign_levels(plan.graph);
    const auto spec =
        choose_parameters(log_n, base_primes, levels.result[0], key_levels(plan, levels), options_.security);
    if (!spec) return std::nullopt;
    Candidate candidate;
    candidate.parameters = ckks::Parameters::create(*spec);
    candidate.plan = plan;
    candidate.ranges = measure_ranges(plan, inputs_);
    candidate.output_rms = candidate.ranges[static_cast<std::size_t>(plan.graph.output)].rms;
    candidate.lowered = lower(plan, candidate.ranges, *candidate.parameters, options_.margin);
    return candidate;
  }

  [[noreturn]] void refuse() const {
    const int log_n = options_.log_n ? options_.log_n : kLargestLogN;
    fail(ErrorKind::kUnsupported,
         "model \"{}\" needs {} levels of {} bits, more than ring degree 2^{} allows at 128 bits of security "
         "(log2(QP) at most {}){}",
         graph_.name, depth(), kPrimeBits, log_n, ckks::max_log_qp_128(log_n, ckks::SecretKind::kUniformTernary, 0),
         options_.log_n ? "; try a larger --log-n" : "");
  }

  const ArithGraph& graph_;
  const std::vector<std::vector<double>>& inputs_;
  const CompileOptions& options_;
  std::optional<Candidate> best_;
};

/// Networks with activations, or too deep to do without bootstraps: the smallest ring whose chain is secure.
class BootstrapChooser {
 public:
  BootstrapChooser(const ArithGraph& graph, const std::vector<std::vector<double>>& inputs,
                   const CompileOptions& options)
      : graph_(align_scales(graph)), inputs_(inputs), options_(options) {}

  Candidate run() {
    if (std::optional<Candidate> candidate = attempt_all()) return std::move(*candidate);
    const int to = options_.log_n ? options_.log_n : kLargestLogN;
    const char* hint = options_.log_n ? "; try a larger --log-n" : "";
    require(
        has_activations(graph_), ErrorKind::kUnsupported,
        "model \"{}\" needs {} levels, more than a ring of degree 2^{} has at 128 bits of security, nor is there room "
        "for a bootstrap{}",
        graph_.name, assign_levels(graph_).result[0], to, hint);
    fail(ErrorKind::kUnsupported,
         "model \"{}\": a bootstrap for its activations and the {} level(s) of its deepest operation do not fit a ring "
         "of "
         "degree 2^{} at 128 bits of security{}",
         graph_.name, deepest_operation(graph_), to, hint);
  }

  /// Empty where run() throws.
  std::optional<Candidate> attempt_all() {
    const int from = options_.log_n ? options_.log_n : kSmallestLogN;
    const int to = options_.log_n ? options_.log_n : kLargestLogN;
    for (int log_n = from; log_n <= to; ++log_n) {
      if (!chain(needs(log_n, deepest_operation(graph_), graph_))) continue;
      if (std::optional<Candidate> candidate = attempt(log_n)) return candidate;
    }
    return std::nullopt;
  }

 private:
  std::optional<Candidate> attempt(int log_n) const {
    Candidate candidate;
    // Scales are aligned once more: a refresh is where branches may need it.
    ArithGraph graph = align_scales(with_refreshes(log_n));
    begin(options_, "activations");
    candidate.activations = calibrate_activations(graph, inputs_, options_.activations);
    begin(options_, "layout");
    std::optional<LayoutPlan> plan = lay_out(graph, 1 << (log_n - 1));
    if (!plan) return std::nullopt;
    candidate.plan = std::move(*plan);
    // Repacking may have made stretches longer; periods and ciphertexts are known only now.
    BootstrapNeeds final_needs = needs(log_n, linear_levels(candidate.plan.graph), candidate.plan.graph);
    final_needs.log_period = 0;
    for (std::size_t i = 0; i < candidate.plan.graph.nodes.size(); ++i) {
      if (!std::holds_alternative<arith::Activation>(candidate.plan.graph.nodes[i].op)) continue;
      const Layout& layout = candidate.plan.layouts[i];
      const auto period = static_cast<unsigned>(layout.period);
      final_needs.log_period = std::max({final_needs.log_period, std::countr_zero(period), kLeastLogPeriod});
      if (layout.ciphertexts > 1) final_needs.ciphertexts = 2;
    }
    const std::optional<BootstrapChain> chosen = chain(final_needs);
    if (!chosen) return std::nullopt;
    begin(options_, "lower");
    candidate.parameters = ckks::Parameters::create(chosen->parameters);
    candidate.ranges = measure_ranges(candidate.plan, inputs_);
    candidate.output_rms = candidate.ranges[static_cast<std::size_t>(candidate.plan.graph.output)].rms;
    candidate.lowered = lower(candidate.plan, candidate.ranges, *candidate.parameters, options_.margin,
                              chosen->bootstrap, options_.key_budget);
    return candidate;
  }

  /// Longer stretches make every bootstrap dearer, shorter ones take more of them.
  ArithGraph with_refreshes(int log_n) const {
    ArithGraph best;
    double least = std::numeric_limits<double>::infinity();
    for (int levels = deepest_operation(graph_); levels <= std::max(linear_levels(graph_), 1); ++levels) {
      const std::optional<BootstrapChain> possible = chain(needs(log_n, levels, graph_));
      if (!possible) break;
      ArithGraph graph = insert_refreshes(graph_, kLeastActivationLevel, levels);
      const double cost = bootstraps(graph) * possible->seconds;
      if (cost >= least) continue;
      least = cost;
      best = std::move(graph);
    }
    return best;
  }

  /// Most levels that activations' results have above the level at which activations take their operands.
  static int linear_levels(const ArithGraph& graph) {
    const Levels levels = assign_levels(graph, kLeastActivationLevel);
    int most = kLeastActivationLevel;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      most = std::max({most, levels.result[i], levels.work[i]});
    }
    return most - kLeastActivationLevel;
  }

  static int bootstraps(const ArithGraph& graph) {
    return static_cast<int>(std::ranges::count_if(
        graph.nodes, [](const ArithNode& n) { return std::holds_alternative<arith::Activation>(n.op); }));
  }

  BootstrapNeeds needs(int log_n, int levels, const ArithGraph& graph) const {
    return {.log_n = log_n,
            .log_period = log_n - 1,
            .linear_levels = levels,
            .coefficients = options_.activations.degree + 1,
            .bootstraps = bootstraps(graph),
            .security = options_.security};
  }

  static std::optional<BootstrapChain> chain(const BootstrapNeeds& needs) {
    return choose_bootstrap_chain(needs, typical_limbs(needs.log_n));
  }

  ArithGraph graph_;
  const std::vector<std::vector<double>>& inputs_;
  const CompileOptions& options_;
};

std::vector<std::vector<double>> as_vectors(const nn::Graph& graph, std::span<const nn::Tensor> calibration) {
  require(!calibration.empty(), ErrorKind::kInvalidArgument,
          "calibration needs at least one input of shape {}: ranges of all values are measured on it",
          nn::to_string(graph.input_shape()));
  std::vector<std::vector<double>> inputs;
  bool all_zero = true;
  for (const nn::Tensor& t : calibration) {
    require(t.size() == nn::element_count(graph.input_shape()), ErrorKind::kInvalidArgument,
            "a calibration input has shape {}, the model takes {}", nn::to_string(t.shape),
            nn::to_string(graph.input_shape()));
    for (const float v : t.data) {
      require(std::isfinite(v), ErrorKind::kInvalidArgument, "a calibration input holds a value that is not finite");
      all_zero = all_zero && v == 0;
    }
    inputs.emplace_back(t.data.begin(), t.data.end());
  }
  require(!all_zero, ErrorKind::kInvalidArgument,
          "all calibration inputs are zero: they say nothing about the range of real ones; give typical inputs");
  return inputs;
}

ClientBundle client_bundle(const nn::Graph& graph, const Candidate& c, const ServerBundle& server) {
  const Program& program = server.program;
  const Instruction& last = program.instructions[static_cast<std::size_t>(program.output)];
  ClientBundle client;
  client.model = program.model;
  client.parameters = program.parameters;
  client.keys = program.keys;
  client.input_shape = graph.input_shape();
  client.output_shape = graph.output_shape();
  client.input_layout = c.lowered.input_layout;
  client.output_layout = c.lowered.output_layout;
  client.input_level = program.input().level;
  client.input_scale = program.input().scale;
  client.input_bound = c.ranges.front().abs_max;
  client.output_level = last.level;
  client.output_scale = last.scale;
  client.output_bound = c.lowered.output_bound;
  client.prediction = server.prediction;
  client.prediction.instruction_seconds.clear();
  client.model_id = server.model_id;
  return client;
}

/// Activations with one range for all channels lose least when the channels are alike.
nn::Graph equalised(nn::Graph graph, std::span<const nn::Tensor> calibration) {
  const bool activations = std::ranges::any_of(
      graph.nodes, [](const nn::Node& node) { return std::holds_alternative<nn::Activation>(node.op); });
  if (!activations) return graph;
  // More gain is more precise, but fits the calibration inputs so closely that others leave their ranges
  // (docs/bootstrapping.md, experiments).
  nn::EqualiseLimits limits;
  limits.gain = 1;
  return nn::equalise(graph, nn::calibrate(graph, calibration), limits);
}

/// Simulates a candidate on some of the calibration inputs.
Simulation simulate(const Candidate& candidate, const std::vector<std::vector<double>>& inputs,
                    const CompileOptions& options) {
  const auto count = std::min(inputs.size(), static_cast<std::size_t>(std::max(options.simulated_inputs, 0)));
  return simulate(candidate.plan, candidate.lowered, std::span(inputs).first(count));
}

bool precise(const Simulation& simulation, const CompileOptions& options) {
  return simulation.labels_agree == simulation.inputs &&
         simulation.output_error <= options.target_spread * simulation.output_spread;
}

/// With series of the larger degree where those asked for are not precise enough.
Candidate with_bootstraps(const ArithGraph& graph, const std::vector<std::vector<double>>& inputs,
                          const CompileOptions& options, Simulation& simulation) {
  Candidate chosen = BootstrapChooser(graph, inputs, options).run();
  begin(options, "simulate");
  simulation = simulate(chosen, inputs, options);
  if (options.larger_degree <= options.activations.degree || precise(simulation, options)) return chosen;
  CompileOptions larger = options;
  larger.activations.degree = options.larger_degree;
  const auto progress = options.progress;
  if (progress) {  // the share of it that comes after the first simulation
    larger.progress = [progress](const std::string& step, double done, double total) {
      progress(step + " again, with longer series", 0.82 + 0.15 * done / total, 1);
    };
  }
  std::optional<Candidate> other = BootstrapChooser(graph, inputs, larger).attempt_all();
  if (!other) return chosen;
  const Simulation better = simulate(*other, inputs, options);
  const bool labels = better.labels_agree > simulation.labels_agree;
  if (!labels && better.output_error >= simulation.output_error) return chosen;
  simulation = better;
  return std::move(*other);
}

}  // namespace

const std::vector<std::string>& compile_steps() {
  static const std::vector<std::string> steps = {"import", "simplify", "activations", "layout", "lower", "predict"};
  return steps;
}

Compiled compile(const nn::Graph& graph, std::span<const nn::Tensor> calibration, const CompileOptions& wanted) {
  CompileOptions options = wanted;
  require(options.margin >= 1, ErrorKind::kInvalidArgument, "the margin is {}, it must be at least 1", options.margin);
  require(options.log_n == 0 || (options.log_n >= kSmallestLogN && options.log_n <= kLargestLogN),
          ErrorKind::kInvalidArgument, "log2 of the ring degree is {}, it must be between {} and {}", options.log_n,
          kSmallestLogN, kLargestLogN);
  if (options.threads > 0) set_threads(options.threads);
  const auto inputs = as_vectors(graph, calibration);
  begin(options, "simplify");
  const nn::Graph simple = equalised(nn::simplify(graph), calibration);
  const LinearForm form = options.linear_form.value_or(choose_form(simple));
  if (form == LinearForm::kImplicit && !options.margin_by_hand) options.activations.margin = options.layers_margin;
  const ArithGraph reduced = mask_output(reduce(simple, form));
  Chooser plain(reduced, inputs, options);
  const bool bootstraps = has_activations(reduced) || !plain.possible();
  Compiled out;
  Candidate chosen = bootstraps ? with_bootstraps(reduced, inputs, options, out.simulation) : plain.run();
  out.server.program = chosen.lowered.program;
  check(out.server.program, *chosen.parameters);
  begin(options, "predict");
  out.server.prediction = predict(chosen.lowered, chosen.parameters, chosen.output_rms, options.machine);
  out.server.model_id = model_id(out.server.program);
  out.client = client_bundle(graph, chosen, out.server);
  out.dumps["import"] = nn::to_string(graph);
  out.dumps["simplify"] = nn::to_string(simple) + to_string(reduced);
  out.activations = chosen.activations;
  if (!bootstraps) out.simulation = simulate(chosen, inputs, options);
  begin(options, "dump");
  out.dumps["activations"] = to_string(chosen.activations);
  out.dumps["layout"] = to_string(chosen.plan);
  out.dumps["lower"] = to_string(out.server.program);
  out.dumps["predict"] = to_string(out.server.prediction) + to_string(out.simulation);
  out.plan = std::move(chosen.plan);
  out.lowered = std::move(chosen.lowered);
  out.lowered.program = {};  // in the bundle, and large
  begin(options, "done");
  return out;
}

}  // namespace hearth::compiler
