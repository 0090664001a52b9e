#include "ckks/encoder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "base/dry_run.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "ckks/crt.h"
#include "ckks/embedding.h"
#include "ckks/kernels/embedding_kernels.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;
__extension__ using Int128 = __int128;
__extension__ using UInt128 = unsigned __int128;

constexpr double kLargestCoefficient = 0x1p120;
constexpr std::size_t kBlock = 2048;                             ///< residues that stay in the first-level cache
constexpr std::size_t kParallelResidues = std::size_t{1} << 17;  ///< fewer are done faster on one thread

/// Of a coefficient and prime, in a dry run.
constexpr double kDrySeconds = 1.2e-9;

/// Adding this to |x| < 2^51 leaves round(x) in the low bits of the sum.
constexpr double kRounder = 0x1.8p52;

/// Largest magnitude, or infinity when a coefficient is not a number.
double largest_magnitude(std::span<const double> coefficients) {
  double largest = 0;
  bool ordered = true;
  for (const double c : coefficients) {
    ordered &= !std::isnan(c);
    largest = std::max(largest, std::abs(c));
  }
  return ordered ? largest : HUGE_VAL;
}

std::size_t words_needed(double largest) {
  if (largest < 0x1p31 - 1) return 1;
  return largest < 0x1p62 ? 2 : 4;
}

/// |x| < 2^31, so the magic sum's low word is the rounded value modulo 2^32.
void split_one_word(std::span<const double> x, double scale, std::uint32_t* row) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    row[i] = static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(x[i] * scale + kRounder)) + (1U << 31);
  }
}

void split_two_words(std::span<const double> x, double scale, std::uint32_t* rows) {
  std::uint32_t *low = rows, *high = rows + x.size();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::uint64_t biased = static_cast<std::uint64_t>(std::llrint(x[i] * scale)) + (std::uint64_t{1} << 63);
    low[i] = static_cast<std::uint32_t>(biased);
    high[i] = static_cast<std::uint32_t>(biased >> 32);
  }
}

void split_four_words(std::span<const double> x, double scale, std::uint32_t* rows) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const UInt128 biased =
        static_cast<UInt128>(static_cast<Int128>(std::nearbyint(x[i] * scale))) + (UInt128{1} << 127);
    for (std::size_t w = 0; w < 4; ++w) rows[w * x.size() + i] = static_cast<std::uint32_t>(biased >> (32 * w));
  }
}

/// Room for `size` coefficients of `words` words.
std::uint32_t* make_room(RoundedCoefficients& out, std::size_t size, std::size_t words) {
  out.size = size;
  out.words = words;
  if (out.rows.size() < size * words) out.rows = Buffer<std::uint32_t>(size * words);
  return out.rows.data();
}

void round_coefficients(std::span<const double> coefficients, double scale, RoundedCoefficients& out) {
  require(std::isfinite(scale) && scale > 0, ErrorKind::kInvalidArgument,
          "the scale of an encoding must be positive and finite, got {}", scale);
  const double largest = largest_magnitude(coefficients) * scale;
  require(std::isfinite(largest), ErrorKind::kInvalidArgument, "cannot encode values that are not finite");
  require(largest <= kLargestCoefficient, ErrorKind::kInvalidArgument,
          "a coefficient of {:.3g} is too large to encode, at most 2^120 is supported; use a smaller scale", largest);
  std::uint32_t* rows = make_room(out, coefficients.size(), words_needed(largest));
  out.largest = largest;
  if (out.words == 1) return split_one_word(coefficients, scale, rows);
  if (out.words == 2) return split_two_words(coefficients, scale, rows);
  split_four_words(coefficients, scale, rows);
}

/// Residues of the integers times `factor` modulo m.
void reduce_words(const RoundedCoefficients& c, std::uint32_t factor, const ring::Modulus& m, std::uint32_t* out) {
  const ring::Kernels& k = ring::kernels();
  std::array<std::uint32_t, 4> weight{}, weight_shoup{};
  for (std::size_t w = 0; w < c.words; ++w) {
    weight[w] = w == 0 ? factor : mul_mod(weight[w - 1], m.r1, m);
    weight_shoup[w] = shoup(weight[w], m);
  }
  const std::uint32_t bias = mul_mod(weight[c.words - 1], (1U << 31) % m.q, m);
  alignas(64) std::array<std::uint32_t, kBlock> term, biases;
  std::fill_n(biases.data(), std::min(kBlock, c.size), bias);
  for (std::size_t begin = 0; begin < c.size; begin += kBlock) {
    const std::size_t count = std::min(kBlock, c.size - begin);
    k.mul_scalar(out + begin, c.rows.data() + begin, weight[0], weight_shoup[0], count, m);
    for (std::size_t w = 1; w < c.words; ++w) {
      k.mul_scalar(term.data(), c.rows.data() + w * c.size + begin, weight[w], weight_shoup[w], count, m);
      k.add(out + begin, out + begin, term.data(), count, m);
    }
    k.sub(out + begin, out + begin, biases.data(), count, m);
  }
}

/// What a dry run takes the place of a rounding for: one that fills a word each, as nearly all do.
void round_dry(std::size_t period, RoundedCoefficients& out) {
  make_room(out, 2 * period, 1);
  out.largest = 0;
  add_dry_seconds(10 * kDrySeconds * static_cast<double>(period));
}

void check_period(std::size_t period, std::size_t slots) {
  require(std::has_single_bit(period) && period <= slots, ErrorKind::kInvalidArgument,
          "the number of slot values must be a power of two from 1 to {}, got {}", slots, period);
}

}  // namespace

Encoder::Encoder(ParametersPtr parameters)
    : parameters_(std::move(parameters)),
      twiddles_(std::make_shared<const std::vector<Complex>>(embedding_twiddles(parameters_->slots()))),
      split_twiddles_(std::make_shared<SplitTwiddles>(*twiddles_)) {}

bool Encoder::round_one_word(double* re, double* im, std::size_t period, double scale, RoundedCoefficients& out) const {
  const EmbeddingKernels& k = embedding_kernels();
  if (period < k.smallest || !(scale > 0)) return false;
  std::uint32_t* row = make_room(out, 2 * period, 1);
  out.largest = k.round(row, re, im, split_twiddles_->view(), period, scale / static_cast<double>(period));
  return words_needed(out.largest) == 1;
}

void Encoder::round(std::span<const Complex> values, double scale, RoundedCoefficients& out) const {
  const std::size_t period = values.size();
  check_period(period, parameters_->slots());
  if (dry_run()) return round_dry(period, out);
  Scratch<double> parts(2 * period);
  double *re = parts.data(), *im = re + period;
  for (std::size_t j = 0; j < period; ++j) {
    re[j] = values[j].real();
    im[j] = values[j].imag();
  }
  if (round_one_word(re, im, period, scale, out)) return;
  Scratch<Complex> work(period);
  std::copy(values.begin(), values.end(), work.data());
  slots_to_coefficients({work.data(), period});
  for (std::size_t j = 0; j < period; ++j) {
    re[j] = work[j].real();
    im[j] = work[j].imag();
  }
  round_coefficients({re, 2 * period}, scale, out);
}

void Encoder::round(std::span<const double> values, double scale, RoundedCoefficients& out) const {
  const std::size_t period = values.size();
  check_period(period, parameters_->slots());
  if (dry_run()) return round_dry(period, out);
  Scratch<double> parts(2 * period);
  double *re = parts.data(), *im = re + period;
  std::copy(values.begin(), values.end(), re);
  std::fill_n(im, period, 0.0);
  if (round_one_word(re, im, period, scale, out)) return;
  Scratch<Complex> complex_values(period);
  std::copy(values.begin(), values.end(), complex_values.data());
  round(std::span<const Complex>(complex_values.data(), period), scale, out);
}

void Encoder::residues(const RoundedCoefficients& c, int prime, bool montgomery, std::uint32_t* out) const {
  const ring::Ring& ring = parameters_->ring();
  const ring::Modulus& m = ring.modulus(prime);
  if (dry_run()) return add_dry_seconds(kDrySeconds * static_cast<double>(c.size));
  // Transforms accept [0, 4q), so small coefficients need no more than 2q added.
  if (c.words == 1 && !montgomery && c.largest + 1 < 2.0 * m.q) {
    const std::uint32_t shift = 2 * m.q - (1U << 31);
    for (std::size_t i = 0; i < c.size; ++i) out[i] = c.rows[i] + shift;
  } else {
    reduce_words(c, montgomery ? m.r1 : 1U, m, out);
  }
  ring::kernels().ntt_forward(out, ring.ntt(prime, std::countr_zero(c.size)));
}

Plaintext Encoder::all_residues(const RoundedCoefficients& c, double scale, const ring::Basis& basis,
                                bool montgomery) const {
  Plaintext out{ring::Poly(c.size, basis, ring::Domain::kNtt), scale, montgomery};
  const auto limb = [&](std::size_t i) { residues(c, basis[i], montgomery, out.poly.limb(i)); };
  if (c.size * basis.size() >= kParallelResidues) {
    parallel_for(0, basis.size(), limb);
  } else {
    for (std::size_t i = 0; i < basis.size(); ++i) limb(i);
  }
  return out;
}

Plaintext Encoder::encode(std::span<const Complex> values, double scale, const ring::Basis& basis,
                          bool montgomery) const {
  RoundedCoefficients rounded;
  round(values, scale, rounded);
  return all_residues(rounded, scale, basis, montgomery);
}

Plaintext Encoder::encode(std::span<const double> values, double scale, const ring::Basis& basis,
                          bool montgomery) const {
  RoundedCoefficients rounded;
  round(values, scale, rounded);
  return all_residues(rounded, scale, basis, montgomery);
}

Plaintext Encoder::encode(double value, double scale, const ring::Basis& basis, bool montgomery) const {
  const std::array<double, 2> coefficients = {value, 0};
  RoundedCoefficients rounded;
  round_coefficients(coefficients, scale, rounded);
  return all_residues(rounded, scale, basis, montgomery);
}

std::vector<Complex> Encoder::decode(const ring::Poly& poly, double scale) const {
  require(std::isfinite(scale) && scale > 0, ErrorKind::kInvalidArgument,
          "the scale of a decoding must be positive and finite, got {}", scale);
  require(poly.size() >= 2 && poly.size() <= parameters_->n() && !poly.empty(), ErrorKind::kInvalidArgument,
          "cannot decode {} coefficients on {} primes with n = {}", poly.size(), poly.limbs(), parameters_->n());
  ring::Poly coefficients = poly.clone();
  ring::to_coefficient(parameters_->ring(), coefficients);
  Buffer<double> reals(poly.size());
  reconstruct_centred(parameters_->ring(), coefficients, reals.span());
  // Together with the ciphertext, the exact coefficients would reveal the secret key.
  ring::secure_wipe(coefficients.limb(0), coefficients.bytes());

  const std::size_t slots = parameters_->slots(), period = poly.size() / 2;
  std::vector<Complex> out(slots);
  for (std::size_t j = 0; j < period; ++j) out[j] = {reals[j] / scale, reals[period + j] / scale};
  ring::secure_wipe(reals.data(), reals.size() * sizeof(double));
  coefficients_to_slots({out.data(), period});
  for (std::size_t j = period; j < slots; ++j) out[j] = out[j - period];
  return out;
}

void Encoder::slots_to_coefficients(std::span<Complex> values) const {
  check_period(values.size(), parameters_->slots());
  embed_inverse(values, *twiddles_);
}

void Encoder::coefficients_to_slots(std::span<Complex> values) const {
  check_period(values.size(), parameters_->slots());
  embed(values, *twiddles_);
}

}  // namespace hearth::ckks
