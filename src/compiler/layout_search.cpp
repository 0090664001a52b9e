#include "compiler/layout_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "base/error.h"
#include "compiler/diagonals.h"

namespace hearth::compiler {
namespace {

constexpr std::size_t kBeam = 48;
/// A repacking map costs a level on top of its rotations.
constexpr double kLevelCost = 50;

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
  Search(const ArithGraph& graph, int slots) : graph_(graph), slots_(slots) {
    for (const ArithNode& node : graph.nodes) {
      if (node.stride > 1) strides_.insert(node.stride);
    }
  }

  State run() {
    std::vector<State> beam(1);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      std::vector<State> next;
      for (const State& state : beam) extend(state, static_cast<int>(i), next);
      std::ranges::stable_sort(next, {}, &State::cost);
      if (next.size() > kBeam) next.resize(kBeam);
      beam = std::move(next);
    }
    return beam.front();
  }

 private:
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
      for (const LayoutPtr& layout : candidates(index)) push(layout, cost_of(index, linear->affine, of(0), layout));
    } else if (const auto* view = std::get_if<arith::View>(&node.op)) {
      push(relabel(*of(0), view->source), 0);
    } else if (const auto* concat = std::get_if<arith::Concat>(&node.op)) {
      std::vector<LayoutPtr> parts;
      for (std::size_t k = 0; k < node.inputs.size(); ++k) parts.push_back(of(k));
      push(relabel(join(parts), concat->source), 0);
    } else {
      const bool meet = node.inputs.size() < 2 || *of(0) == *of(1);
      const double cost = meet ? 0 : kLevelCost + placement_cost(identity(graph_.size(index)), *of(1), *of(0)).total();
      State& added = push(of(0), cost);
      if (!meet) added.repacked.push_back(index);
    }
  }

  /// Layouts of a value with free choice. Grids are inherited from every image in the network.
  const std::vector<LayoutPtr>& candidates(int index) {
    auto& list = candidates_[index];
    if (!list.empty()) return list;
    const ArithNode& node = graph_.nodes[static_cast<std::size_t>(index)];
    std::vector<std::int64_t> phases = {1};
    if (index == 0) phases.insert(phases.end(), strides_.begin(), strides_.end());
    for (Layout& layout : candidate_layouts(node.shape, slots_, hints(node.shape), phases)) {
      list.push_back(std::make_shared<Layout>(std::move(layout)));
    }
    return list;
  }

  /// Grids (exact and padded, whole or split into phases) of images at least as large, on which this one may sit.
  std::vector<GridHint> hints(const nn::Shape& shape) const {
    std::vector<GridHint> found;
    if (shape.size() < 3 || shape.size() > 4) return found;
    const auto chw = nn::as_chw(shape);
    const auto add = [&](std::int64_t h, std::int64_t w) {
      const std::int64_t gap = std::max<std::int64_t>(1, std::min(h / chw[1], w / chw[2]));
      for (const GridHint& g : {GridHint{h, w, 1}, GridHint{h, w, gap}}) {
        const auto same = [&](const GridHint& o) {
          return o.height == g.height && o.width == g.width && o.gap == g.gap;
        };
        if (std::ranges::none_of(found, same)) found.push_back(g);
      }
    };
    const auto pow2 = [](std::int64_t v) {
      return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(v)));
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

  double cost_of(int index, const Affine& affine, const LayoutPtr& in, const LayoutPtr& out) {
    const auto key = std::make_tuple(index, in.get(), out.get());
    const auto found = costs_.find(key);
    if (found != costs_.end()) return found->second;
    kept_.push_back(in);  // pointers are keys: they must not be reused
    return costs_[key] = placement_cost(affine, *in, *out).total();
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
  std::set<std::int64_t> strides_;
  std::map<int, std::vector<LayoutPtr>> candidates_;
  std::map<std::tuple<int, const Layout*, const Layout*>, double> costs_;
  std::vector<LayoutPtr> kept_;
};

}  // namespace

LayoutPlan choose_layouts(const ArithGraph& graph, int slots) {
  const State best = Search(graph, slots).run();
  LayoutPlan plan;
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
    if (const auto* linear = std::get_if<arith::Linear>(&node.op)) {
      const PlacementCost c =
          placement_cost(linear->affine, plan.layouts[static_cast<std::size_t>(node.inputs[0])], layout);
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
