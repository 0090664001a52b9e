#include "compiler/diagonals.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"

namespace hearth::compiler {
namespace {

struct Spot {
  int input = 0, output = 0;
  int rotation = 0;
  int slot = 0;  ///< in a diagonal of length max(P_in, P_out)
};

/// Where the weights between two layouts go.
class Geometry {
 public:
  Geometry(const Layout& in, const Layout& out) : in_(in), out_(out), period_(std::min(in.period, out.period)) {}

  int length() const { return std::max(in_.period, out_.period); }

  /// False when the column is a zero that is not stored anywhere.
  bool spot(const Weight& w, Spot& s) const {
    const Place& a = in_.places[static_cast<std::size_t>(w.column)];
    const Place& b = out_.places[static_cast<std::size_t>(w.row)];
    if (a.ciphertext < 0) return false;
    s.input = a.ciphertext;
    s.output = b.ciphertext;
    const int difference = a.slot - b.slot;
    s.rotation = difference & (period_ - 1);
    s.slot = in_.period > out_.period ? b.slot + ((difference - s.rotation) & (in_.period - 1)) : b.slot;
    return true;
  }

 private:
  const Layout& in_;
  const Layout& out_;
  int period_;
};

/// Which diagonals a placed matrix has: [output][input][rotation], one flag each.
std::vector<char> used_diagonals(const Affine& affine, const Layout& in, const Layout& out) {
  const Geometry geometry(in, out);
  const auto period = static_cast<std::size_t>(std::min(in.period, out.period));
  const auto inputs = static_cast<std::size_t>(in.ciphertexts);
  std::vector<char> used(inputs * static_cast<std::size_t>(out.ciphertexts) * period, 0);
  for (const Weight& w : affine.weights) {
    Spot s;
    if (!geometry.spot(w, s)) continue;
    const std::size_t block = static_cast<std::size_t>(s.output) * inputs + static_cast<std::size_t>(s.input);
    used[block * period + static_cast<std::size_t>(s.rotation)] = 1;
  }
  return used;
}

}  // namespace

std::vector<int> fold_steps(const Layout& in, const Layout& out) {
  std::vector<int> steps;
  for (int step = out.period; step < in.period; step *= 2) steps.push_back(step);
  return steps;
}

std::vector<std::vector<double>> place_bias(const std::vector<double>& bias, const Layout& out) {
  if (std::ranges::all_of(bias, [](double b) { return b == 0; })) return {};
  std::vector<std::vector<double>> placed(static_cast<std::size_t>(out.ciphertexts),
                                          std::vector<double>(static_cast<std::size_t>(out.period), 0));
  for (std::size_t e = 0; e < bias.size(); ++e) {
    const Place& p = out.places[e];
    placed[static_cast<std::size_t>(p.ciphertext)][static_cast<std::size_t>(p.slot)] = bias[e];
  }
  for (auto& v : placed) v = least_period(std::move(v));
  return placed;
}

std::vector<double> least_period(std::vector<double> v) {
  while (v.size() > 1) {
    const std::size_t half = v.size() / 2;
    if (!std::equal(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(half),
                    v.begin() + static_cast<std::ptrdiff_t>(half)))
      break;
    v.resize(half);
  }
  return v;
}

PlacedAffine place(const Affine& affine, const Layout& in, const Layout& out) {
  const Geometry geometry(in, out);
  PlacedAffine placed;
  placed.map.inputs = in.ciphertexts;
  placed.map.outputs = out.ciphertexts;
  for (const Weight& w : affine.weights) {
    Spot s;
    if (!geometry.spot(w, s)) continue;
    auto& diagonal = placed.map.blocks[{s.output, s.input}][s.rotation];
    if (diagonal.empty()) diagonal.assign(static_cast<std::size_t>(geometry.length()), 0);
    diagonal[static_cast<std::size_t>(s.slot)] += w.weight;
  }
  for (auto& [block, diagonals] : placed.map.blocks) {
    for (auto& [rotation, diagonal] : diagonals) diagonal = least_period(std::move(diagonal));
  }
  placed.folds = fold_steps(in, out);
  placed.bias = place_bias(affine.bias, out);
  return placed;
}

std::shared_ptr<const LayerMatrix> place_layer(const Convolution& layer, const Affine& affine,
                                               std::shared_ptr<const Layout> in, std::shared_ptr<const Layout> out) {
  const std::vector<char> used = used_diagonals(affine, *in, *out);
  const auto period = static_cast<std::size_t>(std::min(in->period, out->period));
  const auto inputs = static_cast<std::size_t>(in->ciphertexts);
  const auto length = static_cast<std::size_t>(std::max(in->period, out->period));
  std::vector<ckks::DiagonalPlace> diagonals;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    diagonals.push_back({static_cast<int>(i / period / inputs), static_cast<int>(i / period % inputs),
                         static_cast<int>(i % period), length});
  }
  const LayerMatrix whole(layer, in, out, diagonals);
  const auto held = whole.hold();
  parallel_for(0, diagonals.size(), [&](std::size_t i) {
    std::vector<double> values(length);
    whole.diagonal(diagonals[i], values);
    diagonals[i].period = least_period(std::move(values)).size();
  });
  return std::make_shared<LayerMatrix>(layer, std::move(in), std::move(out), std::move(diagonals));
}

namespace {

constexpr std::size_t kSampledDiagonals = 6;

/// Mean period of a layer's diagonals, from a few of them.
double mean_period(const Convolution& layer, const std::vector<char>& used, std::int64_t count, const Layout& in,
                   const Layout& out) {
  const auto unowned = [](const Layout& layout) {
    return std::shared_ptr<const Layout>(std::shared_ptr<const Layout>(), &layout);
  };
  const LayerMatrix matrix(layer, unowned(in), unowned(out), {});
  const auto held = matrix.hold();
  const auto length = static_cast<std::size_t>(std::max(in.period, out.period));
  const auto period = static_cast<std::size_t>(std::min(in.period, out.period));
  const auto inputs = static_cast<std::size_t>(in.ciphertexts);
  const std::int64_t stride = std::max<std::int64_t>(1, count / static_cast<std::int64_t>(kSampledDiagonals));
  double sum = 0;
  std::int64_t seen = 0, sampled = 0;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i] || seen++ % stride != stride / 2) continue;
    std::vector<double> values(length);
    matrix.diagonal({static_cast<int>(i / period / inputs), static_cast<int>(i / period % inputs),
                     static_cast<int>(i % period), length},
                    values);
    sum += static_cast<double>(least_period(std::move(values)).size());
    ++sampled;
  }
  return sampled > 0 ? sum / static_cast<double>(sampled) : 0;
}

/// Distinct rotations of all blocks, ascending.
std::vector<int> distinct_rotations(const std::vector<char>& used, std::size_t period) {
  std::vector<char> any(period, 0);
  for (std::size_t i = 0; i < used.size(); ++i) any[i % period] |= used[i];
  std::vector<int> rotations;
  for (std::size_t r = 0; r < period; ++r) {
    if (any[r]) rotations.push_back(static_cast<int>(r));
  }
  return rotations;
}

/// The best split for one way to evaluate: fills babies, giants, rotations and total.
PlacementCost split(const PlacementCost& counted, const std::vector<int>& rotations, int period, const Layout& in,
                    const Layout& out, const MapCosts& costs) {
  PlacementCost best;
  best.total = std::numeric_limits<double>::infinity();
  std::vector<int> seen(static_cast<std::size_t>(period), 0);  // the last step with this baby
  for (int step = 1; step <= period; step *= 2) {
    int babies = 0, giants = 0, last = 0;  // those that are not 0
    for (const int r : rotations) {
      const int baby = r % step, giant = r - baby;
      if (baby != 0 && std::exchange(seen[static_cast<std::size_t>(baby)], step) != step) ++babies;
      if (giant != last) ++giants;
      last = giant;
    }
    PlacementCost cost = counted;
    cost.babies = babies * in.ciphertexts;
    cost.giants = giants * out.ciphertexts;
    cost.rotations = babies + giants;
    cost.total = costs.baby * cost.babies + costs.giant * cost.giants + costs.fold * cost.folds +
                 costs.key * cost.rotations + costs.diagonal * static_cast<double>(cost.diagonals) +
                 costs.number * cost.numbers;
    if (cost.total < best.total) best = cost;
  }
  return best;
}

}  // namespace

LayoutCosts streamed_costs(int slots) {
  const MapCosts twice{.baby = 1, .giant = 5.5, .fold = 5.5, .key = 0.5, .diagonal = 0.33, .number = 1.6 / slots};
  const MapCosts once{.baby = 4.3, .giant = 5.5, .fold = 5.5, .key = 0.5, .diagonal = 0.15, .number = 0.9 / slots};
  constexpr double kActivation = 4000;
  return {.ways = {twice, once}, .activation = kActivation, .level = kActivation / 20};
}

ckks::BsgsPlan plan_at(const ckks::MapShape& shape, int slots, const LayoutCosts& costs) {
  double numbers = 0, least = std::numeric_limits<double>::infinity();
  for (const ckks::DiagonalPlace& place : shape.diagonals) numbers += static_cast<double>(place.period);
  const auto moved = [](const std::vector<int>& steps) {
    return static_cast<double>(std::ranges::count_if(steps, [](int s) { return s != 0; }));
  };
  ckks::BsgsPlan best;
  for (const MapCosts& way : costs.ways) {
    if (way.number == 0) return ckks::plan_bsgs(shape, slots);
    ckks::BsgsPlan plan = ckks::plan_bsgs(shape, slots, {.baby = way.baby, .giant = way.giant});
    const double cost = way.baby * moved(plan.babies) * shape.inputs + way.giant * moved(plan.giants) * shape.outputs +
                        way.diagonal * static_cast<double>(shape.diagonals.size()) + way.number * numbers;
    if (cost >= least) continue;
    least = cost;
    best = std::move(plan);
  }
  return best;
}

PlacementCost placement_cost(const Affine& affine, const Layout& in, const Layout& out, const LayoutCosts& costs,
                             const Convolution* layer) {
  const int period = std::min(in.period, out.period);
  const std::vector<char> used = used_diagonals(affine, in, out);
  const std::vector<int> rotations = distinct_rotations(used, static_cast<std::size_t>(period));
  PlacementCost counted;
  counted.diagonals = std::ranges::count(used, 1);
  counted.folds = static_cast<int>(fold_steps(in, out).size()) * out.ciphertexts;
  const bool matters = std::ranges::any_of(costs.ways, [](const MapCosts& way) { return way.number > 0; });
  double mean = std::max(in.period, out.period);
  if (layer && matters && injective(in) && injective(out)) mean = mean_period(*layer, used, counted.diagonals, in, out);
  counted.numbers = mean * static_cast<double>(counted.diagonals);
  PlacementCost best;
  best.total = std::numeric_limits<double>::infinity();
  for (const MapCosts& way : costs.ways) {
    const PlacementCost cost = split(counted, rotations, period, in, out, way);
    if (cost.total < best.total) best = cost;
  }
  return best;
}

}  // namespace hearth::compiler
