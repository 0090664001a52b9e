#include "compiler/diagonals.h"

#include <algorithm>
#include <limits>
#include <set>

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
  parallel_for(0, diagonals.size(), [&](std::size_t i) {
    std::vector<double> values(length);
    whole.diagonal(diagonals[i], values);
    diagonals[i].period = least_period(std::move(values)).size();
  });
  return std::make_shared<LayerMatrix>(layer, std::move(in), std::move(out), std::move(diagonals));
}

PlacementCost placement_cost(const Affine& affine, const Layout& in, const Layout& out) {
  const int period = std::min(in.period, out.period);
  const std::vector<char> used = used_diagonals(affine, in, out);
  std::set<int> rotations;
  PlacementCost cost;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    ++cost.diagonals;
    rotations.insert(static_cast<int>(i % static_cast<std::size_t>(period)));
  }
  cost.folds = static_cast<int>(fold_steps(in, out).size()) * out.ciphertexts;
  PlacementCost best = cost;
  double least = std::numeric_limits<double>::infinity();
  for (int step = 1; step <= period; step *= 2) {
    std::set<int> babies, giants;
    for (const int r : rotations) {
      babies.insert(r % step);
      giants.insert(r - r % step);
    }
    babies.erase(0);
    giants.erase(0);
    PlacementCost split = cost;
    split.babies = static_cast<int>(babies.size()) * in.ciphertexts;
    split.giants = static_cast<int>(giants.size()) * out.ciphertexts;
    split.rotations = static_cast<int>(babies.size() + giants.size());
    if (split.total() < least) {
      least = split.total();
      best = split;
    }
  }
  return best;
}

}  // namespace hearth::compiler
