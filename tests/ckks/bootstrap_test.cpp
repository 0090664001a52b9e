#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "ckks/bootstrap/bootstrapper.h"
#include "ckks/bootstrap/dft.h"
#include "ckks/polynomial.h"
#include "hearth/error.h"
#include "tests/ckks/party.h"
#include "tests/ckks/plain_embedding.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using testing::Party;
using testing::Slots;

/// Levels: q0, StC, 1 linear, series of 63, squarings, exponential, CtS. Insecure and small.
ParameterSpec bootstrap_spec(int log_n, int weight, const BootstrapSpec& boot, int series_degree) {
  ParameterSpec spec;
  spec.log_n = log_n;
  const auto depth = static_cast<int>(boot.stc_radices.size() + boot.cts_radices.size()) + 1 +
                     polynomial_depth(series_degree) + boot.doublings + polynomial_depth(boot.exp_degree);
  spec.levels.assign(static_cast<std::size_t>(depth) + 1, {30});
  spec.special_bits.assign(6, 30);
  const int bottom = static_cast<int>(boot.stc_radices.size()) + 1;
  spec.key_sets = {{0, 1, 1}, {bottom, 3, 3}, {depth, 6, 6}};
  spec.secret = SecretKind::kSparseTernary;
  spec.hamming_weight = weight;
  spec.encapsulated_weight = 16;
  spec.security = Security::kNone;
  return spec;
}

Slots apply_plain(const ButterflyFactor& factor, const Slots& x) {
  Slots out(x.size());
  for (const DiagonalPlace& place : factor.shape().diagonals) {
    Slots diagonal(place.period);
    factor.diagonal(place, diagonal);
    for (std::size_t p = 0; p < x.size(); ++p) {
      out[p] += diagonal[p % diagonal.size()] * x[(p + static_cast<std::size_t>(place.rotation)) % x.size()];
    }
  }
  return out;
}

Slots reverse_bits(const Slots& x, int bits) {
  Slots out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::size_t j = 0;
    for (int b = 0; b < bits; ++b) j |= (i >> b & 1) << (bits - 1 - b);
    out[j] = x[i];
  }
  return out;
}

TEST(Dft, FactorsMultiplyToTheEmbeddingWithoutBitReversal) {
  const int log_slots = 7;
  const Encoder encoder(Parameters::create(testing::chain_spec(log_slots + 1, 2, 1)));
  const Slots x = testing::random_slots(1 << log_slots, 5);
  Slots want = reverse_bits(x, log_slots);
  encoder.coefficients_to_slots(want);
  Slots got = x;
  for (const ButterflyFactor& factor : slots_to_coefficients(log_slots, std::vector{3, 2, 2}, 1 << log_slots)) {
    got = apply_plain(factor, got);
  }
  EXPECT_LT(testing::distance(got, want), 1e-11);
  for (const ButterflyFactor& factor : coefficients_to_slots(log_slots, std::vector{2, 4, 1}, 1 << log_slots, 0.5)) {
    got = apply_plain(factor, got);
  }
  for (auto& value : got) value *= 2;
  EXPECT_LT(testing::distance(got, x), 1e-12);
}

int least_rotation(const ComplexLinearMap& map, int slots) {
  int least = 0;
  for (const auto& [r, diagonal] : map.blocks.at({0, 0})) least = std::min(least, r < slots / 2 ? r : r - slots);
  return least;
}

/// Factors have the diagonals of the products of their butterflies, but rotate to the left alone, and so their results
/// by as much; all but the one of the longest butterflies, number `longest`, which takes that back. On a ring with more
/// slots, too.
void expect_factors(const std::vector<ButterflyFactor>& factors, const std::vector<ComplexLinearMap>& maps, int slots,
                    std::size_t longest, double last_factor) {
  ASSERT_EQ(factors.size(), maps.size());
  std::vector<int> shifts(maps.size());
  for (std::size_t i = 0; i < maps.size(); ++i) {
    if (i == longest) continue;
    int least = slots;
    for (const DiagonalPlace& place : factors[i].shape().diagonals) least = std::min(least, place.rotation);
    EXPECT_GE(least, 0);
    shifts[i] = least - least_rotation(maps[i], slots);
    shifts[longest] -= shifts[i];
  }
  int turn = 0;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    turn += shifts[i];
    const auto& diagonals = maps[i].blocks.at({0, 0});
    EXPECT_EQ(factors[i].shape().diagonals.size(), diagonals.size());
    for (const DiagonalPlace& place : factors[i].shape().diagonals) {
      Slots got(place.period);
      factors[i].diagonal(place, got);
      for (auto& value : got) value /= i + 1 == maps.size() ? last_factor : 1;
      Slots want = diagonals.at((place.rotation - shifts[i] + 4 * slots) % slots);
      const auto size = static_cast<int>(want.size());
      std::rotate(want.begin(), want.begin() + (turn % size + size) % size, want.end());
      EXPECT_EQ(got, want) << "factor " << i << ", rotation " << place.rotation;
    }
  }
  EXPECT_EQ(turn, 0);
}

TEST(Dft, FactorsAreTheProductsOfTheirButterflies) {
  for (const std::vector<int>& radices : {std::vector{1, 1, 1, 1, 1}, {2, 3}, {4, 1}, {5}}) {
    for (const int slots : {32, 128}) {
      expect_factors(slots_to_coefficients(5, radices, slots), testing::slots_to_coefficients_maps(5, radices), 32,
                     radices.size() - 1, 1);
      expect_factors(coefficients_to_slots(5, radices, slots, 0.5), testing::coefficients_to_slots_maps(5, radices), 32,
                     0, 0.5);
    }
  }
  EXPECT_THROW(slots_to_coefficients(5, std::vector{2, 2}, 32), Error);
  EXPECT_THROW(slots_to_coefficients(5, std::vector{2, 3}, 16), Error);
  const ButterflyFactor factor = slots_to_coefficients(5, std::vector{2, 3}, 32)[1];
  Slots wrong(16);
  EXPECT_THROW(factor.diagonal({0, 0, 0, 16}, wrong), Error);
}

struct Bench {
  explicit Bench(const BootstrapSpec& spec, int log_n, std::size_t coefficients)
      : boot(spec),
        parameters(Parameters::create(bootstrap_spec(log_n, 64, boot, static_cast<int>(coefficients) - 1))),
        secret(generate_secret_key(parameters)),
        keys(
            KeyGenerator(secret, ring::random_seed()).evaluation_keys(bootstrap_keys(*parameters, boot, coefficients))),
        evaluator(parameters, &keys),
        bootstrapper(parameters, boot) {}

  /// Real slots in [-1, 1], of the bootstrap's period.
  Slots values(unsigned seed) const {
    Slots x = testing::random_slots(bootstrapper.period(), seed);
    for (auto& value : x) value = value.real();
    return testing::repeat(x, parameters->slots());
  }
  Ciphertext encrypt(const Slots& x, double period) const {
    const int level = bootstrapper.input_level();
    const Plaintext plain =
        evaluator.encoder().encode(x, bootstrapper.input_scale(period), parameters->q_basis(level), false);
    return expand(*parameters, encrypt_seeded(secret, plain, level));
  }

  BootstrapSpec boot;
  ParametersPtr parameters;
  SecretKey secret;
  EvaluationKeys keys;
  Evaluator evaluator;
  Bootstrapper bootstrapper;
};

void expect_series(const BootstrapSpec& spec, int log_n) {
  const std::vector<std::complex<double>> series = {0.25, {0.5, -0.25}, {0, 0.125}, {0.1, 0.1}};
  const Bench bench(spec, log_n, series.size());
  const double period = 2.5;
  const std::vector<Slots> x = {bench.values(7), bench.values(8)};
  const std::vector<Ciphertext> in = [&] {
    std::vector<Ciphertext> out;
    for (const Slots& one : x) out.push_back(bench.encrypt(one, period));
    return out;
  }();
  for (const std::size_t count : {std::size_t{1}, std::size_t{2}}) {
    const std::vector<Ciphertext> out =
        bench.bootstrapper.evaluate(bench.evaluator, std::span(in).first(count), series, 0x1p30);
    ASSERT_EQ(out.size(), count);
    for (std::size_t k = 0; k < count; ++k) {
      EXPECT_EQ(out[k].level, bench.bootstrapper.exponential_level() - 2);
      const Slots got = decrypt_slots(bench.secret, bench.evaluator.encoder(), out[k]);
      double square = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        std::complex<double> want = 0;
        for (std::size_t j = 0; j < series.size(); ++j) {
          want += series[j] * std::polar(1.0, 2 * std::numbers::pi * static_cast<double>(j) * x[k][i].real() / period);
        }
        square += std::norm(got[i] - want.real());
      }
      EXPECT_LT(std::sqrt(square / static_cast<double>(got.size())), 0x1p-13);
    }
  }
}

TEST(Bootstrap, RefreshesAndAppliesASeries) {
  expect_series({.stc_radices = {3, 3, 3}, .cts_radices = {3, 3, 3}}, 10);
  expect_series({.stc_radices = {5, 4}, .cts_radices = {2, 3, 2, 2}, .wrap_bound = 12, .doublings = 5}, 10);
}

TEST(Bootstrap, ShortPeriodsTakeSmallerFactors) {
  expect_series({.stc_radices = {3, 3}, .cts_radices = {3, 3}}, 10);     // 64 of 512 slots
  expect_series({.stc_radices = {2, 3, 3}, .cts_radices = {4, 4}}, 10);  // half of them
}

TEST(Bootstrap, PairsSideBySideHaveTheBitsOfPairsAlone) {
  const Bench bench({.stc_radices = {3, 3, 3}, .cts_radices = {3, 3, 3}}, 10, 4);
  const std::vector<std::complex<double>> series = {0.25, {0.5, -0.25}, {0, 0.125}, {0.1, 0.1}};
  std::vector<Ciphertext> in;
  for (unsigned k = 0; k < 5; ++k) in.push_back(bench.encrypt(bench.values(k), 2.5));
  const std::vector<Ciphertext> all = bench.bootstrapper.evaluate(bench.evaluator, in, series, 0x1p30);
  ASSERT_EQ(all.size(), in.size());
  for (std::size_t i = 0; i < in.size(); i += 2) {
    const std::size_t count = std::min<std::size_t>(2, in.size() - i);
    const auto alone = bench.bootstrapper.evaluate(bench.evaluator, std::span(in).subspan(i, count), series, 0x1p30);
    for (std::size_t k = 0; k < count; ++k) EXPECT_TRUE(testing::equal_bits(all[i + k], alone[k])) << i + k;
  }
}

TEST(Bootstrap, RefusesWhatCannotBe) {
  const BootstrapSpec good{.stc_radices = {3, 3, 3}, .cts_radices = {3, 3, 3}};
  const ParametersPtr parameters = Parameters::create(bootstrap_spec(10, 64, good, 3));
  EXPECT_NO_THROW(check(*parameters, good));
  const auto refused = [&](auto change) {
    BootstrapSpec bad = good;
    change(bad);
    EXPECT_THROW(check(*parameters, bad), Error);
  };
  refused([](BootstrapSpec& s) { s.stc_radices = {3, 3}; });  // another period than CoeffsToSlots
  refused([](BootstrapSpec& s) { s.stc_radices = s.cts_radices = {}; });
  refused([](BootstrapSpec& s) { s.stc_radices = s.cts_radices = {9}; });
  refused([](BootstrapSpec& s) { s.stc_radices = s.cts_radices = {4, 3, 3}; });  // more than the slots
  refused([](BootstrapSpec& s) { s.wrap_bound = 0; });
  refused([](BootstrapSpec& s) { s.doublings = 9; });  // levels run out
  ParameterSpec plain = bootstrap_spec(10, 64, good, 3);
  plain.encapsulated_weight = 0;
  EXPECT_THROW(check(*Parameters::create(plain), good), Error);

  const Bench bench(good, 10, 4);
  const Ciphertext c = bench.encrypt(bench.values(1), 2.5);
  const std::vector<std::complex<double>> series(4, 0.1);
  Ciphertext low = c.clone();
  bench.evaluator.drop_to_level_inplace(low, 1);
  EXPECT_THROW(bench.bootstrapper.evaluate(bench.evaluator, std::span(&low, 1), series, 0x1p30), Error);
  EXPECT_THROW(bench.bootstrapper.evaluate(bench.evaluator, {}, series, 0x1p30), Error);
  EXPECT_THROW(
      bench.bootstrapper.evaluate(bench.evaluator, std::span(&c, 1), std::vector<std::complex<double>>{}, 0x1p30),
      Error);
  EvaluationKeys without = KeyGenerator(bench.secret, ring::random_seed()).evaluation_keys({});
  const Evaluator evaluator(bench.parameters, &without);
  EXPECT_THROW(bench.bootstrapper.evaluate(evaluator, std::span(&c, 1), series, 0x1p30), Error);
}

}  // namespace
}  // namespace hearth::ckks
