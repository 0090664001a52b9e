#include "ckks/bootstrap/noise_budget.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "ckks/bootstrap/noise_tape.h"
#include "ckks/bootstrap/wrap_bound.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;
using Coefficients = std::vector<Complex>;

constexpr int kMessages = 48;       // values of x in [-B, B] averaged over
constexpr double kRareWrap = 1e-9;  // multiples of q0 less likely than this are left out

double square(double x) { return x * x; }

/// Mean square of a slot's error after a rescaling, for values at the size of their scale: rounding leaves coefficients
/// of variance (1 + h) / 12, a slot is a sum of N of them.
double rescale_variance(const NoiseBudgetSpec& s) {
  return std::exp2(s.log_n) * (1 + s.hamming_weight) / 12.0 * std::exp2(-2 * s.scale_bits);
}

/// Mean square of the slots of a plaintext's rounding error: a diagonal of period p has 2 p coefficients.
double plaintext_variance(double period, double scale_bits) { return 2 * period / 12 * std::exp2(-2 * scale_bits); }

/// log2 of the period of the slots: the factors act on a subring with twice as many coefficients.
int log_period(const NoiseBudgetSpec& s) { return std::accumulate(s.cts_radices.begin(), s.cts_radices.end(), 0); }

double variance_of_t(const NoiseBudgetSpec& s) { return (s.encapsulated_weight + 1) / 12.0; }

/// Mean square error of the coefficients (in periods) when ModRaise begins: what SlotsToCoeffs' factors add, each
/// spread by the butterflies after it, and the rounding of the last rescaling.
double message_variance(const NoiseBudgetSpec& s) {
  const double rounding = (1 + s.hamming_weight) / 12.0 * std::exp2(-2 * s.scale_bits);
  if (s.split == SlotSplit::kStudy) return rounding;
  const double x_variance = 2 * square(s.rho / 2) / 3;  // two messages, one in the imaginary part
  double sum = 0;
  int done = 0;
  for (const int radix : s.stc_radices) {
    const double before = x_variance * std::exp2(done);  // of slots, each butterfly doubles their mean square
    done += radix;
    const double left = std::exp2(log_period(s) - done);
    const double diagonals = std::exp2(radix + 1) - 1;
    // A slot holds the noise of the subring's coefficients; when all butterflies are done, slots are half their number
    // times as large in mean square as the coefficients they came from, which is where the result is.
    const double slot_noise = before * diagonals * plaintext_variance(std::exp2(done), s.scale_bits);
    sum += rounding * left + slot_noise * left / std::exp2(log_period(s) + 1);
  }
  // Of the last factor, hoisted singly, every rotated input is rounded once more.
  return sum + rounding * std::exp2(s.stc_radices.back());
}

/// Mean square complex error of the slots t_j + i t_(j + N/2) when all factors of CoeffsToSlots but the `last` ones,
/// and all their roundings, have been applied to noisy coefficients.
struct SlotVariance {
  double total = 0;        ///< with everything
  double before_last = 0;  ///< without the last factor's rescaling
};

SlotVariance slot_variance(const NoiseBudgetSpec& s) {
  // A factor averages pairs of slots: errors and values, being independent, halve in mean square with each stage.
  const bool study = s.split == SlotSplit::kStudy;
  const double coefficients = std::exp2(log_period(s) + 1);
  // Projecting to the subring multiplies its coefficients by this, exactly but for key switches too small to matter.
  const double gain = std::exp2(s.log_n) / coefficients;
  double error = message_variance(s) * coefficients;  // of slots, in periods
  double size = variance_of_t(s) * coefficients;
  SlotVariance out;
  int left = log_period(s);
  for (std::size_t i = 0; i < s.cts_radices.size(); ++i) {
    const bool last = i + 1 == s.cts_radices.size();
    const int radix = s.cts_radices[i];
    const double diagonals = std::exp2(radix + 1) - 1;
    // The last factor also divides by K and by the projection's gain, and halves; it rounds that much coarser.
    const double bits = s.scale_bits - (last && !study ? std::log2(2 * s.wrap_bound * gain) : 0);
    error = error / std::exp2(radix) +
            diagonals * size * plaintext_variance(study ? coefficients / 2 : std::exp2(left), bits);
    size /= std::exp2(radix);
    left -= radix;
    out.before_last = error;
    error += rescale_variance(s) * (last && !study ? square(s.wrap_bound) : 1 / square(gain));
  }
  out.total = error;
  return out;
}

/// Mean square error of a slot after a conjugation that no rescaling follows.
double conjugation_variance(const NoiseBudgetSpec& s) {
  return rescale_variance(s) + square(s.key_switch) * std::exp2(s.log_n - 2 * s.scale_bits);
}

/// Mean squares of the real and the imaginary error of t / K when the exponential begins.
std::pair<double, double> input_variance(const NoiseBudgetSpec& s, const SlotVariance& slots) {
  const double rescale = rescale_variance(s), k2 = square(s.wrap_bound);
  switch (s.split) {
    case SlotSplit::kStudy:
      return {(slots.total / 2 + rescale / 2) / k2 + rescale / 2, rescale / 2 / k2 + rescale / 2};
    case SlotSplit::kBeforeRescale:
      return {slots.before_last / 2 / k2 + rescale / 2, rescale / 2};
    case SlotSplit::kAfterRescale: {
      // Slots are halved before the last rescaling, so its error counts twice on the real part: 2 Re(error).
      const double key = conjugation_variance(s);
      return {slots.before_last / 2 / k2 + 2 * rescale + key / 2, key / 2};
    }
  }
  return {0, 0};
}

/// Baby-step giant-step as in ckks/polynomial.cpp: the same products, a source wherever that rescales.
class Evaluation {
 public:
  Evaluation(NoiseTape& tape, int x, bool chebyshev, int degree)
      : tape_(tape), chebyshev_(chebyshev), leaf_size_(1 << ((std::bit_width(static_cast<unsigned>(degree)) + 1) / 2)) {
    basis_.emplace(1, x);
  }

  int rescaled(const Coefficients& p) { return tape_.source(unscaled(p)); }

 private:
  int basis(int i) {
    const auto found = basis_.find(i);
    if (found != basis_.end()) return found->second;
    const int a = (i + 1) / 2, b = i / 2;
    int product = tape_.multiply(basis(a), basis(b));
    if (chebyshev_) {
      product = a == b ? tape_.combine(product, 2, product, 0, -1) : tape_.combine(product, 2, basis(a - b), -1);
    }
    return basis_.emplace(i, tape_.source(product)).first->second;
  }

  int unscaled(const Coefficients& p) {
    const int degree = static_cast<int>(p.size()) - 1;
    if (degree < 2 || degree < leaf_size_) return linear_combination(p);
    const int split = static_cast<int>(std::bit_floor(static_cast<unsigned>(degree)));
    Coefficients quotient(p.begin() + split, p.end()), rest(p.begin(), p.begin() + split);
    for (std::size_t k = 1; chebyshev_ && k < quotient.size(); ++k) {
      rest[static_cast<std::size_t>(split) - k] -= quotient[k];
      quotient[k] *= 2;
    }
    if (quotient.size() == 1) return tape_.combine(basis(split), quotient[0], unscaled(rest), 1);
    return tape_.combine(tape_.multiply(rescaled(quotient), basis(split)), 1, unscaled(rest), 1);
  }

  int linear_combination(const Coefficients& p) {
    int sum = tape_.input(p[0]);
    for (std::size_t i = 1; i < p.size(); ++i) sum = tape_.combine(sum, 1, basis(static_cast<int>(i)), p[i]);
    return sum;
  }

  NoiseTape& tape_;
  bool chebyshev_;
  int leaf_size_;
  std::map<int, int> basis_;
};

/// Probabilities of |I| = 0, 1, .., where they matter.
std::vector<double> wrap_probabilities(const NoiseBudgetSpec& s) {
  const auto beyond = [&](double limit) { return std::exp2(log2_sum_tail(s.encapsulated_weight + 1, limit)); };
  std::vector<double> out = {1 - beyond(0.5)};
  for (int i = 1; i < s.wrap_bound; ++i) {
    const double p = beyond(i - 0.5) - beyond(i + 0.5);
    if (p < kRareWrap) break;
    out.push_back(p);
  }
  return out;
}

struct Point {
  double exponential = 0, output = 0;  ///< mean squares
};

/// Follows one value of t through the exponential and the series.
Point noise_at(const NoiseBudgetSpec& s, double t, std::pair<double, double> input, const Coefficients& exponential,
               std::span<const Complex> coefficients) {
  const double rescale = rescale_variance(s);
  NoiseTape tape;
  const int x = tape.input(t / s.wrap_bound);
  int z = Evaluation(tape, x, true, s.exp_degree).rescaled(exponential);
  for (int i = 0; i < s.doublings; ++i) z = tape.source(tape.multiply(z, z));
  const Coefficients series(coefficients.begin(), coefficients.end());
  const int degree = std::max<int>(1, static_cast<int>(series.size()) - 1);
  const auto z_gain = tape.sensitivities(z);
  const double exponential_noise = rescale * tape.source_gain(z_gain) +
                                   std::norm(z_gain[static_cast<std::size_t>(x)]) * (input.first + input.second);
  const int f = Evaluation(tape, z, false, degree).rescaled(series);
  const auto gain = tape.sensitivities(f);
  const Complex slope = gain[static_cast<std::size_t>(x)];
  // The real part of slope * (a + i b).
  const double from_input = square(slope.real()) * input.first + square(slope.imag()) * input.second;
  return {exponential_noise, rescale * tape.source_gain(gain) / 2 + from_input};
}

void check(const NoiseBudgetSpec& s, std::span<const Complex> coefficients) {
  constexpr auto kind = ErrorKind::kInvalidArgument;
  const int stages = log_period(s);
  require(s.log_n >= 4 && s.log_n <= 17, kind, "log_n must be in [4, 17], got {}", s.log_n);
  const bool study = s.split == SlotSplit::kStudy;
  require(stages >= (study ? s.log_n - 1 : 1) && stages < s.log_n, kind,
          "CoeffsToSlots cannot merge {} stages at log_n = {}", stages, s.log_n);
  const int down = std::accumulate(s.stc_radices.begin(), s.stc_radices.end(), 0);
  require(study || down == stages, kind,
          "SlotsToCoeffs must merge {} stages as CoeffsToSlots does, its factors merge {}", stages, down);
  require(s.wrap_bound >= 1 && s.doublings >= 0 && s.doublings <= 16 && s.exp_degree >= 1 && s.exp_degree <= 255, kind,
          "an exponential with K = {}, r = {}, degree {} makes no sense", s.wrap_bound, s.doublings, s.exp_degree);
  require(coefficients.size() >= 2, kind, "a series needs at least 2 coefficients, got {}", coefficients.size());
  require(s.hamming_weight >= 1 && s.scale_bits > 0 && s.rho > 0 && s.rho < 1 && s.key_switch >= 0, kind,
          "a noise budget needs a positive weight and scale and rho in (0, 1), got {}, {}, {}", s.hamming_weight,
          s.scale_bits, s.rho);
}

}  // namespace

NoiseBudget predict_noise(const NoiseBudgetSpec& s, std::span<const Complex> coefficients) {
  check(s, coefficients);
  const SlotVariance slots = slot_variance(s);
  const auto input = input_variance(s, slots);
  Coefficients exponential;
  const double bound = 2 * std::numbers::pi * s.wrap_bound / std::exp2(s.doublings);
  Complex unit = 1;
  for (int k = 0; k <= s.exp_degree; ++k, unit *= Complex(0, 1)) {
    exponential.push_back((k == 0 ? 1.0 : 2.0) * unit * std::cyl_bessel_j(static_cast<double>(k), bound));
  }
  const std::vector<double> wraps = wrap_probabilities(s);
  Point mean;
  for (int i = 0; i < kMessages; ++i) {
    const double message = s.rho / 2 * (2 * (i + 0.5) / kMessages - 1);
    for (std::size_t wrap = 0; wrap < wraps.size(); ++wrap) {
      // x is spread symmetrically, but f is not symmetric: both signs of I.
      for (const double sign : {-1.0, 1.0}) {
        const Point p = noise_at(s, message + sign * static_cast<double>(wrap), input, exponential, coefficients);
        mean.exponential += wraps[wrap] / 2 * p.exponential / kMessages;
        mean.output += wraps[wrap] / 2 * p.output / kMessages;
      }
    }
  }
  // The real part of the series is half of it plus its conjugate; half of a conjugation's error is real.
  if (s.split == SlotSplit::kAfterRescale) mean.output += conjugation_variance(s) / 2;
  return {std::sqrt(slots.total), std::sqrt(mean.exponential), std::sqrt(mean.output)};
}

}  // namespace hearth::ckks
