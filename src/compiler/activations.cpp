#include "compiler/activations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"

namespace hearth::compiler {
namespace {

constexpr std::size_t kCells = 256;  // of the histogram of an activation's inputs

/// What one activation reads.
struct Inputs {
  double largest = 0, square_sum = 0, slope_sum = 0;
  std::int64_t count = 0;
  std::vector<double> channels;  ///< largest by channel
  std::vector<double> density;   ///< how often each cell of the range was met
};

double derivative(const nn::Activation& f, double x, double step) {
  return (nn::evaluate(f, x + step) - nn::evaluate(f, x - step)) / (2 * step);
}

/// Probability that one value exceeds `bound`, when the largest of `count` values was `largest`: a tail that falls
/// exponentially, with one value expected beyond `largest`. Pre-activations have heavier tails than normal ones.
double tail(double bound, double largest, double count) {
  return largest <= 0 ? 0 : std::exp(-std::log(std::max(count, 2.0)) * bound / largest);
}

/// Values of all nodes that are kept at once; beyond, inputs are evaluated again for every pass.
constexpr std::int64_t kKeptValues = std::int64_t{1} << 26;

class Calibrator {
 public:
  Calibrator(ArithGraph& graph, const std::vector<std::vector<double>>& inputs, const ActivationOptions& options)
      : graph_(graph), inputs_(inputs), options_(options), classes_(scale_classes(graph)) {
    std::int64_t each = 0;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) each += graph.size(static_cast<int>(i));
    if (each * static_cast<std::int64_t>(inputs.size()) > kKeptValues) return;
    for (const auto& input : inputs) kept_.push_back(evaluate(graph, input));
  }

  std::vector<ActivationReport> run() {
    for_each_input([&](std::size_t i, std::size_t channel, double x) {
      Inputs& seen = seen_[i];
      if (channel >= seen.channels.size()) seen.channels.resize(channel + 1, 0);
      seen.channels[channel] = std::max(seen.channels[channel], std::abs(x));
      seen.largest = std::max(seen.largest, std::abs(x));
      seen.square_sum += x * x;
      ++seen.count;
    });
    for (const auto& [i, seen] : seen_) {
      double& largest = largest_[operand_class(i)];
      largest = std::max(largest, seen.largest);
    }
    for (auto& [i, seen] : seen_) {
      seen.density.assign(kCells, 0);
      multiply_channels(i, seen);
    }
    for_each_input([&](std::size_t i, std::size_t channel, double x) {
      Inputs& seen = seen_.at(i);
      const arith::Activation& op = *activation(i);
      const double gain = op.gains.empty() ? 1 : op.gains[channel], step = std::max(seen.largest, 1e-6) * 1e-6;
      // Values that were kept are from before the channels were multiplied.
      const double meant = kept_.empty() ? x / gain : x;
      seen.slope_sum += std::pow(derivative(op.function, meant, step), 2);
      const double at = (meant * gain / bound(i) + 1) / 2 * kCells;
      ++seen.density[static_cast<std::size_t>(std::clamp(at, 0.0, static_cast<double>(kCells - 1)))];
    });
    std::vector<ActivationReport> reports;
    for (const auto& [i, seen] : seen_) reports.push_back(fit(i, seen));
    return reports;
  }

 private:
  arith::Activation* activation(std::size_t i) { return std::get_if<arith::Activation>(&graph_.nodes[i].op); }
  std::size_t operand(std::size_t i) const { return static_cast<std::size_t>(graph_.nodes[i].inputs[0]); }
  int operand_class(std::size_t i) const { return classes_[operand(i)]; }
  double bound(std::size_t i) const { return options_.margin * std::max(largest_.at(operand_class(i)), 1e-6); }

  /// f(activation, channel, value) for every value that an activation reads, on all inputs.
  template <typename F>
  void for_each_input(const F& f) {
    for (std::size_t k = 0; k < inputs_.size(); ++k) {
      const auto values = kept_.empty() ? evaluate(graph_, inputs_[k]) : std::vector<std::vector<double>>{};
      for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
        if (!activation(i)) continue;
        const std::vector<double>& read = (kept_.empty() ? values : kept_[k])[operand(i)];
        const std::size_t plane = read.size() / channels_of(i);
        for (std::size_t e = 0; e < read.size(); ++e) f(i, e / plane, read[e]);
      }
    }
  }

  std::size_t channels_of(std::size_t i) const {
    const nn::Shape& shape = graph_.nodes[i].shape;
    return shape.size() >= 2 ? static_cast<std::size_t>(shape[1]) : 1;
  }

  /// Gives an activation's channels gains, where a layer before it can make them.
  void multiply_channels(std::size_t i, const Inputs& seen) {
    arith::Activation& op = *activation(i);
    ArithNode& before = graph_.nodes[operand(i)];
    auto* linear = std::get_if<arith::Linear>(&before.op);
    const bool owned = linear && linear->implicit && graph_.users()[operand(i)].size() == 1 &&
                       graph_.output != static_cast<int>(operand(i));
    if (!owned || options_.channel_gain <= 1 || nn::positively_homogeneous(op.function)) return;
    for (const double largest : seen.channels) {
      const double room = largest_.at(operand_class(i)) / std::max(options_.channel_margin * largest, 1e-9);
      const double gain = std::clamp(room, 1.0, options_.channel_gain);
      op.gains.push_back(std::exp2(std::floor(2 * std::log2(gain)) / 2));
    }
    auto layer = std::make_shared<Convolution>(*linear->layer);
    const std::size_t each = layer->weights.size() / op.gains.size();
    for (std::size_t k = 0; k < layer->weights.size(); ++k) {
      layer->weights[k] = static_cast<float>(layer->weights[k] * op.gains[k / each]);
    }
    linear->layer = std::move(layer);
    std::vector<double>& bias = linear->affine.bias;
    for (std::size_t e = 0; e < bias.size(); ++e) bias[e] *= op.gain(e, bias.size());
  }

  FourierSeries fit(const arith::Activation& op, double gain, const FourierFitOptions& options, double bound) const {
    std::vector<double> kinks = nn::kinks(op.function);
    for (double& kink : kinks) kink *= gain;
    return fit_fourier([&](double x) { return nn::evaluate(op.function, x / gain); }, bound, options, kinks);
  }

  ActivationReport fit(std::size_t i, const Inputs& seen) {
    arith::Activation& op = *activation(i);
    const double bound = this->bound(i);
    FourierFitOptions fit_options{.degree = options_.degree, .rho = options_.rho, .density = seen.density};
    op.series = fit(op, 1, fit_options, bound);
    for (const double gain : std::set<double>(op.gains.begin(), op.gains.end())) {
      if (gain != 1) op.variants.push_back({gain, fit(op, gain, fit_options, bound)});
    }
    const auto count = static_cast<double>(seen.count);
    const std::string parameters = nn::parameters(op.function);
    return {.node = static_cast<int>(i),
            .name = graph_.nodes[i].name,
            .function = is_plain_refresh(op.function)
                            ? "refresh"
                            : fmt::format("{}{}", nn::name(op.function.kind),
                                          parameters.empty() ? "" : fmt::format("({})", parameters)),
            .largest = seen.largest,
            .rms = std::sqrt(seen.square_sum / count),
            .bound = bound,
            .half_period = op.series.half_period(),
            .degree = op.series.degree(),
            .max_error = op.series.max_error,
            .rms_error = op.series.rms_error,
            .slope = std::sqrt(seen.slope_sum / count),
            .clip_probability = tail(bound, seen.largest, count),
            .wrap_probability = tail(op.series.half_period(), seen.largest, count)};
  }

  ArithGraph& graph_;
  const std::vector<std::vector<double>>& inputs_;
  const ActivationOptions& options_;
  std::vector<int> classes_;
  std::vector<std::vector<std::vector<double>>> kept_;  // [input][node]
  std::map<std::size_t, Inputs> seen_;
  std::map<int, double> largest_;  // of a class
};

}  // namespace

std::vector<ActivationReport> calibrate_activations(ArithGraph& graph, const std::vector<std::vector<double>>& inputs,
                                                    const ActivationOptions& options) {
  require(options.margin >= 1, ErrorKind::kInvalidArgument,
          "the margin of activations is {}, it must be at least 1: a range below the values met would clip them",
          options.margin);
  return Calibrator(graph, inputs, options).run();
}

std::string to_string(const std::vector<ActivationReport>& reports) {
  std::string text =
      fmt::format("{:<28} {:<12} {:>9} {:>9} {:>7} {:>6} {:>10} {:>10} {:>9} {:>9}\n", "activation", "function",
                  "largest", "range", "margin", "degree", "max error", "rms error", "P(clip)", "P(wrap)");
  for (const ActivationReport& r : reports) {
    text += fmt::format("{:<28} {:<12} {:>9.4g} {:>9.4g} {:>6.2f}x {:>6} {:>10.2e} {:>10.2e} {:>9.1e} {:>9.1e}\n",
                        r.name, r.function, r.largest, r.bound, r.bound / std::max(r.largest, 1e-30), r.degree,
                        r.max_error, r.rms_error, r.clip_probability, r.wrap_probability);
  }
  return text;
}

}  // namespace hearth::compiler
