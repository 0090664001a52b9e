#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <set>
#include <type_traits>
#include <utility>
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

/// A chained plan of this step and offset, with the babies and giants that a map needs, perhaps with copies.
inline BsgsPlan chained_plan(const MapShape& shape, int step, int offset, int slots, int copy_step = 0) {
  BsgsPlan plan{
      .step = step, .babies = {}, .giants = {}, .offset = offset, .outer = 0, .chained = true, .copy_step = copy_step};
  std::set<int> babies, giants;
  for (const DiagonalPlace& place : shape.diagonals) {
    babies.insert(plan.baby(place.rotation, slots));
    giants.insert(plan.giant(place.rotation, slots));
  }
  plan.babies.assign(babies.begin(), babies.end());
  plan.giants.assign(giants.begin(), giants.end());
  return plan;
}

struct ChainedCase {
  const char* name;
  LinearMap map;
  BsgsPlan plan;
};

/// On 1024 slots.
inline std::vector<ChainedCase> chained_cases() {
  std::vector<ChainedCase> cases;
  const auto add = [&](const char* name, LinearMap map, int step, int offset, int copy_step = 0) {
    const BsgsPlan plan = chained_plan(shape_of(map), step, offset, 1024, copy_step);
    cases.push_back({name, std::move(map), plan});
  };
  add("gaps in both chains", random_map(1, 1, {0, 1, 12, 13, 41, 1021, 1000, 995}, 1024, 30), 4, 0);
  add("up alone", random_map(1, 1, {0, 1, 4, 5, 9, 14}, 1024, 31), 4, 0);
  add("up alone, from afar", random_map(1, 1, {9, 10, 17}, 64, 32), 4, 0);
  add("down alone", random_map(1, 1, {0, 1023, 1019, 1015, 1014}, 1024, 33), 4, 3);
  add("down alone, from afar", random_map(1, 1, {1014, 1005}, 16, 34), 4, 1);
  add("no giant at all", random_map(1, 1, {0, 1, 2}, 1024, 35), 4, 0);
  add("several inputs and outputs", random_map(3, 2, {0, 1, 2, 10, 33, 1000, 1022}, 8, 36), 8, 4);
  LinearMap sparse;
  sparse.inputs = 2, sparse.outputs = 5;
  sparse.blocks[{0, 0}] = {{1, random_diagonal(4, 37)}, {1000, random_diagonal(1024, 38)}};
  sparse.blocks[{0, 1}] = {{30, random_diagonal(64, 39)}};
  sparse.blocks[{1, 1}] = {{1023, random_diagonal(8, 40)}};
  sparse.blocks[{2, 0}] = {{0, random_diagonal(1, 41)}, {3, random_diagonal(2, 42)}};
  sparse.blocks[{4, 1}] = {{1010, random_diagonal(16, 43)}, {960, random_diagonal(1024, 44)}};
  add("outputs with chains of their own", sparse, 5, 2);
  add("outputs with chains of their own, of copies", sparse, 12, 5, 3);
  add("copies either way", random_map(1, 1, {0, 1, 3, 12, 13, 41, 1021, 1000, 995}, 1024, 46), 8, 5, 2);
  add("copies with a gap", random_map(2, 1, {0, 1, 13, 14, 16, 33}, 64, 47), 16, 0, 4);
  add("copies of which the input itself is not used", random_map(1, 1, {5, 6, 22}, 32, 48), 16, 0, 4);
  add("giants around the slots", random_map(1, 1, {0, 511, 512, 513, 480, 540}, 1024, 45), 32, 16);
  return cases;
}

/// Bound on the error of any slot of any output, for inputs and diagonals with |values| <= sqrt(2) and 1: every term
/// carries the noise of its input and of one key switch before the product (baby) and the rounding of its diagonal;
/// every giant step, or every link of a chain, adds a key switch after it. Holds for both ways of evaluation.
template <typename T>
double map_error_bound(const Noise& noise, const BasicLinearMap<T>& map, const BsgsPlan& plan, int level, double scale,
                       double plain_scale) {
  std::vector<double> terms(static_cast<std::size_t>(map.outputs));
  for (const auto& [block, diagonals] : map.blocks) {
    terms[static_cast<std::size_t>(block.first)] += static_cast<double>(diagonals.size());
  }
  const double most = std::max(1.0, *std::max_element(terms.begin(), terms.end()));
  int copies = 0;  // on the way to the farthest
  for (const int baby : plan.babies) {
    copies = std::max(copies, std::abs(plan.copy_and_rest(baby, static_cast<int>(noise.parameters.slots())).first));
  }
  const double input = noise.fresh_slots(scale) + (1 + copies) * noise.key_switch_slots(level, scale);
  const double rounding = noise.encoding_slots(plain_scale);
  const double term = input + std::sqrt(2.0) * rounding + input * rounding;
  // Naive evaluation switches keys after the product for each term (and link), the other once a giant step (or link),
  // and divides at the end.
  const double after = noise.key_switch_slots(level, scale * plain_scale);
  double reach = 1, sums = static_cast<double>(plan.giants.size());
  if (plan.chained) {
    const int slots = static_cast<int>(noise.parameters.slots());
    for (const int giant : plan.giants) reach = std::max(reach, std::abs(1.0 * plan.links(giant, slots)));
    sums = 2 * reach;
  }
  return most * (term + reach * after) + (sums + 1) * after;
}

}  // namespace hearth::ckks::testing
