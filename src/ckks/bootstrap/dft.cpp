#include "ckks/bootstrap/dft.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "ckks/embedding.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;

void check_radices(int log_slots, std::span<const int> radices) {
  const bool positive = std::all_of(radices.begin(), radices.end(), [](int r) { return r > 0; });
  const int sum = std::accumulate(radices.begin(), radices.end(), 0);
  require(
      positive && sum == log_slots, ErrorKind::kInvalidArgument,
      "the factors of the embedding merge {} of its {} stages; each must merge at least one, all together every one",
      sum, log_slots);
}

/// By how much a factor rotates its result further to the left than its butterflies do.
int shift_of(int radix, int last, int stages) {
  const int unit = 1 << (last - radix), reach = 1 << last;
  if (last < stages) return unit == 1 ? reach : reach - unit;
  return unit == 1 ? 0 : -unit;
}

}  // namespace

MapShape factor_shape(int radix, int last, int stages, int slots) {
  const int unit = 1 << (last - radix), reach = 1 << last, half = (1 << stages) / 2;
  const auto period = static_cast<std::size_t>(reach);
  MapShape shape;
  if (last < stages) {
    const int middle = shift_of(radix, last, stages);
    for (int r = unit - reach; r < reach; r += unit) shape.diagonals.push_back({0, 0, middle + r, period});
    return shape;
  }
  for (int r = 0; r < std::max(1, std::min(reach, half)); r += unit) shape.diagonals.push_back({0, 0, r, period});
  for (int r = unit; r < reach && r <= half; r += unit) shape.diagonals.push_back({0, 0, slots - r, period});
  return shape;
}

ButterflyFactor::ButterflyFactor(Direction direction, int radix, int last, int stages, int slots, double factor)
    : direction_(direction), radix_(radix), last_(last), stages_(stages), factor_(factor) {
  require(radix >= 1 && radix <= last && last <= stages && stages < 31 && slots > 0 && slots % (1 << stages) == 0,
          ErrorKind::kInvalidArgument, "a factor of {} butterflies up to number {} of {} on {} slots makes no sense",
          radix, last, stages, slots);
  twiddles_ = embedding_twiddles(std::size_t{1} << last);
  shape_ = factor_shape(radix, last, stages, slots);
}

/// What slot `from` contributes to `slot`, both below 2^last and equal but for the bits that the butterflies mix.
///
/// Butterflies make slot p of the first half of a block x_p + w_p x_{p + half} and slot p + half x_p - w_p x_{p +
/// half}, or undo that. A butterfly changes one bit of the place, so every pair of places is joined by one path.
Complex ButterflyFactor::value(int slot, int from) const {
  const bool inverse = direction_ == Direction::kCoefficientsToSlots;
  Complex product = 1;
  for (int i = 0; i < radix_; ++i) {
    // In the order in which they are applied: from short to long ones, or from long to short.
    const int k = inverse ? radix_ - 1 - i : i;
    const int half = 1 << (last_ - radix_ + k);
    const bool second = (slot & half) != 0, crosses = ((slot ^ from) & half) != 0;
    // Bits below: those of the slot, unless a butterfly before has mixed them, seen from the result.
    const Complex w = twiddles_[static_cast<std::size_t>(half + ((inverse ? from : slot) & (half - 1)))];
    Complex entry;
    if (inverse) {
      entry = !second ? 0.5 : crosses ? 0.5 * std::conj(w) : -0.5 * std::conj(w);
    } else {
      entry = second ? (crosses ? 1.0 : -w) : (crosses ? w : 1.0);
    }
    product = entry * product;
  }
  return product * factor_;
}

void ButterflyFactor::diagonal(const DiagonalPlace& place, std::span<Complex> out) const {
  const int reach = 1 << last_, unit = 1 << (last_ - radix_);
  const int rotation = place.rotation - shift_of(radix_, last_, stages_);
  // How far results are rotated by the factors up to this one, modulo the period of its diagonals.
  const bool turned = direction_ == Direction::kCoefficientsToSlots && unit > 1;
  require(out.size() == static_cast<std::size_t>(reach) && rotation % unit == 0, ErrorKind::kInvalidArgument,
          "a factor of the embedding has no diagonal of {} values at rotation {}", out.size(), place.rotation);
  for (int slot = 0; slot < reach; ++slot) {
    const int to = turned ? (slot - unit) & (reach - 1) : slot;
    int from = to + rotation;
    if (last_ == stages_) from &= reach - 1;  // it goes around
    out[static_cast<std::size_t>(slot)] = from >= 0 && from < reach ? value(to, from) : 0.0;
  }
}

std::vector<ButterflyFactor> slots_to_coefficients(int log_slots, std::span<const int> radices, int slots) {
  check_radices(log_slots, radices);
  std::vector<ButterflyFactor> out;
  int last = 0;
  for (const int radix : radices) {
    last += radix;
    out.emplace_back(ButterflyFactor::Direction::kSlotsToCoefficients, radix, last, log_slots, slots);
  }
  return out;
}

std::vector<ButterflyFactor> coefficients_to_slots(int log_slots, std::span<const int> radices, int slots,
                                                   double factor) {
  check_radices(log_slots, radices);
  std::vector<ButterflyFactor> out;
  int last = log_slots;
  for (std::size_t i = 0; i < radices.size(); ++i) {
    out.emplace_back(ButterflyFactor::Direction::kCoefficientsToSlots, radices[i], last, log_slots, slots,
                     i + 1 == radices.size() ? factor : 1);
    last -= radices[i];
  }
  return out;
}

}  // namespace hearth::ckks
