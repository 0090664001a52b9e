#pragma once

#include <cmath>
#include <random>
#include <set>
#include <type_traits>
#include <vector>

#include "ckks/linear_map.h"
#include "tests/ckks/party.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks::testing {

/// Values of magnitude up to 1.
template <typename T = double>
std::vector<T> random_diagonal(std::size_t period, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> out(period);
  for (T& value : out) {
    value = uniform(generator);
    if constexpr (!std::is_same_v<T, double>) value = T(value.real(), uniform(generator)) * std::sqrt(0.5);
  }
  return out;
}

/// A full map: every block has every rotation.
template <typename T = double>
BasicLinearMap<T> random_map(int inputs, int outputs, const std::vector<int>& rotations, std::size_t period,
                             unsigned seed) {
  BasicLinearMap<T> map;
  map.inputs = inputs;
  map.outputs = outputs;
  for (int o = 0; o < outputs; ++o) {
    for (int i = 0; i < inputs; ++i) {
      for (const int r : rotations) map.blocks[{o, i}][r] = random_diagonal<T>(period, seed++);
    }
  }
  return map;
}

/// The map by its definition.
template <typename T>
std::vector<Slots> apply_clear(const BasicLinearMap<T>& map, const std::vector<Slots>& in) {
  const std::size_t slots = in[0].size();
  std::vector<Slots> out(static_cast<std::size_t>(map.outputs), Slots(slots));
  for (const auto& [block, diagonals] : map.blocks) {
    const Slots& source = in[static_cast<std::size_t>(block.second)];
    Slots& target = out[static_cast<std::size_t>(block.first)];
    for (const auto& [r, diagonal] : diagonals) {
      for (std::size_t j = 0; j < slots; ++j) {
        target[j] += diagonal[j % diagonal.size()] * source[(j + static_cast<std::size_t>(r)) % slots];
      }
    }
  }
  return out;
}

/// Bound on the error of any slot of any output, for inputs and diagonals with |values| <= sqrt(2) and 1: every term
/// carries the noise of its input and of one key switch before the product (baby) and the rounding of its diagonal;
/// every giant step adds a key switch after it. Holds for both ways of evaluation.
template <typename T>
double map_error_bound(const Noise& noise, const BasicLinearMap<T>& map, const BsgsPlan& plan, int level, double scale,
                       double plain_scale) {
  std::vector<double> terms(static_cast<std::size_t>(map.outputs));
  for (const auto& [block, diagonals] : map.blocks) {
    terms[static_cast<std::size_t>(block.first)] += static_cast<double>(diagonals.size());
  }
  const double most = std::max(1.0, *std::max_element(terms.begin(), terms.end()));
  const double input = noise.fresh_slots(scale) + noise.key_switch_slots(level, scale);
  const double rounding = noise.encoding_slots(plain_scale);
  const double term = input + std::sqrt(2.0) * rounding + input * rounding;
  // Naive evaluation switches keys once a term after the product; the other once a giant step, and divides at the end.
  const double after = noise.key_switch_slots(level, scale * plain_scale);
  return most * (term + after) + static_cast<double>(plan.giants.size() + 1) * after;
}

}  // namespace hearth::ckks::testing
