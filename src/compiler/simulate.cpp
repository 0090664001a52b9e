#include "compiler/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/parallel.h"

namespace hearth::compiler {
namespace {

using Values = std::vector<double>;

std::size_t largest(const Values& v) {
  return static_cast<std::size_t>(std::max_element(v.begin(), v.end()) - v.begin());
}

/// What one input adds to the statistics.
struct Tally {
  bool agrees = false;
  double output_square = 0, sum = 0, sum_square = 0, largest_error = 0;
  std::size_t outputs = 0;
  Values square;  // mean square difference by instruction
};

Tally compare(const LayoutPlan& plan, const Lowered& lowered, const Values& input, std::uint64_t seed) {
  const std::vector<Values> exact = evaluate(plan.graph, input);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const std::vector<Values> noisy = evaluate(plan.graph, input, [&](std::size_t node, Values& values) {
    if (!lowered.made_by_node[node]) return;  // relabelled values carry the noise they have
    const double noise = lowered.added_noise[static_cast<std::size_t>(lowered.value_of_node[node])];
    for (double& v : values) v += noise * normal(random);
  });
  Tally tally;
  tally.square.assign(lowered.added_noise.size(), 0);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    double sum = 0;
    for (std::size_t e = 0; e < exact[i].size(); ++e) sum += std::pow(noisy[i][e] - exact[i][e], 2);
    const auto value = static_cast<std::size_t>(lowered.value_of_node[i]);
    if (lowered.made_by_node[i]) tally.square[value] = sum / static_cast<double>(exact[i].size());
  }
  const auto output = static_cast<std::size_t>(plan.graph.output);
  const Values &want = exact[output], &got = noisy[output];
  tally.agrees = largest(want) == largest(got);
  tally.outputs = want.size();
  for (std::size_t e = 0; e < want.size(); ++e) {
    const double error = std::abs(got[e] - want[e]);
    tally.output_square += error * error;
    tally.largest_error = std::max(tally.largest_error, error);
    tally.sum += want[e];
    tally.sum_square += want[e] * want[e];
  }
  return tally;
}

}  // namespace

Simulation simulate(const LayoutPlan& plan, const Lowered& lowered, std::span<const std::vector<double>> inputs,
                    std::uint64_t seed) {
  std::vector<Tally> tallies(inputs.size());
  parallel_for(0, inputs.size(), [&](std::size_t i) { tallies[i] = compare(plan, lowered, inputs[i], seed + i); });
  Simulation out;
  out.inputs = static_cast<int>(inputs.size());
  out.error.assign(lowered.added_noise.size(), 0);
  double square = 0, sum = 0, sum_square = 0, count = 0;
  for (const Tally& tally : tallies) {
    out.labels_agree += tally.agrees ? 1 : 0;
    out.largest_error = std::max(out.largest_error, tally.largest_error);
    square += tally.output_square;
    sum += tally.sum;
    sum_square += tally.sum_square;
    count += static_cast<double>(tally.outputs);
    for (std::size_t v = 0; v < out.error.size(); ++v) out.error[v] += tally.square[v];
  }
  for (double& e : out.error) e = std::sqrt(e / std::max(1.0, static_cast<double>(inputs.size())));
  if (count > 0) {
    out.output_error = std::sqrt(square / count);
    out.output_spread = std::sqrt(std::max(0.0, sum_square / count - std::pow(sum / count, 2)));
  }
  return out;
}

std::string to_string(const Simulation& s) {
  return fmt::format(
      "simulated on {} calibration input(s): {} of {} labels as in plaintext ({:.1f} %), outputs off by {:.3g} rms "
      "({:.2f} % of their spread), {:.3g} at most\n",
      s.inputs, s.labels_agree, s.inputs, 100 * s.agreement(), s.output_error,
      100 * s.output_error / std::max(s.output_spread, 1e-30), s.largest_error);
}

}  // namespace hearth::compiler
