#pragma once

#include <algorithm>
#include <complex>
#include <map>
#include <span>
#include <vector>

#include "ckks/embedding.h"
#include "ckks/linear_map.h"

// The factors of the embedding, multiplied together as matrices: slow, obviously right (ckks/bootstrap/dft.h).
namespace hearth::ckks::testing {

using Complex = std::complex<double>;
/// Rotation in [0, slots) -> diagonal, all of one period.
using Diagonals = std::map<int, std::vector<Complex>>;

/// The butterflies of one length: slot p of the first half of a block becomes x_p + w_p x_{p + half}, slot p + half
/// becomes x_p - w_p x_{p + half}; or the inverse of that.
inline Diagonals butterflies(int length, int slots, bool inverse) {
  const int half = length / 2;
  const std::vector<Complex> w = embedding_twiddles(static_cast<std::size_t>(length));
  const auto entry = [&](int p) { return w[static_cast<std::size_t>(half + p % half)]; };
  std::vector<Complex> same, up, down;
  for (int p = 0; p < length; ++p) {
    const bool first = p < half;
    if (inverse) {
      same.push_back(first ? 0.5 : -0.5 * std::conj(entry(p)));
      up.push_back(first ? 0.5 : 0.0);
      down.push_back(first ? 0.0 : 0.5 * std::conj(entry(p)));
    } else {
      same.push_back(first ? 1.0 : -entry(p));
      up.push_back(first ? entry(p) : 0.0);
      down.push_back(first ? 0.0 : 1.0);
    }
  }
  Diagonals out{{0, same}, {half % slots, up}};
  const auto [place, fresh] = out.emplace(slots - half, down);
  if (!fresh) std::transform(down.begin(), down.end(), up.begin(), place->second.begin(), std::plus<>());
  return out;
}

/// second after first.
inline Diagonals compose(const Diagonals& second, const Diagonals& first, int slots) {
  const std::size_t period = std::max(second.begin()->second.size(), first.begin()->second.size());
  Diagonals out;
  for (const auto& [r2, d2] : second) {
    for (const auto& [r1, d1] : first) {
      std::vector<Complex>& sum = out[(r1 + r2) % slots];
      sum.resize(period);
      for (std::size_t p = 0; p < period; ++p) {
        sum[p] += d2[p % d2.size()] * d1[(p + static_cast<std::size_t>(r2)) % d1.size()];
      }
    }
  }
  return out;
}

inline bool is_zero(const std::vector<Complex>& v) {
  return std::all_of(v.begin(), v.end(), [](Complex c) { return c == Complex(0); });
}

inline ComplexLinearMap as_map(Diagonals diagonals) {
  std::erase_if(diagonals, [](const auto& item) { return is_zero(item.second); });
  ComplexLinearMap map;
  map.blocks[{0, 0}] = std::move(diagonals);
  return map;
}

inline std::vector<ComplexLinearMap> slots_to_coefficients_maps(int log_slots, std::span<const int> radices) {
  std::vector<ComplexLinearMap> out;
  int stage = 1;
  for (const int radix : radices) {
    Diagonals merged = butterflies(1 << stage, 1 << log_slots, false);
    for (int i = 1; i < radix; ++i)
      merged = compose(butterflies(1 << (stage + i), 1 << log_slots, false), merged, 1 << log_slots);
    stage += radix;
    out.push_back(as_map(std::move(merged)));
  }
  return out;
}

inline std::vector<ComplexLinearMap> coefficients_to_slots_maps(int log_slots, std::span<const int> radices) {
  std::vector<ComplexLinearMap> out;
  int stage = log_slots;
  for (const int radix : radices) {
    Diagonals merged = butterflies(1 << stage, 1 << log_slots, true);
    for (int i = 1; i < radix; ++i)
      merged = compose(butterflies(1 << (stage - i), 1 << log_slots, true), merged, 1 << log_slots);
    stage -= radix;
    out.push_back(as_map(std::move(merged)));
  }
  return out;
}

}  // namespace hearth::ckks::testing
