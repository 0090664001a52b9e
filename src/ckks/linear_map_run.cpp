#include "ckks/linear_map_run.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "ring/limbs.h"

namespace hearth::ckks {
namespace {

/// Takes `from` over where there is nothing yet.
void add_pair(const MapRun& run, ExtendedPair& to, ExtendedPair& from) {
  if (to.c0.empty()) {
    to = std::exchange(from, {});
    return;
  }
  const ring::Ring& ring = run.evaluator().parameters().ring();
  ring::add(ring, to.c0, from.c0);
  ring::add(ring, to.c1, from.c1);
}

/// Limb j of the rotation by g: (c0 + ks0, ks1) permuted, where c0 carries P already when the sum is `extended`.
void rotate_sum(const MapRun& run, const ExtendedPair& sum, const DigitRows& digits, const SwitchingKey& key,
                std::uint32_t g, std::size_t j, bool extended, std::uint32_t* out0, std::uint32_t* out1) {
  const SwitchLayout& layout = run.layout();
  if (!extended) {
    const std::uint32_t* c0 = j < layout.q_limbs() ? sum.c0.limb(j) : nullptr;
    return rotate_limb(layout, digits, key, g, j, c0, out0, out1);
  }
  const ring::Kernels& k = ring::kernels();
  Scratch<std::uint32_t> rows(2 * run.n());
  multiply_limb(layout, digits, key, j, rows.data(), rows.data() + run.n());
  k.add(rows.data(), rows.data(), sum.c0.limb(j), run.n(), layout.modulus(j));
  k.automorphism(out0, rows.data(), g, layout.parameters().log_n());
  k.automorphism(out1, rows.data() + run.n(), g, layout.parameters().log_n());
}

}  // namespace

std::size_t raised_at_once(std::size_t limbs) {
  constexpr std::size_t kMost = 10;
  const std::size_t rounds = (limbs + kMost - 1) / kMost;
  return (limbs + rounds - 1) / rounds;
}

MapRun::MapRun(const PlannedMap& map, const Evaluator& evaluator, std::span<const Ciphertext> in)
    : map_(map),
      evaluator_(evaluator),
      layout_(evaluator.parameters(), map.level, evaluator.parameters().key_set_for(map.level)) {
  check_keys();
  make_copies(in);
}

void MapRun::make_copies(std::span<const Ciphertext> in) {
  const std::size_t count = map_.copies.size();
  copies_.reserve(in.size() * (count - 1));
  for (const Ciphertext& c : in) {
    const std::size_t first = in_.size();
    in_.push_back(&c);
    for (std::size_t k = 1; k < count; ++k) {
      const int copy = map_.copies[k];
      const std::size_t nearer = copy == 1 || copy == -1 ? 0 : k - 1;  // the input itself, or the copy before
      const int step = copy > 0 ? map_.plan.copy_step : -map_.plan.copy_step;
      copies_.push_back(evaluator_.rotate(*in_[first + nearer], step));
      in_.push_back(&copies_.back());
    }
  }
}

void MapRun::check_keys() const {
  const int slots = static_cast<int>(evaluator_.parameters().slots());
  BsgsPlan used = map_.plan;  // without what no step needs
  used.babies.clear(), used.giants.clear();
  for (const PlannedMap::Step& step : map_.steps) {
    used.giants.push_back(step.giant);
    for (const PlannedMap::Term& term : step.terms) {
      const int copied = map_.copies[term.input % map_.copies.size()] * map_.plan.copy_step;
      used.babies.push_back(((copied + map_.hoisted[term.baby]) % slots + slots) % slots);
    }
  }
  for (const int step : ckks::rotations(used, slots)) {
    layout_.check(evaluator_.keys().rotation(layout_.set(), galois(step)));
  }
}

std::vector<InputRotation> MapRun::rotations(std::size_t begin, std::size_t end) const {
  std::vector<bool> used(index_count());
  for (std::size_t s = begin; s < end; ++s) {
    for (const PlannedMap::Term& term : map_.steps[s].terms) used[index(term.input, term.baby)] = true;
  }
  std::vector<InputRotation> out;
  const std::size_t babies = map_.hoisted.size();
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i]) out.push_back({i / babies, i % babies});
  }
  return out;
}

std::size_t MapRun::hoisted_bytes() const {
  return map_.rotates ? layout_.digits().size() * layout_.limbs() * n() * sizeof(std::uint32_t) : 0;
}

LimbRows MapRun::rotate_limb_of(const InputRotation& r, const DigitRows* digits, std::size_t j, std::uint32_t* row0,
                                std::uint32_t* row1) const {
  const int step = map_.hoisted[r.baby];
  const Ciphertext& c = *in_[r.input];
  const bool special = j >= layout_.q_limbs();
  if (step != 0) {
    const std::uint32_t g = galois(step);
    const SwitchingKey& key = evaluator_.keys().rotation(layout_.set(), g);
    rotate_limb(layout_, *digits, key, g, j, special ? nullptr : c.parts[0].limb(j), row0, row1);
    return {row0, row1};
  }
  if (!map_.extended) return {c.parts[0].limb(j), c.parts[1].limb(j)};
  if (special) return {};  // P times the input vanishes here
  const ring::Modulus& m = layout_.modulus(j);
  const std::uint32_t p = layout_.special_product(j), companion = ring::shoup(p, m);
  ring::kernels().mul_scalar(row0, c.parts[0].limb(j), p, companion, n(), m);
  ring::kernels().mul_scalar(row1, c.parts[1].limb(j), p, companion, n(), m);
  return {row0, row1};
}

ring::Poly MapRun::poly(std::size_t limbs) const {
  const ring::Basis& all = layout_.basis();
  return {n(), ring::Basis(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(limbs)), ring::Domain::kNtt};
}

ExtendedPair MapRun::sum() const { return {poly(limbs()), poly(limbs())}; }

void OutputSum::add(const MapRun& run, ExtendedPair& sum, const PlannedMap::Step& step) {
  run.evaluator().checkpoint();
  const BsgsPlan& plan = run.map().plan;
  if (plan.chained) return add_link(run, sum, step.links);
  const int giant = step.giant;
  const int slots = static_cast<int>(run.evaluator().parameters().slots());
  Group& group = groups_[plan.outer_part(giant, slots)];
  const bool extended = run.map().extended;
  if (const int inner = plan.inner_part(giant, slots); inner != 0) {
    return add_rotated(run, group.total, sum, run.galois(inner), extended);
  }
  add_pair(run, extended ? group.total : group.unrotated, sum);
}

void OutputSum::add_link(const MapRun& run, ExtendedPair& sum, int links) {
  const bool turns = (links_ > 0) != (links > 0) || links == 0;
  if (links_ != 0 && turns) fold(run, home(run), 0);
  if (links == 0) return add_pair(run, home(run), sum);
  if (links_ != 0) fold(run, sum, links);
  chain_ = std::exchange(sum, {});
  links_ = links;
}

void OutputSum::fold(const MapRun& run, ExtendedPair& sum, int links) {
  const int way = links_ > 0 ? 1 : -1;
  const std::uint32_t g = run.galois(way * run.map().plan.step);
  const auto rotate = [&](ExtendedPair& to) {
    run.map().extended ? add_rotated(run, to, chain_, g, true) : add_divided(run, to, chain_, g);
  };
  for (; links_ != links + way; links_ -= way) rotate(chain_);
  if (sum.c0.empty()) {
    rotate(chain_);
    sum = std::exchange(chain_, {});
  } else {
    rotate(sum);
    chain_ = {};
  }
  links_ = links;
}

void OutputSum::add_rotated(const MapRun& run, ExtendedPair& total, const ExtendedPair& sum, std::uint32_t g,
                            bool extended) {
  const SwitchLayout& layout = run.layout();
  const std::size_t n = run.n();
  const SwitchingKey& key = run.evaluator().keys().rotation(layout.set(), g);
  const ring::Poly divided = extended ? run.evaluator().mod_down(sum.c1, layout.level(), layout.set()) : ring::Poly();
  const std::size_t most = raised_at_once(layout.limbs());
  DigitRows digits(layout, extended ? divided : sum.c1, most);
  const bool replaces = &total == &sum || total.c0.empty();
  if (total.c0.empty()) total = {run.poly(layout.limbs()), run.poly(layout.limbs())};
  const auto rotate_to = [&](std::size_t j) {
    digits.finish(j);
    std::uint32_t *to0 = total.c0.limb(j), *to1 = total.c1.limb(j);
    if (replaces) return rotate_sum(run, sum, digits, key, g, j, extended, to0, to1);
    Scratch<std::uint32_t> rows(2 * n);
    rotate_sum(run, sum, digits, key, g, j, extended, rows.data(), rows.data() + n);
    ring::kernels().add(to0, to0, rows.data(), n, layout.modulus(j));
    ring::kernels().add(to1, to1, rows.data() + n, n, layout.modulus(j));
  };
  for (std::size_t first = 0; first < layout.limbs(); first += most) {
    const std::size_t last = std::min(first + most, layout.limbs());
    digits.raise(first, last);
    ring::for_each_limb_in_order(last - first, 4 * n, [&](std::size_t i) { rotate_to(first + i); });
  }
}

void OutputSum::add_divided(const MapRun& run, ExtendedPair& total, const ExtendedPair& sum, std::uint32_t g) {
  ExtendedPair product, divided{run.poly(run.limbs()), run.poly(run.limbs())};
  add_rotated(run, product, sum, g, false);
  mod_down_pair(run.layout(), product, divided.c0, divided.c1);
  if (&total == &sum) {
    total = std::move(divided);
  } else {
    add_pair(run, total, divided);
  }
}

Ciphertext OutputSum::finish(const MapRun& run) {
  const SwitchLayout& layout = run.layout();
  if (links_ != 0) fold(run, home(run), 0);
  Group all = std::move(groups_[0]);
  for (auto& [outer, group] : groups_) {
    if (outer == 0) continue;
    if (!group.total.c0.empty()) add_rotated(run, all.total, group.total, run.galois(outer), true);
    if (!group.unrotated.c0.empty()) add_rotated(run, all.total, group.unrotated, run.galois(outer), false);
  }
  groups_.clear();
  Ciphertext out{.parts = {},
                 .level = run.map().level,
                 .scale = run.input(0).scale * run.map().plain_scale,
                 .parameters_id = run.evaluator().parameters().id()};
  const bool divides = !all.total.c0.empty();
  for (int i = 0; i < 2; ++i) {
    out.parts.push_back(divides ? run.poly(layout.q_limbs())
                                : ring::Poly::zero(run.n(), run.poly(layout.q_limbs()).basis(), ring::Domain::kNtt));
  }
  if (divides) mod_down_pair(layout, all.total, out.parts[0], out.parts[1]);
  if (!all.unrotated.c0.empty()) {
    const ring::Ring& ring = run.evaluator().parameters().ring();
    ring::add(ring, out.parts[0], all.unrotated.c0);
    ring::add(ring, out.parts[1], all.unrotated.c1);
  }
  return out;
}

}  // namespace hearth::ckks
