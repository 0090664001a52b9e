#include <cmath>
#include <cstdio>
#include <map>
#include <random>

#include "base/parallel.h"
#include "bench/report.h"
#include "ckks/secret/encryption.h"
#include "ckks/secret/key_generator.h"
#include "compiler/activations.h"
#include "compiler/fourier_series.h"

// One activation bootstrap of 65,536 real values: ReLU with a series of degree 63, N = 2^16, 128-bit security, on one
// core and on two; the chain is the one the compiler chooses. Noise is measured against the series itself, so the
// approximation is left out, over inputs spread evenly over the range.
namespace {

using namespace hearth;

constexpr int kLogN = 16, kDegree = 63, kRepetitions = 5;

struct Setup {
  Setup()
      : chain(compiler::choose_bootstrap_chain(
                  {.log_n = kLogN, .log_period = kLogN - 1, .coefficients = kDegree + 1, .ciphertexts = 2},
                  compiler::typical_limbs(kLogN))
                  .value()),
        parameters(ckks::Parameters::create(chain.parameters)),
        secret(ckks::generate_secret_key(parameters)),
        keys(ckks::KeyGenerator(secret, ring::random_seed())
                 .evaluation_keys(ckks::bootstrap_keys(*parameters, chain.bootstrap, kDegree + 1))),
        evaluator(parameters, &keys),
        bootstrapper(parameters, chain.bootstrap) {
    const double kink = 0;
    relu =
        compiler::fit_fourier([](double v) { return std::max(v, 0.0); }, 1, {.degree = kDegree}, std::span(&kink, 1));
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (std::vector<double>& values : x) {
      values.resize(parameters->slots());
      for (double& v : values) v = uniform(random);
      const int level = bootstrapper.input_level();
      const auto plain = evaluator.encoder().encode(values, bootstrapper.input_scale(2 * relu.half_period()),
                                                    parameters->q_basis(level), false);
      in.push_back(ckks::expand(*parameters, ckks::encrypt_seeded(secret, plain, level)));
    }
  }

  compiler::BootstrapChain chain;
  ckks::ParametersPtr parameters;
  ckks::SecretKey secret;
  ckks::EvaluationKeys keys;
  ckks::Evaluator evaluator;
  ckks::Bootstrapper bootstrapper;
  compiler::FourierSeries relu;
  std::vector<double> x[2];
  std::vector<ckks::Ciphertext> in;
};

double median_seconds(const auto& body) { return bench::measure(kRepetitions, body).median * 1e-6; }

/// Medians of the steps, on one core.
void print_steps(const Setup& s) {
  const auto step = [](const char* name, const auto& body) {
    fmt::print("  {:<24} {:.3f} s\n", name, median_seconds(body));
  };
  ckks::Ciphertext low, raised;
  std::vector<ckks::Ciphertext> t, z(2), y(2);
  step("SlotsToCoeffs",
       [&] { low = s.bootstrapper.slots_to_coefficients(s.evaluator, s.bootstrapper.pack(s.evaluator, s.in)); });
  step("ModRaise", [&] { raised = s.bootstrapper.raise(s.evaluator, low); });
  step("CoeffsToSlots", [&] { t = s.bootstrapper.coefficients_to_slots(s.evaluator, raised.clone(), 2); });
  step("exponential, twice", [&] {
    for (std::size_t i = 0; i < 2; ++i) z[i] = s.bootstrapper.exponential(s.evaluator, t[i]);
  });
  step("series, twice", [&] {
    for (std::size_t i = 0; i < 2; ++i) y[i] = s.bootstrapper.series(s.evaluator, z[i], s.relu.coefficients, 0x1p30);
  });
}

/// log2 of the rms error against the series, in units of the range.
double noise_bits(const Setup& s, const std::vector<ckks::Ciphertext>& out) {
  double square = 0;
  for (std::size_t k = 0; k < out.size(); ++k) {
    const auto slots = ckks::decrypt_slots(s.secret, s.evaluator.encoder(), out[k]);
    for (std::size_t i = 0; i < slots.size(); ++i) {
      square += std::pow(slots[i].real() - s.relu.evaluate(s.x[k][i]), 2);
    }
  }
  return -0.5 * std::log2(square / static_cast<double>(2 * s.parameters->slots()));
}

int run(int argc, char** argv) {
  bench::Report report("bootstrap", argc, argv);
  const Setup s;
  const ckks::BootstrapSpec& spec = s.chain.bootstrap;
  fmt::print(
      "N = 2^{}, log2(QP) = {:.0f} (at most {:.0f}), {} levels, K = {}, r = {}, exponential of degree {}, StC [{}], "
      "CtS [{}], {} primes a digit\n",
      kLogN, s.parameters->security().log_qp, s.parameters->security().limit, s.parameters->max_level(),
      spec.wrap_bound, spec.doublings, spec.exp_degree, fmt::join(spec.stc_radices, ", "),
      fmt::join(spec.cts_radices, ", "), s.chain.parameters.key_sets.back().digit_primes);
  std::vector<ckks::Ciphertext> out;
  const auto once = [&] { out = s.bootstrapper.evaluate(s.evaluator, s.in, s.relu.coefficients, 0x1p30); };
  std::map<int, double> times;
  for (const int cores : {1, 2}) {
    set_threads(cores);
    times[cores] = median_seconds(once);
    if (cores == 1) print_steps(s);
  }
  report.add("relu_bootstrap_65536_1core_s", times[1], "s");
  report.add("relu_bootstrap_65536_2core_s", times[2], "s");
  report.add("relu_bootstrap_predicted_1core_s", s.chain.seconds, "s");
  report.add("relu_bootstrap_noise_bits", noise_bits(s, out), "bits");
  report.add("relu_bootstrap_predicted_noise_bits", -std::log2(s.chain.noise), "bits");
  report.add("relu_fit_error_bits", -std::log2(s.relu.rms_error), "bits");
  report.add("relu_bootstrap_keys_gib", static_cast<double>(s.keys.bytes()) / (1 << 30), "GiB");
  return report.finish();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
