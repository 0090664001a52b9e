#include "ckks/bootstrap/dft.h"

#include <algorithm>
#include <complex>
#include <map>
#include <numbers>
#include <numeric>

#include "base/error.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;
/// Rotation in [0, slots) -> diagonal, all of one period.
using Diagonals = std::map<int, std::vector<Complex>>;

/// exp(2 pi i (5^j mod 4 length) / (4 length)) for j < length / 2.
std::vector<Complex> twiddles(int length) {
  std::vector<Complex> out;
  const int order = 4 * length;
  int power = 1;
  for (int j = 0; j < length / 2; ++j, power = power * 5 % order) {
    out.push_back(std::polar(1.0, 2 * std::numbers::pi * power / order));
  }
  return out;
}

/// The butterflies of one length: slot p of the first half of a block becomes x_p + w_p x_{p + half}, slot p + half
/// becomes x_p - w_p x_{p + half}; or the inverse of that.
Diagonals butterflies(int length, int slots, bool inverse) {
  const int half = length / 2;
  const std::vector<Complex> w = twiddles(length);
  const auto entry = [&](int p) { return w[static_cast<std::size_t>(p % half)]; };
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
Diagonals compose(const Diagonals& second, const Diagonals& first, int slots) {
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

bool is_zero(const std::vector<Complex>& v) {
  return std::all_of(v.begin(), v.end(), [](Complex c) { return c == Complex(0); });
}

ComplexLinearMap as_map(Diagonals diagonals) {
  std::erase_if(diagonals, [](const auto& item) { return is_zero(item.second); });
  ComplexLinearMap map;
  map.blocks[{0, 0}] = std::move(diagonals);
  return map;
}

void check_radices(int log_slots, std::span<const int> radices) {
  const bool positive = std::all_of(radices.begin(), radices.end(), [](int r) { return r > 0; });
  const int sum = std::accumulate(radices.begin(), radices.end(), 0);
  require(
      positive && sum == log_slots, ErrorKind::kInvalidArgument,
      "the factors of the embedding merge {} of its {} stages; each must merge at least one, all together every one",
      sum, log_slots);
}

}  // namespace

std::vector<ComplexLinearMap> slots_to_coefficients_maps(int log_slots, std::span<const int> radices) {
  check_radices(log_slots, radices);
  const int slots = 1 << log_slots;
  std::vector<ComplexLinearMap> out;
  int stage = 1;
  for (const int radix : radices) {
    Diagonals merged = butterflies(1 << stage, slots, false);
    for (int i = 1; i < radix; ++i) merged = compose(butterflies(1 << (stage + i), slots, false), merged, slots);
    stage += radix;
    out.push_back(as_map(std::move(merged)));
  }
  return out;
}

std::vector<ComplexLinearMap> coefficients_to_slots_maps(int log_slots, std::span<const int> radices, double factor) {
  check_radices(log_slots, radices);
  const int slots = 1 << log_slots;
  std::vector<ComplexLinearMap> out;
  int stage = log_slots;
  for (const int radix : radices) {
    Diagonals merged = butterflies(1 << stage, slots, true);
    for (int i = 1; i < radix; ++i) merged = compose(butterflies(1 << (stage - i), slots, true), merged, slots);
    stage -= radix;
    out.push_back(as_map(std::move(merged)));
  }
  for (auto& [rotation, diagonal] : out.back().blocks[{0, 0}]) {
    for (Complex& value : diagonal) value *= factor;
  }
  return out;
}

}  // namespace hearth::ckks
