#include "compiler/layout_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/parallel.h"
#include "compiler/diagonals.h"
#include "compiler/program/encoding.h"

namespace hearth::compiler {
namespace {

constexpr std::size_t kBeam = 48;

using LayoutPtr = std::shared_ptr<const Layout>;

struct State {
  std::vector<LayoutPtr> layouts;  ///< of the nodes placed so far
  std::vector<int> repacked;       ///< nodes whose second operand goes through a repacking map
  double cost = 0;
};

Affine identity(std::int64_t n) {
  const auto size = static_cast<std::size_t>(n);
  return diagonal_affine(std::vector<double>(size, 1), std::vector<double>(size, 0));
}

class Search {
 public:
  Search(const ArithGraph& graph, int slots, const LayoutCosts& costs)
      : graph_(graph), slots_(slots), users_(graph.users()), prices_(costs) {
    for (const ArithNode& node : graph.nodes) {
      if (node.stride > 1) strides_.insert(node.stride);
    }
  }

  State run() {
    std::vector<State> beam(1);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      std::vector<State> next;
      if (std::holds_alternative<arith::Linear>(graph_.nodes[i].op)) compare(static_cast<int>(i), beam);
      for (const State& state : beam) extend(state, static_cast<int>(i), next);
      std::ranges::stable_sort(next, {}, &State::cost);
      beam = keep_best(std::move(next), i);
    }
    return beam.front();
  }

 private:
  /// The cheapest states after node `last`, of those that look the same to all later nodes only one.
  std::vector<State> keep_best(std::vector<State> sorted, std::size_t last) const {
    std::vector<std::size_t> live;  // nodes that later ones read
    for (std::size_t v = 0; v <= last; ++v) {
      if (std::ranges::any_of(users_[v], [&](int user) { return user > static_cast<int>(last); })) live.push_back(v);
    }
    std::set<std::vector<const Layout*>> seen;
    std::vector<State> kept;
    for (State& state : sorted) {
      if (kept.size() == kBeam) break;
      std::vector<const Layout*> view;
      for (const std::size_t v : live) view.push_back(state.layouts[v].get());
      if (seen.insert(std::move(view)).second) kept.push_back(std::move(state));
    }
    return kept;
  }

  void extend(const State& state, int index, std::vector<State>& next) {
    const ArithNode& node = graph_.nodes[static_cast<std::size_t>(index)];
    const auto of = [&](std::size_t k) { return state.layouts[static_cast<std::size_t>(node.inputs[k])]; };
    const auto push = [&](LayoutPtr layout, double cost) -> State& {
      next.push_back(state);
      next.back().layouts.push_back(std::move(layout));
      next.back().cost += cost;
      return next.back();
    };
    if (std::holds_alternative<arith::Input>(node.op)) {
      // Small cost for width: fewer input ciphertexts are better, all else equal.
      for (const LayoutPtr& layout : candidates(index)) push(layout, layout->ciphertexts);
    } else if (const auto* linear = std::get_if<arith::Linear>(&node.op)) {
      const int kind = kind_of(index, *linear);
      for (const LayoutPtr& layout : candidates(index)) push(layout, costs_.at({kind, of(0).get(), layout.get()}));
    } else if (const auto* view = std::get_if<arith::View>(&node.op)) {
      push(relabel(*of(0), view->source), 0);
    } else if (const auto* concat = std::get_if<arith::Concat>(&node.op)) {
      std::vector<LayoutPtr> parts;
      for (std::size_t k = 0; k < node.inputs.size(); ++k) parts.push_back(of(k));
      push(relabel(join(parts), concat->source), 0);
    } else {
      const bool meet = node.inputs.size() < 2 || *of(0) == *of(1);
      double cost = meet ? 0 : prices_.level + repacking(*of(1), *of(0));
      if (std::holds_alternative<arith::Activation>(node.op)) {
        cost += prices_.activation * ((of(0)->ciphertexts + 1) / 2);  // NOLINT: whole pairs
      }
      State& added = push(of(0), cost);
      if (!meet) added.repacked.push_back(index);
    }
  }

  /// Layouts of a value with free choice. Grids are inherited from every image in the network.
  const std::vector<LayoutPtr>& candidates(int index) {
    const ArithNode& node = graph_.nodes[static_cast<std::size_t>(index)];
    auto& list = candidates_[{index == 0, node.shape}];
    if (!list.empty()) return list;
    std::vector<std::int64_t> phases = {1}, pitches;
    if (index == 0) {  // the client's layout costs nothing
      phases.insert(phases.end(), strides_.begin(), strides_.end());
      pitches = channel_pitches();
    }
    for (Layout& layout : candidate_layouts(node.shape, slots_, hints(node.shape), phases, pitches)) {
      list.push_back(std::make_shared<Layout>(std::move(layout)));
    }
    return list;
  }

  /// Channels of images, as powers of two.
  std::vector<std::int64_t> channel_pitches() const {
    std::set<std::int64_t> found;
    for (const ArithNode& node : graph_.nodes) {
      if (node.shape.size() != 4 && node.shape.size() != 3) continue;
      found.insert(static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(nn::as_chw(node.shape)[0]))));
    }
    return {found.begin(), found.end()};
  }

  /// Grids (exact and padded, whole or split into phases) of images at least as large, on which this one may sit.
  std::vector<GridHint> hints(const nn::Shape& shape) const {
    std::vector<GridHint> found;
    const auto pow2 = [](std::int64_t v) {
      return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(v)));
    };
    if (shape.size() < 3 || shape.size() > 4) return found;
    const auto chw = nn::as_chw(shape);
    const auto add = [&](std::int64_t h, std::int64_t w) {
      const std::int64_t y = std::max<std::int64_t>(1, h / chw[1]), x = std::max<std::int64_t>(1, w / chw[2]);
      const std::int64_t gap = std::min(y, x);
      for (const GridHint& g : {GridHint{h, w, 1, 1}, GridHint{h, w, gap, gap}, GridHint{h, chw[2], y, 1},
                                GridHint{h, pow2(chw[2]), y, 1}, GridHint{chw[1], w, 1, x}}) {
        const auto same = [&](const GridHint& o) {
          return o.height == g.height && o.width == g.width && o.gap_y == g.gap_y && o.gap_x == g.gap_x;
        };
        if (std::ranges::none_of(found, same)) found.push_back(g);
      }
    };
    for (const ArithNode& node : graph_.nodes) {
      if (node.shape.size() < 3 || node.shape.size() > 4) continue;
      const auto other = nn::as_chw(node.shape);
      std::vector<std::int64_t> phases = {1};
      phases.insert(phases.end(), strides_.begin(), strides_.end());
      for (const std::int64_t phase : phases) {
        const std::int64_t h = (other[1] + phase - 1) / phase, w = (other[2] + phase - 1) / phase;
        if (h < chw[1] || w < chw[2]) continue;
        add(h, w);
        add(pow2(h), pow2(w));
      }
    }
    return found;
  }

  double repacking(const Layout& from, const Layout& to) const {
    return placement_cost(identity(static_cast<std::int64_t>(from.places.size())), from, to, prices_).total;
  }

  /// Fills costs_ for a matrix and every pair of layouts that the search may ask for.
  void compare(int index, const std::vector<State>& beam) {
    const ArithNode& node = graph_.nodes[static_cast<std::size_t>(index)];
    const auto& linear = std::get<arith::Linear>(node.op);
    const int kind = kind_of(index, linear);
    std::vector<std::pair<LayoutPtr, LayoutPtr>> pairs;
    for (const State& state : beam) {
      const LayoutPtr& in = state.layouts[static_cast<std::size_t>(node.inputs[0])];
      for (const LayoutPtr& out : candidates(index)) {
        if (costs_.try_emplace({kind, in.get(), out.get()}, 0).second) pairs.emplace_back(in, out);
      }
    }
    std::vector<double> found(pairs.size());
    parallel_for(0, pairs.size(), [&](std::size_t i) {
      const auto& [in, out] = pairs[i];
      found[i] = placement_cost(linear.affine, *in, *out, prices_, linear.layer.get()).total;
    });
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      costs_[{kind, pairs[i].first.get(), pairs[i].second.get()}] = found[i];
      kept_.push_back(pairs[i].first);  // pointers are keys: they must not be reused
    }
  }

  /// Matrices with weights in the same places have one kind: layers that differ in nothing else, or the node itself.
  int kind_of(int index, const arith::Linear& linear) {
    if (!linear.layer) return index;
    Convolution layer = *linear.layer;
    layer.weights.clear();
    const auto same = [&](const auto& known) {
      return known.second == linear.affine.weights.size() && known.first == layer;
    };
    auto found = std::ranges::find_if(layers_, same);
    if (found == layers_.end()) found = layers_.insert(layers_.end(), {layer, linear.affine.weights.size()});
    return -1 - static_cast<int>(found - layers_.begin());
  }

  static Layout join(const std::vector<LayoutPtr>& parts) {
    Layout all{{}, 0, 1};
    for (const LayoutPtr& part : parts) {
      for (Place p : part->places) {
        if (p.ciphertext >= 0) p.ciphertext += all.ciphertexts;
        all.places.push_back(p);
      }
      all.ciphertexts += part->ciphertexts;
      all.period = std::max(all.period, part->period);
    }
    return all;
  }

  static LayoutPtr relabel(const Layout& from, const std::vector<std::int64_t>& source) {
    Layout out{{}, from.ciphertexts, from.period};
    for (const std::int64_t s : source)
      out.places.push_back(s < 0 ? Place{} : from.places[static_cast<std::size_t>(s)]);
    return std::make_shared<Layout>(std::move(out));
  }

  const ArithGraph& graph_;
  int slots_;
  std::vector<std::vector<int>> users_;
  LayoutCosts prices_;
  std::set<std::int64_t> strides_;
  std::map<std::pair<bool, nn::Shape>, std::vector<LayoutPtr>> candidates_;
  std::vector<std::pair<Convolution, std::size_t>> layers_;  ///< without weights, and how many the matrix has
  std::map<std::tuple<int, const Layout*, const Layout*>, double> costs_;
  std::vector<LayoutPtr> kept_;
};

/// Whether a network's weights, encoded, would be more than is kept in memory. Weights of convolutions repeat in the
/// matrix, where grids have slack also in the encoded form; so this errs on the side of streaming.
bool streams(const ArithGraph& graph) {
  constexpr std::size_t kWordsPerWeight = 2, kLimbs = 8;
  std::size_t weights = 0;
  for (const ArithNode& node : graph.nodes) {
    if (const auto* linear = std::get_if<arith::Linear>(&node.op)) weights += linear->affine.weights.size();
  }
  return weights * kWordsPerWeight * kLimbs * sizeof(std::uint32_t) > kEncodedBudget;
}

}  // namespace

LayoutPlan choose_layouts(const ArithGraph& graph, int slots, const std::optional<LayoutCosts>& costs) {
  LayoutPlan plan;
  if (costs) {
    plan.costs = *costs;
  } else if (streams(graph)) {
    plan.costs = streamed_costs(slots);
  }
  const State best = Search(graph, slots, plan.costs).run();
  plan.cost = best.cost;
  plan.graph.name = graph.name;
  std::vector<int> to;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    ArithNode node = graph.nodes[i];
    for (int& v : node.inputs) v = to[static_cast<std::size_t>(v)];
    if (std::ranges::count(best.repacked, static_cast<int>(i)) > 0) {
      const ArithNode& operand = plan.graph.nodes[static_cast<std::size_t>(node.inputs[1])];
      plan.graph.nodes.push_back({operand.name + " (repacked)",
                                  arith::Linear{identity(graph.size(static_cast<int>(i)))},
                                  {node.inputs[1]},
                                  operand.shape,
                                  1});
      plan.layouts.push_back(*best.layouts[static_cast<std::size_t>(graph.nodes[i].inputs[0])]);
      node.inputs[1] = static_cast<int>(plan.graph.nodes.size()) - 1;
    }
    plan.graph.nodes.push_back(std::move(node));
    plan.layouts.push_back(*best.layouts[i]);
    to.push_back(static_cast<int>(plan.graph.nodes.size()) - 1);
  }
  plan.graph.output = to[static_cast<std::size_t>(graph.output)];
  return plan;
}

std::string to_string(const LayoutPlan& plan) {
  std::string text;
  for (std::size_t i = 0; i < plan.layouts.size(); ++i) {
    const ArithNode& node = plan.graph.nodes[i];
    const Layout& layout = plan.layouts[i];
    std::string cost;
    if (!plan.matrices.empty() && plan.matrices[i]) {
      const GridLayout& grid = *plan.grids[i];
      cost =
          fmt::format("  {} diagonals, grid of {} rows, {} columns and {} slots, {} phases",
                      plan.matrices[i]->shape().diagonals.size(), grid.rows, grid.columns(), grid.pitch, grid.phases);
    } else if (const auto* linear = std::get_if<arith::Linear>(&node.op)) {
      const Layout& in = plan.layouts[static_cast<std::size_t>(node.inputs[0])];
      const PlacementCost c = placement_cost(linear->affine, in, layout, plan.costs, linear->layer.get());
      cost =
          fmt::format("  {} diagonals, {} baby and {} giant steps, {} folds", c.diagonals, c.babies, c.giants, c.folds);
    }
    std::string first;
    for (std::size_t e = 0; e < std::min<std::size_t>(layout.places.size(), 4); ++e) {
      first += fmt::format("{}{}:{}", e ? " " : "", layout.places[e].ciphertext, layout.places[e].slot);
    }
    text += fmt::format("v{:<3} {:<16} {} ciphertext(s), period {}, elements at {} ...{}  \"{}\"\n", i,
                        nn::to_string(node.shape), layout.ciphertexts, layout.period, first, cost, node.name);
  }
  return text + fmt::format("cost {:.1f} hoisted rotations\n", plan.cost);
}

}  // namespace hearth::compiler
