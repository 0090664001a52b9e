#include "compiler/diagonals.h"

#include <algorithm>
#include <limits>
#include <set>

#include "base/error.h"

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

  std::vector<int> folds() const {
    std::vector<int> steps;
    for (int step = out_.period; step < in_.period; step *= 2) steps.push_back(step);
    return steps;
  }

 private:
  const Layout& in_;
  const Layout& out_;
  int period_;
};

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

}  // namespace

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
  placed.folds = geometry.folds();
  placed.bias = place_bias(affine.bias, out);
  return placed;
}

PlacementCost placement_cost(const Affine& affine, const Layout& in, const Layout& out) {
  const Geometry geometry(in, out);
  const int period = std::min(in.period, out.period);
  const auto blocks = static_cast<std::size_t>(in.ciphertexts) * static_cast<std::size_t>(out.ciphertexts);
  std::vector<char> used(blocks * static_cast<std::size_t>(period), 0);
  for (const Weight& w : affine.weights) {
    Spot s;
    if (!geometry.spot(w, s)) continue;
    const auto block = static_cast<std::size_t>(s.output) * static_cast<std::size_t>(in.ciphertexts) +
                       static_cast<std::size_t>(s.input);
    used[block * static_cast<std::size_t>(period) + static_cast<std::size_t>(s.rotation)] = 1;
  }
  std::set<int> rotations;
  PlacementCost cost;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    ++cost.diagonals;
    rotations.insert(static_cast<int>(i % static_cast<std::size_t>(period)));
  }
  cost.folds = static_cast<int>(geometry.folds().size()) * out.ciphertexts;
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
