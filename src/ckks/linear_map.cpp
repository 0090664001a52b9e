#include "ckks/linear_map.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <tuple>

#include "base/error.h"
#include "base/parallel.h"

namespace hearth::ckks {
namespace {

/// diagonal rotated to the right by `steps` in [0, slots).
template <typename T>
std::vector<T> rotate_right(const std::vector<T>& diagonal, int steps) {
  const std::size_t shift = static_cast<std::size_t>(steps) % diagonal.size();
  std::vector<T> out(diagonal.size());
  std::rotate_copy(diagonal.begin(), diagonal.end() - static_cast<std::ptrdiff_t>(shift), diagonal.end(), out.begin());
  return out;
}

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

}  // namespace

MapShape shape_of(const LinearMap& map) { return shape_of_blocks(map); }
MapShape shape_of(const ComplexLinearMap& map) { return shape_of_blocks(map); }

PreparedLinearMap::PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const LinearMap& map,
                                     const BsgsPlan& plan, int level, double plain_scale)
    : level_(level), inputs_(map.inputs), outputs_(map.outputs), plain_scale_(plain_scale), plan_(plan) {
  encode(encoder, parameters, map);
}

PreparedLinearMap::PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const ComplexLinearMap& map,
                                     const BsgsPlan& plan, int level, double plain_scale)
    : level_(level), inputs_(map.inputs), outputs_(map.outputs), plain_scale_(plain_scale), plan_(plan) {
  encode(encoder, parameters, map);
}

template <typename T>
void PreparedLinearMap::encode(const Encoder& encoder, const Parameters& parameters, const BasicLinearMap<T>& map) {
  require(map.inputs >= 1 && map.outputs >= 1, ErrorKind::kInvalidArgument,
          "a linear map needs inputs and outputs, got {} and {}", map.inputs, map.outputs);
  require(plan_.step >= 1 && plan_.offset >= 0 && plan_.offset < plan_.step, ErrorKind::kInvalidArgument,
          "a plan's step must be positive and its offset below it, got {} and {}", plan_.step, plan_.offset);
  const int slots = static_cast<int>(parameters.slots());
  const MapShape shape = shape_of(map);
  terms_.resize(static_cast<std::size_t>(outputs_));
  for (auto& giants : terms_) giants.resize(plan_.giants.size());

  struct Source {
    std::size_t giant, term;
  };
  std::vector<Source> sources;
  for (const DiagonalPlace& place : shape.diagonals) {
    check_place(shape, place, slots);
    const std::size_t baby = index_in(plan_.babies, plan_.baby(place.rotation, slots), place.rotation, "baby");
    const std::size_t giant = index_in(plan_.giants, plan_.giant(place.rotation, slots), place.rotation, "giant");
    std::vector<Term>& terms = terms_[static_cast<std::size_t>(place.output)][giant];
    sources.push_back({giant, terms.size()});
    terms.push_back({.input = place.input, .baby = baby, .diagonal = {}});
    extended_ = extended_ || plan_.babies[baby] != 0;
  }

  const ring::Basis basis =
      extended_ ? parameters.qp_basis(level_, parameters.key_set_for(level_)) : parameters.q_basis(level_);
  parallel_for(0, sources.size(), [&](std::size_t i) {
    const DiagonalPlace& place = shape.diagonals[i];
    const auto [giant, term] = sources[i];
    const std::vector<T> rotated =
        rotate_right(map.blocks.at({place.output, place.input}).at(place.rotation), plan_.giants[giant]);
    terms_[static_cast<std::size_t>(place.output)][giant][term].diagonal =
        encoder.encode(rotated, plain_scale_, basis, true);
  });

  const auto order = [](const Term& a, const Term& b) {
    return std::tuple(a.diagonal.poly.size(), a.input, a.baby) < std::tuple(b.diagonal.poly.size(), b.input, b.baby);
  };
  for (auto& giants : terms_) {
    for (std::vector<Term>& terms : giants) std::sort(terms.begin(), terms.end(), order);
  }
}

void PreparedLinearMap::check_inputs(const Evaluator& evaluator, std::span<const Ciphertext> in) const {
  require(in.size() == static_cast<std::size_t>(inputs_), ErrorKind::kInvalidArgument,
          "the linear map takes {} ciphertexts, got {}", inputs_, in.size());
  for (const Ciphertext& c : in) {
    require(c.parameters_id == evaluator.parameters().id(), ErrorKind::kMismatch,
            "linear map: a ciphertext belongs to other parameters ({:016x}, expected {:016x})", c.parameters_id,
            evaluator.parameters().id());
    require(c.level == level_, ErrorKind::kInvalidArgument,
            "the linear map was prepared for level {}, a ciphertext is at level {}", level_, c.level);
    require(c.parts.size() == 2, ErrorKind::kInvalidArgument,
            "linear map: expected ciphertexts of 2 parts, got {}; relinearize products first", c.parts.size());
    require(std::abs(c.scale - in[0].scale) <= 0x1p-20 * in[0].scale, ErrorKind::kInvalidArgument,
            "linear map: the ciphertexts have different scales, 2^{:.9f} and 2^{:.9f}", std::log2(in[0].scale),
            std::log2(c.scale));
  }
}

std::vector<Ciphertext> PreparedLinearMap::apply_naive(const Evaluator& evaluator,
                                                       std::span<const Ciphertext> in) const {
  check_inputs(evaluator, in);
  const Parameters& parameters = evaluator.parameters();
  std::vector<Ciphertext> out;
  for (const auto& giants : terms_) {
    Ciphertext sum{.parts = {}, .level = level_, .scale = in[0].scale * plain_scale_, .parameters_id = parameters.id()};
    for (int i = 0; i < 2; ++i) {
      sum.parts.push_back(ring::Poly::zero(parameters.n(), parameters.q_basis(level_), ring::Domain::kNtt));
    }
    for (std::size_t g = 0; g < giants.size(); ++g) {
      for (const Term& term : giants[g]) {
        Ciphertext product = evaluator.rotate(in[static_cast<std::size_t>(term.input)], plan_.babies[term.baby]);
        evaluator.mul_plain_inplace(product, term.diagonal);
        evaluator.add_inplace(sum, evaluator.rotate(product, plan_.giants[g]));
      }
    }
    out.push_back(std::move(sum));
  }
  return out;
}

std::size_t PreparedLinearMap::bytes() const {
  std::size_t sum = 0;
  for (const auto& giants : terms_) {
    for (const auto& terms : giants) {
      for (const Term& term : terms) sum += term.diagonal.poly.bytes();
    }
  }
  return sum;
}

}  // namespace hearth::ckks
