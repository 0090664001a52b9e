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
std::vector<double> rotate_right(const std::vector<double>& diagonal, int steps) {
  const std::size_t shift = static_cast<std::size_t>(steps) % diagonal.size();
  std::vector<double> out(diagonal.size());
  std::rotate_copy(diagonal.begin(), diagonal.end() - static_cast<std::ptrdiff_t>(shift), diagonal.end(), out.begin());
  return out;
}

std::size_t index_in(const std::vector<int>& steps, int step, int rotation, const char* kind) {
  const auto found = std::lower_bound(steps.begin(), steps.end(), step);
  require(found != steps.end() && *found == step, ErrorKind::kInvalidArgument,
          "the plan of a linear map does not cover rotation {}: {} step {} is missing", rotation, kind, step);
  return static_cast<std::size_t>(found - steps.begin());
}

void check_block(const LinearMap& map, const std::pair<int, int>& block) {
  require(block.first >= 0 && block.first < map.outputs && block.second >= 0 && block.second < map.inputs,
          ErrorKind::kInvalidArgument,
          "the linear map has a block (output {}, input {}) but only {} outputs and {} inputs", block.first,
          block.second, map.outputs, map.inputs);
}

void check_diagonal(int rotation, const std::vector<double>& diagonal, int slots) {
  require(rotation >= 0 && rotation < slots, ErrorKind::kInvalidArgument,
          "the linear map rotates by {}; expected 0 to {}", rotation, slots - 1);
  require(std::has_single_bit(diagonal.size()) && diagonal.size() <= static_cast<std::size_t>(slots),
          ErrorKind::kInvalidArgument,
          "the diagonal of rotation {} has {} values; expected a power of two up to {} (its period)", rotation,
          diagonal.size(), slots);
}

}  // namespace

PreparedLinearMap::PreparedLinearMap(const Encoder& encoder, const Parameters& parameters, const LinearMap& map,
                                     const BsgsPlan& plan, int level, double plain_scale)
    : level_(level), inputs_(map.inputs), outputs_(map.outputs), plain_scale_(plain_scale), plan_(plan) {
  require(map.inputs >= 1 && map.outputs >= 1, ErrorKind::kInvalidArgument,
          "a linear map needs inputs and outputs, got {} and {}", map.inputs, map.outputs);
  require(plan.step >= 1 && plan.offset >= 0 && plan.offset < plan.step, ErrorKind::kInvalidArgument,
          "a plan's step must be positive and its offset below it, got {} and {}", plan.step, plan.offset);
  const int slots = static_cast<int>(parameters.slots());
  terms_.resize(static_cast<std::size_t>(outputs_));
  for (auto& giants : terms_) giants.resize(plan.giants.size());

  struct Source {
    std::size_t output, giant, term;
    const std::vector<double>* values;
  };
  std::vector<Source> sources;
  for (const auto& [block, diagonals] : map.blocks) {
    check_block(map, block);
    for (const auto& [rotation, diagonal] : diagonals) {
      check_diagonal(rotation, diagonal, slots);
      const std::size_t baby = index_in(plan.babies, plan.baby(rotation, slots), rotation, "baby");
      const std::size_t giant = index_in(plan.giants, plan.giant(rotation, slots), rotation, "giant");
      const auto output = static_cast<std::size_t>(block.first);
      sources.push_back({output, giant, terms_[output][giant].size(), &diagonal});
      terms_[output][giant].push_back({.input = block.second, .baby = baby, .diagonal = {}});
      extended_ = extended_ || plan.babies[baby] != 0;
    }
  }

  const ring::Basis basis =
      extended_ ? parameters.qp_basis(level, parameters.key_set_for(level)) : parameters.q_basis(level);
  parallel_for(0, sources.size(), [&](std::size_t i) {
    const Source& s = sources[i];
    const std::vector<double> rotated = rotate_right(*s.values, plan_.giants[s.giant]);
    terms_[s.output][s.giant][s.term].diagonal = encoder.encode(rotated, plain_scale, basis, true);
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
