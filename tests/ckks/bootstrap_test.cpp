#include "ckks/bootstrap/bootstrapper.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "ckks/bootstrap/dft.h"
#include "ckks/polynomial.h"
#include "tests/ckks/party.h"
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

Slots apply_plain(const ComplexLinearMap& map, const Slots& x) {
  Slots out(x.size());
  for (const auto& [rotation, diagonal] : map.blocks.at({0, 0})) {
    for (std::size_t p = 0; p < x.size(); ++p) {
      out[p] += diagonal[p % diagonal.size()] * x[(p + static_cast<std::size_t>(rotation)) % x.size()];
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
  for (const ComplexLinearMap& map : slots_to_coefficients_maps(log_slots, std::vector{3, 2, 2})) {
    got = apply_plain(map, got);
  }
  EXPECT_LT(testing::distance(got, want), 1e-11);
  for (const ComplexLinearMap& map : coefficients_to_slots_maps(log_slots, std::vector{2, 4, 1}, 0.5)) {
    got = apply_plain(map, got);
  }
  for (auto& value : got) value *= 2;
  EXPECT_LT(testing::distance(got, x), 1e-12);
}

TEST(Bootstrap, RefreshesAndAppliesASeries) {
  BootstrapSpec boot{.stc_radices = {3, 3, 3}, .cts_radices = {3, 3, 3}};
  const std::vector<std::complex<double>> series = {0.25, {0.5, -0.25}, {0, 0.125}, {0.1, 0.1}};
  const ParameterSpec spec = bootstrap_spec(10, 64, boot, 3);
  const ParametersPtr parameters = Parameters::create(spec);
  const SecretKey secret = generate_secret_key(parameters);
  const EvaluationKeys keys =
      KeyGenerator(secret, ring::random_seed()).evaluation_keys(bootstrap_keys(*parameters, boot, series.size()));
  const Evaluator evaluator(parameters, &keys);
  const Bootstrapper bootstrapper(parameters, boot);
  const double period = 2.5;
  std::vector<Ciphertext> in;
  std::vector<Slots> x;
  for (unsigned k = 0; k < 2; ++k) {
    x.push_back(testing::random_slots(parameters->slots(), 7 + k));
    for (auto& value : x.back()) value = value.real();
    const Plaintext plain = evaluator.encoder().encode(x.back(), bootstrapper.input_scale(period),
                                                       parameters->q_basis(bootstrapper.input_level()), false);
    in.push_back(expand(*parameters, encrypt_seeded(secret, plain, bootstrapper.input_level())));
  }
  for (const std::size_t count : {std::size_t{1}, std::size_t{2}}) {
    const std::vector<Ciphertext> out =
        bootstrapper.evaluate(evaluator, std::span(in).first(count), series, 0x1p30);
    ASSERT_EQ(out.size(), count);
    for (std::size_t k = 0; k < count; ++k) {
      const Slots got = decrypt_slots(secret, evaluator.encoder(), out[k]);
      double square = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        std::complex<double> want = 0;
        for (std::size_t j = 0; j < series.size(); ++j) {
          want += series[j] * std::polar(1.0, 2 * std::numbers::pi * static_cast<double>(j) * x[k][i].real() / period);
        }
        square += std::norm(got[i] - want.real());
      }
      const double rms = std::sqrt(square / static_cast<double>(got.size()));
      EXPECT_LT(rms, 1e-3);
      std::printf("rms %.3g = 2^%.2f\n", rms, std::log2(rms));
    }
  }
}

}  // namespace
}  // namespace hearth::ckks
