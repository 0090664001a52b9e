#include "ckks/linear_map.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "base/dry_run.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/scratch.h"

namespace hearth::ckks {
namespace {

std::size_t index_in(const std::vector<int>& steps, int step, int rotation, const char* kind) {
  const auto found = std::lower_bound(steps.begin(), steps.end(), step);
  require(found != steps.end() && *found == step, ErrorKind::kInvalidArgument,
          "the plan of a linear map does not cover rotation {}: {} step {} is missing", rotation, kind, step);
  return static_cast<std::size_t>(found - steps.begin());
}

void check_place(const MapShape& shape, const DiagonalPlace& place, int slots) {
  require(place.output >= 0 && place.output < shape.outputs && place.input >= 0 && place.input < shape.inputs,
          ErrorKind::kInvalidArgument,
          "the linear map has a block (output {}, input {}) but only {} outputs and {} inputs", place.output,
          place.input, shape.outputs, shape.inputs);
  require(place.rotation >= 0 && place.rotation < slots, ErrorKind::kInvalidArgument,
          "the linear map rotates by {}; expected 0 to {}", place.rotation, slots - 1);
  require(std::has_single_bit(place.period) && place.period <= static_cast<std::size_t>(slots),
          ErrorKind::kInvalidArgument,
          "the diagonal of rotation {} has {} values; expected a power of two up to {} (its period)", place.rotation,
          place.period, slots);
}

/// Sorts giants of so many steps from the far end of the positive chain inward, then likewise the negative one, 0 last.
int chain_order(int links) {
  constexpr int kFar = 1 << 28;
  if (links == 0) return kFar;
  return links > 0 ? -links : links + kFar / 2;
}

template <typename T>
MapShape shape_of_blocks(const BasicLinearMap<T>& map) {
  MapShape shape{.inputs = map.inputs, .outputs = map.outputs, .diagonals = {}};
  for (const auto& [block, diagonals] : map.blocks) {
    for (const auto& [rotation, diagonal] : diagonals) {
      shape.diagonals.push_back({block.first, block.second, rotation, diagonal.size()});
    }
  }
  return shape;
}

/// Parts of diagonals that are moved and held together: as many whole steps as fit some rows.
std::vector<std::size_t> parts_of(const PlannedMap& map, std::span<const std::size_t> sizes, std::size_t n) {
  constexpr std::size_t kRows = 16;
  std::vector<std::size_t> parts(sizes.size());
  std::size_t part = 0, words = 0;
  for (const PlannedMap::Step& step : map.steps) {
    std::size_t more = 0;
    for (const PlannedMap::Term& term : step.terms) more += sizes[term.place];
    if (words > 0 && words + more > kRows * n) ++part, words = 0;
    words += more;
    for (const PlannedMap::Term& term : step.terms) parts[term.place] = part;
  }
  return parts;
}

template <typename T>
void copy_diagonal(const BasicLinearMap<T>& map, const DiagonalPlace& place, std::span<T> out) {
  const std::vector<T>& values = map.blocks.at({place.output, place.input}).at(place.rotation);
  std::copy(values.begin(), values.end(), out.begin());
}

}  // namespace

MapShape shape_of(const LinearMap& map) { return shape_of_blocks(map); }
MapShape shape_of(const ComplexLinearMap& map) { return shape_of_blocks(map); }

StoredLinearMap::StoredLinearMap(LinearMap map) : map_(std::move(map)), shape_(shape_of(map_)) {}

void StoredLinearMap::diagonal(const DiagonalPlace& place, std::span<double> out) const {
  copy_diagonal(map_, place, out);
}

PlannedMap::PlannedMap(MapShape map_shape, const BsgsPlan& bsgs, const Parameters& parameters, int at_level,
                       double scale, Hoisting hoisting)
    : shape(std::move(map_shape)), plan(bsgs), level(at_level), plain_scale(scale), parameters_id(parameters.id()) {
  require(shape.inputs >= 1 && shape.outputs >= 1, ErrorKind::kInvalidArgument,
          "a linear map needs inputs and outputs, got {} and {}", shape.inputs, shape.outputs);
  require(
      plan.step >= 1 && plan.offset >= 0 && plan.offset < plan.step && plan.outer >= 0 && plan.copy_step >= 0,
      ErrorKind::kInvalidArgument,
      "a plan's step must be positive, its offset below it, and its other steps not negative, got {}, {}, {} and {}",
      plan.step, plan.offset, plan.outer, plan.copy_step);
  const int slots = static_cast<int>(parameters.slots());
  list_copies(slots);
  std::map<std::tuple<int, int, int>, Step> found;  // [(output, place in the order, giant)]
  for (std::size_t p = 0; p < shape.diagonals.size(); ++p) {
    const DiagonalPlace& place = shape.diagonals[p];
    check_place(shape, place, slots);
    const int baby = plan.baby(place.rotation, slots);
    index_in(plan.babies, baby, place.rotation, "baby");
    const auto [copy, rest] = plan.copy_and_rest(baby, slots);
    const int giant = plan.giant(place.rotation, slots);
    index_in(plan.giants, giant, place.rotation, "giant");
    const int links = plan.chained ? plan.links(giant, slots) : 0;
    Step& step = found[{place.output, plan.chained ? chain_order(links) : giant, giant}];
    step.output = static_cast<std::size_t>(place.output), step.giant = giant, step.links = links;
    const auto at = std::find(copies.begin(), copies.end(), copy);
    const std::size_t input = static_cast<std::size_t>(place.input) * copies.size();
    step.terms.push_back(
        {p, input + static_cast<std::size_t>(at - copies.begin()),
         static_cast<std::size_t>(std::lower_bound(hoisted.begin(), hoisted.end(), rest) - hoisted.begin())});
    rotates = rotates || rest != 0;
  }
  extended = rotates && hoisting == Hoisting::kDouble;
  const auto order = [&](const Term& a, const Term& b) {
    return std::tuple(shape.diagonals[a.place].period, a.input, a.baby) <
           std::tuple(shape.diagonals[b.place].period, b.input, b.baby);
  };
  for (auto& [key, step] : found) {
    std::sort(step.terms.begin(), step.terms.end(), order);
    steps.push_back(std::move(step));
  }
  require(!plan.chained || (rotates && plan.outer == 0), ErrorKind::kInvalidArgument,
          "a chained plan needs a baby step and giants that are not composed");
  basis = extended ? parameters.qp_basis(level, parameters.key_set_for(level)) : parameters.q_basis(level);
}

void PlannedMap::list_copies(int slots) {
  int least = 0, most = 0;
  std::set<int> rests;
  for (const int baby : plan.babies) {
    const auto [copy, rest] = plan.copy_and_rest(baby, slots);
    least = std::min(least, copy), most = std::max(most, copy);
    rests.insert(rest);
  }
  for (int copy = 1; copy <= most; ++copy) copies.push_back(copy);
  for (int copy = -1; copy >= least; --copy) copies.push_back(copy);
  hoisted.assign(rests.begin(), rests.end());
}

void PlannedMap::check_inputs(const Evaluator& evaluator, std::span<const Ciphertext> in) const {
  require(in.size() == static_cast<std::size_t>(shape.inputs), ErrorKind::kInvalidArgument,
          "the linear map takes {} ciphertexts, got {}", shape.inputs, in.size());
  require(parameters_id == evaluator.parameters().id(), ErrorKind::kMismatch,
          "the linear map was made for other parameters ({:016x}, expected {:016x})", parameters_id,
          evaluator.parameters().id());
  for (const Ciphertext& c : in) {
    require(c.parameters_id == evaluator.parameters().id(), ErrorKind::kMismatch,
            "linear map: a ciphertext belongs to other parameters ({:016x}, expected {:016x})", c.parameters_id,
            evaluator.parameters().id());
    require(c.level == level, ErrorKind::kInvalidArgument,
            "the linear map was prepared for level {}, a ciphertext is at level {}", level, c.level);
    require(c.parts.size() == 2, ErrorKind::kInvalidArgument,
            "linear map: expected ciphertexts of 2 parts, got {}; relinearize products first", c.parts.size());
    require(std::abs(c.scale - in[0].scale) <= 0x1p-20 * in[0].scale, ErrorKind::kInvalidArgument,
            "linear map: the ciphertexts have different scales, 2^{:.9f} and 2^{:.9f}", std::log2(in[0].scale),
            std::log2(c.scale));
  }
}

PreparedLinearMap::PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const LinearMap& map,
                                     const BsgsPlan& plan, int level, double plain_scale, std::size_t memory,
                                     RowStore* store, Hoisting hoisting)
    : map_(shape_of(map), plan, parameters, level, plain_scale, hoisting), memory_(memory) {
  encode<double>(
      encoder, [&](const DiagonalPlace& place, std::span<double> out) { copy_diagonal(map, place, out); },
      parameters.n(), store);
}

PreparedLinearMap::PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const ComplexLinearMap& map,
                                     const BsgsPlan& plan, int level, double plain_scale, std::size_t memory,
                                     RowStore* store, Hoisting hoisting)
    : map_(shape_of(map), plan, parameters, level, plain_scale, hoisting), memory_(memory) {
  using Complex = std::complex<double>;
  encode<Complex>(
      encoder, [&](const DiagonalPlace& place, std::span<Complex> out) { copy_diagonal(map, place, out); },
      parameters.n(), store);
}

PreparedLinearMap::PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const LinearMapSource& map,
                                     const BsgsPlan& plan, int level, double plain_scale, std::size_t memory,
                                     RowStore* store, Hoisting hoisting)
    : map_(map.shape(), plan, parameters, level, plain_scale, hoisting), memory_(memory) {
  const auto held = dry_run() ? nullptr : map.hold();
  encode<double>(
      encoder, [&](const DiagonalPlace& place, std::span<double> out) { map.diagonal(place, out); }, parameters.n(),
      store);
}

PreparedLinearMap::PreparedLinearMap(const Encoder& encoder, const Parameters& parameters,
                                     const ComplexLinearMapSource& map, const BsgsPlan& plan, int level,
                                     double plain_scale, std::size_t memory, RowStore* store, Hoisting hoisting)
    : map_(map.shape(), plan, parameters, level, plain_scale, hoisting), memory_(memory) {
  using Complex = std::complex<double>;
  encode<Complex>(
      encoder, [&](const DiagonalPlace& place, std::span<Complex> out) { map.diagonal(place, out); }, parameters.n(),
      store);
}

template <typename T, typename Values>
void PreparedLinearMap::encode(const Encoder& encoder, const Values& values, std::size_t n, RowStore* store) {
  std::vector<int> giants(map_.shape.diagonals.size());
  for (const PlannedMap::Step& step : map_.steps) {
    for (const PlannedMap::Term& term : step.terms) giants[term.place] = step.giant;
  }
  std::vector<std::size_t> sizes;
  for (const DiagonalPlace& place : map_.shape.diagonals) sizes.push_back(2 * place.period);
  diagonals_ = PackedDiagonals(sizes, map_.basis.size(), n, store, parts_of(map_, sizes, n));
  auto shared = std::make_shared<std::vector<RoundedCoefficients>>(giants.size());
  std::vector<RoundedCoefficients>& rounded = *shared;
  parallel_for(0, giants.size(), [&](std::size_t p) {
    const DiagonalPlace& place = map_.shape.diagonals[p];
    std::vector<T> diagonal(place.period);
    if (!dry_run()) values(place, std::span<T>(diagonal));
    // Rotated to the right by the giant step.
    const std::size_t shift = static_cast<std::size_t>(giants[p]) % place.period;
    std::rotate(diagonal.begin(), diagonal.end() - static_cast<std::ptrdiff_t>(shift), diagonal.end());
    encoder.round(std::span<const T>(diagonal), map_.plain_scale, rounded[p]);
  });
  std::size_t recipe_bytes = 0;
  for (const RoundedCoefficients& r : rounded) recipe_bytes += r.bytes();
  diagonals_.fill(
      [shared, encoder, basis = map_.basis](std::size_t p, std::size_t limb, std::uint32_t* out) {
        encoder.residues((*shared)[p], basis[limb], true, out);
      },
      recipe_bytes);
}

std::vector<Ciphertext> PreparedLinearMap::apply_naive(const Evaluator& evaluator,
                                                       std::span<const Ciphertext> in) const {
  map_.check_inputs(evaluator, in);
  const Parameters& parameters = evaluator.parameters();
  std::vector<Ciphertext> out;
  for (int o = 0; o < map_.shape.outputs; ++o) {
    Ciphertext zero{
        .parts = {}, .level = map_.level, .scale = in[0].scale * map_.plain_scale, .parameters_id = parameters.id()};
    for (int i = 0; i < 2; ++i) {
      zero.parts.push_back(ring::Poly::zero(parameters.n(), parameters.q_basis(map_.level), ring::Domain::kNtt));
    }
    out.push_back(std::move(zero));
  }
  for (const PlannedMap::Step& step : map_.steps) {
    for (const PlannedMap::Term& term : step.terms) {
      const int copy = map_.copies[term.input % map_.copies.size()];
      Ciphertext product = in[term.input / map_.copies.size()].clone();
      for (int i = 0; i < std::abs(copy); ++i) {
        product = evaluator.rotate(product, copy > 0 ? map_.plan.copy_step : -map_.plan.copy_step);
      }
      product = evaluator.rotate(product, map_.hoisted[term.baby]);
      evaluator.mul_plain_inplace(product, plaintext(term.place));
      if (map_.plan.chained) {
        const int by = step.links > 0 ? map_.plan.step : -map_.plan.step;
        for (int link = 0; link < std::abs(step.links); ++link) product = evaluator.rotate(product, by);
        evaluator.add_inplace(out[step.output], product);
        continue;
      }
      product = evaluator.rotate(product, map_.plan.inner_part(step.giant, static_cast<int>(parameters.slots())));
      product = evaluator.rotate(product, map_.plan.outer_part(step.giant, static_cast<int>(parameters.slots())));
      evaluator.add_inplace(out[step.output], product);
    }
  }
  return out;
}

Plaintext PreparedLinearMap::plaintext(std::size_t place) const {
  const std::size_t size = diagonals_.size(place);
  Plaintext out{ring::Poly(size, map_.basis, ring::Domain::kNtt), map_.plain_scale, true};
  for (std::size_t j = 0; j < map_.basis.size(); ++j) {
    const PackedDiagonals::Limb limb(diagonals_, j, diagonals_.part(place));
    Scratch<std::uint32_t> room(limb.room(size));
    std::copy_n(limb.residues(place, 0, size, room.data()), size, out.poly.limb(j));
  }
  return out;
}

}  // namespace hearth::ckks
