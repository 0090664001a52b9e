// Key switching on one core: rotations of 24 primes with several digit sizes, hoisted rotations of 4 primes, and the
// small ring of the MNIST network. Times are the smallest of many repetitions.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "bench/report.h"
#include "ckks/evaluator.h"
#include "ckks/linear_map.h"
#include "ckks/secret/encryption.h"
#include "ckks/secret/key_generator.h"

namespace hearth::ckks {
namespace {

template <typename Body>
double best_ms(int repetitions, Body&& body) {
  return bench::measure(repetitions, body).minimum / 1e3;
}

ParameterSpec spec_of(int log_n, int primes, int digit) {
  ParameterSpec spec;
  spec.log_n = log_n;
  spec.levels.assign(static_cast<std::size_t>(primes), {30});
  spec.special_bits.assign(static_cast<std::size_t>(digit), 30);
  spec.key_sets = {{primes - 1, digit, digit}};
  return spec;
}

/// A ciphertext at the top level and the keys to rotate it by the steps.
struct Setup {
  Setup(const ParameterSpec& spec, const std::vector<int>& steps)
      : parameters(Parameters::create(spec)), secret(generate_secret_key(parameters)) {
    KeyRequest request;
    for (const int step : steps) request.galois.emplace_back(0, galois_element(step, spec.log_n));
    keys = KeyGenerator(secret, ring::Seed{1}).evaluation_keys(request);
    const Encoder encoder(parameters);
    const int level = parameters->max_level();
    const Plaintext plain = encoder.encode(0.5, 0x1p25, parameters->q_basis(level), false);
    input = expand(*parameters, encrypt_seeded(secret, plain, level));
  }

  ParametersPtr parameters;
  SecretKey secret;
  EvaluationKeys keys;
  Ciphertext input;
};

struct Row {
  double rotate, hoist, hoisted, key_mib;
};

Row measure(int log_n, int primes, int digit, int repetitions) {
  const Setup setup(spec_of(log_n, primes, digit), {1});
  const Evaluator evaluator(setup.parameters, &setup.keys);
  const Hoisted hoisted = evaluator.hoist(setup.input.parts[1], setup.input.level);
  Row row{};
  row.rotate = best_ms(repetitions, [&] { (void)evaluator.rotate(setup.input, 1); });
  row.hoist = best_ms(repetitions, [&] { evaluator.hoist(setup.input.parts[1], setup.input.level); });
  row.hoisted = best_ms(repetitions, [&] { evaluator.rotate(setup.input, hoisted, 1); });
  row.key_mib = static_cast<double>(setup.keys.bytes()) / 0x1p20;
  const int digits = (primes + digit - 1) / digit;
  const int transforms = primes * (1 + digits) + 2 * digit + 2 * primes;
  const int products = primes * (primes + digit) - primes * digit + 2 * digit * primes;
  fmt::print("{:>6} {:>6} {:>6} {:>6} {:>10.3f} {:>10.3f} {:>10.3f} {:>8.1f} {:>6} {:>6} {:>6}\n", 1 << log_n, primes,
             digits, digit, row.rotate, row.hoist, row.hoisted, row.key_mib, transforms, products,
             2 * digits * (primes + digit));
  return row;
}

/// A 3 x 3 convolution with period 8 weights on one ciphertext of 4 primes, one output.
double measure_convolution(int digit, int repetitions) {
  LinearMap map;
  const int slots = 1 << 15;
  for (const int dy : {-64, 0, 64}) {
    for (const int dx : {-1, 0, 1}) map.blocks[{0, 0}][(dy * 8 + dx * 8 + slots) % slots] = {1, 2, 3, 4, 5, 6, 7, 8};
  }
  const BsgsPlan plan = plan_bsgs(map, slots);
  const Setup setup(spec_of(16, 4, digit), rotations(plan));
  const Evaluator evaluator(setup.parameters, &setup.keys);
  const PreparedLinearMap prepared(evaluator.encoder(), *setup.parameters, map, plan, 3, 0x1p25);
  return best_ms(repetitions, [&] { prepared.apply(evaluator, std::span(&setup.input, 1)); });
}

void run(bench::Report& report) {
  set_threads(1);
  fmt::print("{:>6} {:>6} {:>6} {:>6} {:>10} {:>10} {:>10} {:>8} {:>6} {:>6} {:>6}\n", "n", "primes", "digits", "P",
             "rotate ms", "hoist ms", "hoisted ms", "key MiB", "NTT", "conv", "key");
  double key_switch = std::numeric_limits<double>::infinity(), hoisted = key_switch;
  for (const int digit : {24, 12, 8, 6, 4}) key_switch = std::min(key_switch, measure(16, 24, digit, 30).rotate);
  for (const int digit : {4, 2, 1}) hoisted = std::min(hoisted, measure(16, 4, digit, 100).hoisted);
  const double small = measure(13, 6, 1, 300).rotate;
  measure(13, 3, 1, 300);
  report.add("key_switch_24_ms", key_switch, "ms");
  report.add("hoisted_rotation_4_ms", hoisted, "ms");
  report.add("rotation_8192_6_ms", small, "ms");
  report.add("convolution_3x3_4_ms", measure_convolution(2, 30), "ms");
}

}  // namespace
}  // namespace hearth::ckks

int main(int argc, char** argv) {
  hearth::bench::Report report("key_switch", argc, argv);
  hearth::ckks::run(report);
  return report.finish();
}
