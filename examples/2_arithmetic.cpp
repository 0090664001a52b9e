// Arithmetic on ciphertexts: (x + 1) * y, a polynomial of x, and a rotation. The part that computes holds no secret.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ckks/evaluator.h"
#include "ckks/polynomial.h"
#include "ckks/secret/encryption.h"
#include "ckks/secret/key_generator.h"

using namespace hearth;

namespace {

double largest_error(const std::vector<std::complex<double>>& got, const std::vector<double>& expected) {
  double worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) worst = std::max(worst, std::abs(got[i] - expected[i]));
  return worst;
}

}  // namespace

int main() {
  ckks::ParameterSpec spec;
  spec.log_n = 13;
  spec.levels = {{30}, {28}, {28}, {28}, {28}};
  spec.special_bits = {30};
  spec.key_sets = {{.max_level = 4, .digit_primes = 1, .special_primes = 1}};
  const ckks::ParametersPtr parameters = ckks::Parameters::create(spec);

  // The owner makes the keys that the computation needs: one to return products to two parts, one to rotate by 3.
  const ckks::SecretKey secret = ckks::generate_secret_key(parameters);
  ckks::KeyRequest request;
  request.relinearisation_sets = {0};
  request.galois = {{0, ckks::galois_element(3, spec.log_n)}};
  const ckks::EvaluationKeys keys = ckks::KeyGenerator(secret, ring::random_seed()).evaluation_keys(request);

  const std::size_t slots = parameters->slots();
  std::vector<double> x(slots), y(slots);
  for (std::size_t i = 0; i < slots; ++i) {
    x[i] = std::cos(0.02 * static_cast<double>(i));
    y[i] = std::sin(0.01 * static_cast<double>(i));
  }
  // With a scale near the primes of the levels, rescaling after a product returns to about that scale.
  const double scale = 0x1p28;
  const int level = parameters->max_level();
  const ckks::Evaluator evaluator(parameters, &keys);
  const auto encrypt = [&](const std::vector<double>& values) {
    const ckks::Plaintext plain = evaluator.encoder().encode(values, scale, parameters->q_basis(level), false);
    return ckks::expand(*parameters, ckks::encrypt_seeded(secret, plain, level));
  };
  const ckks::Ciphertext encrypted_x = encrypt(x), encrypted_y = encrypt(y);

  // (x + 1) * y. A product has three parts and the product of the scales; relinearise and rescale to go on.
  ckks::Ciphertext sum = encrypted_x.clone();
  evaluator.add_constant_inplace(sum, 1);
  ckks::Ciphertext product = evaluator.multiply(sum, encrypted_y);
  evaluator.relinearize_inplace(product);
  evaluator.rescale_inplace(product);
  std::vector<double> expected(slots);
  for (std::size_t i = 0; i < slots; ++i) expected[i] = (x[i] + 1) * y[i];
  const double product_error = largest_error(ckks::decrypt_slots(secret, evaluator.encoder(), product), expected);
  fmt::print("(x + 1) * y:  level {} -> {}, largest error 2^{:.1f}\n", level, product.level, std::log2(product_error));

  // 0.5 + x/4 - x^3/8 + x^5/16 in three levels, at whatever scale is asked for.
  const std::vector<double> coefficients{0.5, 0.25, 0, -0.125, 0, 0.0625};
  const ckks::Ciphertext polynomial =
      ckks::evaluate_polynomial(evaluator, encrypted_x, coefficients, ckks::PolynomialBasis::kMonomial, scale);
  for (std::size_t i = 0; i < slots; ++i) {
    expected[i] = 0.5 + x[i] / 4 - std::pow(x[i], 3) / 8 + std::pow(x[i], 5) / 16;
  }
  const double polynomial_error = largest_error(ckks::decrypt_slots(secret, evaluator.encoder(), polynomial), expected);
  fmt::print("polynomial:   level {} -> {}, largest error 2^{:.1f}\n", level, polynomial.level,
             std::log2(polynomial_error));

  // Slot i of a rotation by 3 is slot i + 3.
  const ckks::Ciphertext rotated = evaluator.rotate(encrypted_x, 3);
  for (std::size_t i = 0; i < slots; ++i) expected[i] = x[(i + 3) % slots];
  const double rotation_error = largest_error(ckks::decrypt_slots(secret, evaluator.encoder(), rotated), expected);
  fmt::print("rotation:     level {} -> {}, largest error 2^{:.1f}\n", level, rotated.level, std::log2(rotation_error));
  return std::max({product_error, polynomial_error, rotation_error}) < 1e-3 ? 0 : 1;
}
