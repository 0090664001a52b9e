// A matrix times an encrypted vector: the diagonals of the matrix, rotations of the vector, and how many of them are
// needed.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ckks/linear_map.h"
#include "ckks/secret/encryption.h"
#include "ckks/secret/key_generator.h"

using namespace hearth;

int main() {
  ckks::ParameterSpec spec;
  spec.log_n = 12;
  spec.levels = {{30}, {28}};
  spec.special_bits = {30};
  spec.key_sets = {{.max_level = 1, .digit_primes = 1, .special_primes = 1}};
  const ckks::ParametersPtr parameters = ckks::Parameters::create(spec);
  const int slots = static_cast<int>(parameters->slots());

  // A 64 x 64 matrix. The vector is repeated over all slots, so slot j of rotation r is entry (j + r) mod 64, and the
  // product is the sum over r of diagonal r, M[j][(j + r) mod 64], times rotation r. Diagonals have period 64 and are
  // encoded in 128 words a prime instead of 4096.
  constexpr int kSize = 64;
  const auto entry = [](int row, int column) { return std::sin(1.0 + row * 7 + column * 3) / kSize; };
  ckks::LinearMap map;
  for (int r = 0; r < kSize; ++r) {
    std::vector<double>& diagonal = map.blocks[{0, 0}][r];
    for (int j = 0; j < kSize; ++j) diagonal.push_back(entry(j, (j + r) % kSize));
  }

  // Baby steps and giant steps: rotation r = baby + giant, so 64 rotations take about 2 * sqrt(64) keys.
  const ckks::BsgsPlan plan = ckks::plan_bsgs(map, slots);
  fmt::print("{} diagonals: step {}, {} baby and {} giant rotations\n", kSize, plan.step, plan.babies.size(),
             plan.giants.size());

  const ckks::SecretKey secret = ckks::generate_secret_key(parameters);
  const int level = parameters->max_level(), set = parameters->key_set_for(level);
  ckks::KeyRequest request;
  for (const int step : ckks::rotations(plan)) request.galois.emplace_back(set, ckks::galois_element(step, spec.log_n));
  const ckks::EvaluationKeys keys = ckks::KeyGenerator(secret, ring::random_seed()).evaluation_keys(request);
  const ckks::Evaluator evaluator(parameters, &keys);
  fmt::print("{} rotation keys, {:.1f} MiB\n", keys.galois.size(), static_cast<double>(keys.bytes()) / 0x1p20);

  std::vector<double> vector(kSize);
  for (int i = 0; i < kSize; ++i) vector[static_cast<std::size_t>(i)] = std::cos(0.3 * i);
  const double scale = 0x1p26;
  const ckks::Plaintext plain = evaluator.encoder().encode(vector, scale, parameters->q_basis(level), false);
  const ckks::Ciphertext encrypted = ckks::expand(*parameters, ckks::encrypt_seeded(secret, plain, level));

  // Encoding the diagonals at the scale of the level's prime makes rescaling return to the input's scale exactly.
  const ckks::PreparedLinearMap prepared(evaluator.encoder(), *parameters, map, plan, level,
                                         parameters->level_modulus(level));
  ckks::Ciphertext out = std::move(prepared.apply(evaluator, std::span(&encrypted, 1)).front());
  evaluator.rescale_inplace(out);
  fmt::print("encoded diagonals: {} bytes; scale after rescaling: 2^{:.6f}\n", prepared.bytes(), std::log2(out.scale));

  const auto got = ckks::decrypt_slots(secret, evaluator.encoder(), out);
  double worst = 0;
  for (int j = 0; j < slots; ++j) {
    double expected = 0;
    for (int i = 0; i < kSize; ++i) expected += entry(j % kSize, i) * vector[static_cast<std::size_t>(i)];
    worst = std::max(worst, std::abs(got[static_cast<std::size_t>(j)] - expected));
  }
  fmt::print("largest error of the product: 2^{:.1f}\n", std::log2(worst));
  return worst < 1e-3 ? 0 : 1;
}
