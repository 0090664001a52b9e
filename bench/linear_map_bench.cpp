// Linear maps with dense diagonals: a convolution whose tensor fills the slots, prepared and streamed, and what
// encoding one diagonal costs. Times are the smallest of many repetitions.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "bench/report.h"
#include "ckks/linear_map_streamed.h"
#include "ckks/secret/encryption.h"
#include "ckks/secret/key_generator.h"

namespace hearth::ckks {
namespace {

constexpr int kLogN = 15, kSlots = 1 << (kLogN - 1), kPrimes = 5, kSpecials = 3;
constexpr int kBabies = 31, kGiants = 9, kGiantStep = 1024;
constexpr double kPlainScale = 0x1p30;

template <typename Body>
double best_ms(int repetitions, Body&& body) {
  return bench::measure(repetitions, body).minimum / 1e3;
}

/// Least processor time (all threads) of a few runs: less disturbed by other work on the machine than elapsed time.
template <typename Body>
double best_cpu_ms(int repetitions, Body&& body) {
  double best = HUGE_VAL;
  for (int i = 0; i < repetitions; ++i) {
    const std::clock_t start = std::clock();
    body();
    best = std::min(best, 1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

/// Rotations of 0 to 30 plus multiples of 1024: cheap values, so that their making is not measured.
class Convolution final : public LinearMapSource {
 public:
  Convolution() {
    for (int g = 0; g < kGiants; ++g) {
      for (int b = 0; b < kBabies; ++b) shape_.diagonals.push_back({0, 0, g * kGiantStep + b, std::size_t{kSlots}});
    }
  }
  const MapShape& shape() const override { return shape_; }
  void diagonal(const DiagonalPlace& place, std::span<double> out) const override {
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<double>((i * 37 + static_cast<std::size_t>(place.rotation)) % 64) / 64;
    }
  }

 private:
  MapShape shape_{.inputs = 1, .outputs = 1, .diagonals = {}};
};

BsgsPlan plan_of() {
  BsgsPlan plan{.step = kGiantStep, .babies = {}, .giants = {}};
  for (int b = 0; b < kBabies; ++b) plan.babies.push_back(b);
  for (int g = 0; g < kGiants; ++g) plan.giants.push_back(g * kGiantStep);
  return plan;
}

ParameterSpec spec_of() {
  ParameterSpec spec;
  spec.log_n = kLogN;
  spec.levels.assign(kPrimes, {30});
  spec.special_bits.assign(kSpecials, 30);
  spec.key_sets = {{kPrimes - 1, kSpecials, kSpecials}};
  return spec;
}

struct Setup {
  Setup() : parameters(Parameters::create(spec_of())), secret(generate_secret_key(parameters)) {
    KeyRequest request;
    for (const int step : rotations(plan_of())) request.galois.emplace_back(0, galois_element(step, kLogN));
    keys = KeyGenerator(secret, ring::Seed{1}).evaluation_keys(request);
    const Plaintext plain = Encoder(parameters).encode(0.5, 0x1p25, parameters->q_basis(level()), false);
    input = expand(*parameters, encrypt_seeded(secret, plain, level()));
  }
  int level() const { return parameters->max_level(); }

  ParametersPtr parameters;
  SecretKey secret;
  EvaluationKeys keys;
  Ciphertext input;
};

/// The parts of encoding one dense diagonal, on one core.
void measure_encoding(const Setup& setup, const Encoder& encoder, bench::Report& report) {
  const ring::Basis basis = setup.parameters->qp_basis(setup.level(), 0);
  std::vector<double> values(kSlots);
  const Convolution source;
  source.diagonal(source.shape().diagonals[5], values);
  std::vector<std::complex<double>> complex_values(values.begin(), values.end());
  std::vector<std::uint32_t> limb(setup.parameters->n());
  RoundedCoefficients rounded;
  const ring::Ring& ring = setup.parameters->ring();
  const double whole = best_ms(200, [&] { (void)encoder.encode(std::span<const double>(values), kPlainScale, basis); });
  const double embedding = best_ms(200, [&] { encoder.slots_to_coefficients(complex_values); });
  const double rounding = best_ms(200, [&] { encoder.round(std::span<const double>(values), kPlainScale, rounded); });
  const double residues = best_ms(200, [&] { encoder.residues(rounded, basis[0], true, limb.data()); });
  const double transform = best_ms(200, [&] { ring::kernels().ntt_forward(limb.data(), ring.ntt(basis[0])); });
  fmt::print(
      "encoding on {} limbs: {:.3f} ms; round {:.3f} (portable embedding {:.3f}), a limb {:.4f}, its NTT {:.4f}\n",
      basis.size(), whole, rounding, embedding, residues, transform);
  report.add("encode_dense_32768_8_ms", whole, "ms");
  report.add("encode_round_32768_ms", rounding, "ms");
  report.add("encode_limb_32768_ms", residues, "ms");
}

void run(bench::Report& report) {
  const Setup setup;
  const Evaluator evaluator(setup.parameters, &setup.keys);
  const auto source = std::make_shared<Convolution>();
  const BsgsPlan plan = plan_of();
  const std::size_t diagonals = source->shape().diagonals.size();
  const PreparedLinearMap prepared(evaluator.encoder(), *setup.parameters, *source, plan, setup.level(), kPlainScale);
  const StreamedLinearMap streamed(*setup.parameters, source, plan, setup.level(), kPlainScale);
  const StreamedLinearMap single(*setup.parameters, source, plan, setup.level(), kPlainScale, kLinearMapMemory,
                                 Hoisting::kSingle);
  const std::span<const Ciphertext> in(&setup.input, 1);
  const int all = threads();
  for (const int count : {1, all}) {
    set_threads(count);
    if (count == 1) measure_encoding(setup, evaluator.encoder(), report);
    const std::string suffix = fmt::format("_{}core_ms", count);
    const auto measure_one = [&](const std::string& name, const auto& body) {
      const double elapsed = best_ms(10, body), processor = best_cpu_ms(10, body);
      fmt::print("{} threads, {} dense diagonals, {}: {:.1f} ms, {:.1f} ms of processor time\n", count, diagonals, name,
                 elapsed, processor);
      report.add("map_279_" + name + suffix, elapsed, "ms");
    };
    measure_one("prepared", [&] { (void)prepared.apply(evaluator, in); });
    measure_one("streamed", [&] { (void)streamed.apply(evaluator, in); });
    measure_one("streamed_single", [&] { (void)single.apply(evaluator, in); });
    measure_one("encoded_ahead", [&] {
      (void)PreparedLinearMap(evaluator.encoder(), *setup.parameters, *source, plan, setup.level(), kPlainScale);
    });
    if (count == all) break;
  }
}

}  // namespace
}  // namespace hearth::ckks

int main(int argc, char** argv) {
  hearth::bench::Report report("linear_map", argc, argv);
  hearth::ckks::run(report);
  return report.finish();
}
