#include "ckks/bootstrap/bootstrapper.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/parallel.h"
#include "ckks/bootstrap/dft.h"
#include "ckks/key_switching.h"
#include "ckks/polynomial.h"
#include "ring/limbs.h"

namespace hearth::ckks {
namespace {

using Complex = std::complex<double>;

/// Chebyshev coefficients of exp(i bound x) on [-1, 1]: c_k = (2 - [k = 0]) i^k J_k(bound).
std::vector<Complex> exponential_series(double bound, int degree) {
  std::vector<Complex> out;
  Complex unit = 1;
  for (int k = 0; k <= degree; ++k, unit *= Complex(0, 1)) {
    out.push_back((k == 0 ? 1.0 : 2.0) * unit * std::cyl_bessel_j(static_cast<double>(k), bound));
  }
  return out;
}

double exponential_bound(int wrap_bound, int doublings) {
  return 2 * std::numbers::pi * wrap_bound / std::exp2(doublings);
}

/// Level of factor i of CoeffsToSlots, and of SlotsToCoeffs.
int cts_level(const Parameters& p, std::size_t i) { return p.max_level() - static_cast<int>(i); }
int stc_level(const BootstrapSpec& spec, std::size_t i) { return static_cast<int>(spec.stc_radices.size() - i); }

int log_period(const BootstrapSpec& spec) {
  return std::accumulate(spec.stc_radices.begin(), spec.stc_radices.end(), 0);
}

std::vector<ButterflyFactor> stc_factors(const Parameters& p, const BootstrapSpec& spec) {
  return slots_to_coefficients(log_period(spec), spec.stc_radices, static_cast<int>(p.slots()));
}

/// Divides by 2 for taking real and imaginary parts.
std::vector<ButterflyFactor> cts_factors(const Parameters& p, const BootstrapSpec& spec) {
  return coefficients_to_slots(log_period(spec), spec.cts_radices, static_cast<int>(p.slots()), 0.5);
}

BsgsPlan plan_of(const Parameters& p, const ButterflyFactor& factor) {
  return plan_factor(factor.shape(), static_cast<int>(p.slots()));
}

/// The same coefficients in all slots.
SlotVectors everywhere(std::span<const Complex> coefficients) {
  SlotVectors out;
  for (const Complex c : coefficients) out.push_back({c});
  return out;
}

bool are_radices(const std::vector<int>& radices) {
  return !radices.empty() &&
         std::all_of(radices.begin(), radices.end(), [](int r) { return r >= 1 && r <= kLargestRadix; });
}

}  // namespace

BsgsPlan plan_factor(const MapShape& shape, int slots) {
  // In baby steps. A copy is a key switch, two divisions and a decomposition. With these, and digits of five primes,
  // ResNet-20 on a ring of 2^15 had 596 MiB of keys instead of 845 in as much time; a key that weighs 3 took 35 MiB more
  // off, for 5 % more time (docs/experiments.md).
  constexpr double kKey = 2.5, kCopy = 6.5;
  return plan_chained_bsgs(shape, slots, {.key = kKey, .copy = kCopy});
}

Hoisting factor_hoisting(int level) { return level == 1 ? Hoisting::kSingle : Hoisting::kDouble; }

int exponential_level(const Parameters& p, const BootstrapSpec& spec) {
  return p.max_level() - static_cast<int>(spec.cts_radices.size()) - polynomial_depth(spec.exp_degree) - spec.doublings;
}

void check(const Parameters& p, const BootstrapSpec& spec) {
  require(p.spec().encapsulated_weight > 0, ErrorKind::kInvalidArgument,
          "bootstrapping needs parameters with an encapsulated secret");
  require(are_radices(spec.stc_radices) && are_radices(spec.cts_radices), ErrorKind::kInvalidArgument,
          "the factors of the embedding must merge 1 to {} of its stages each", kLargestRadix);
  const int up = std::accumulate(spec.cts_radices.begin(), spec.cts_radices.end(), 0);
  require(log_period(spec) == up && up < p.log_n(), ErrorKind::kInvalidArgument,
          "SlotsToCoeffs merges {} stages and CoeffsToSlots {}; both must be log2 of one period, at most {}",
          log_period(spec), up, p.log_n() - 1);
  require(spec.wrap_bound >= 1 && spec.wrap_bound <= 1024 && spec.doublings >= 0 && spec.doublings <= 16 &&
              spec.exp_degree >= 1 && spec.exp_degree <= 255,
          ErrorKind::kInvalidArgument, "bootstrapping with K = {}, r = {}, degree {} makes no sense", spec.wrap_bound,
          spec.doublings, spec.exp_degree);
  const int needed = static_cast<int>(spec.stc_radices.size()) + p.max_level() - exponential_level(p, spec);
  require(p.max_level() > needed, ErrorKind::kInvalidArgument,
          "this bootstrap takes {} levels besides its series and linear layers, the parameters have {}", needed,
          p.max_level());
}

double exponential_error(int wrap_bound, int doublings, int degree) {
  const double bound = exponential_bound(wrap_bound, doublings);
  double sum = 0;
  for (int k = degree + 1; k <= degree + 40; ++k) sum += 2 * std::abs(std::cyl_bessel_j(static_cast<double>(k), bound));
  return sum;
}

int exponential_degree(int wrap_bound, int doublings, double target) {
  int degree = 1;
  while (degree < 255 && exponential_error(wrap_bound, doublings, degree) * std::exp2(doublings) > target) ++degree;
  return degree;
}

Bootstrapper::Bootstrapper(ParametersPtr parameters, BootstrapSpec spec, RowStore* store)
    : parameters_(std::move(parameters)), spec_(std::move(spec)) {
  const Parameters& p = *parameters_;
  check(p, spec_);
  exponential_ = exponential_series(exponential_bound(spec_.wrap_bound, spec_.doublings), spec_.exp_degree);
  const Encoder encoder(parameters_);
  const std::vector<ButterflyFactor> down = stc_factors(p, spec_), up = cts_factors(p, spec_);
  for (std::size_t i = 0; i < down.size(); ++i) {
    const int level = stc_level(spec_, i);
    stc_.emplace_back(encoder, p, down[i], plan_of(p, down[i]), level, p.level_modulus(level), kLinearMapMemory, store,
                      factor_hoisting(level));
  }
  // A raised and projected ciphertext has the scale q0 K slots / period; t / K is wanted at the size of the prime that
  // its square is divided by. The last factor, whose diagonals are the shortest and so round least, makes the
  // difference.
  const double excess = spec_.wrap_bound * static_cast<double>(p.slots() / period()) * p.level_modulus(0) /
                        p.level_modulus(p.max_level() - static_cast<int>(up.size()));
  for (std::size_t i = 0; i < up.size(); ++i) {
    const int level = cts_level(p, i);
    const double divisor = i + 1 == up.size() ? excess : 1;
    cts_.emplace_back(encoder, p, up[i], plan_of(p, up[i]), level, p.level_modulus(level) / divisor, kLinearMapMemory,
                      store);
  }
}

std::size_t Bootstrapper::period() const { return std::size_t{1} << log_period(spec_); }

std::size_t Bootstrapper::bytes() const {
  std::size_t sum = 0;
  for (const auto* maps : {&stc_, &cts_}) {
    for (const PreparedLinearMap& map : *maps) sum += map.bytes();
  }
  return sum;
}

void Bootstrapper::apply(const Evaluator& evaluator, std::span<const PreparedLinearMap> maps,
                         std::span<Ciphertext> ciphertexts) const {
  for (const PreparedLinearMap& map : maps) {
    for (Ciphertext& c : ciphertexts) {
      c = std::move(map.apply(evaluator, std::span(&c, 1))[0]);
      evaluator.rescale_inplace(c);
    }
  }
}

Ciphertext Bootstrapper::pack(const Evaluator& evaluator, std::span<const Ciphertext> in) const {
  require(in.size() == 1 || in.size() == 2, ErrorKind::kInvalidArgument,
          "a bootstrap takes one or two ciphertexts, got {}", in.size());
  for (const Ciphertext& c : in) {
    require(c.level == input_level() && c.parts.size() == 2, ErrorKind::kInvalidArgument,
            "a bootstrap takes ciphertexts of 2 parts at level {}, got {} parts at level {}", input_level(),
            c.parts.size(), c.level);
  }
  if (in.size() == 1) return in[0].clone();
  Ciphertext out = in[1].clone();
  evaluator.mul_by_i_inplace(out);
  evaluator.add_inplace(out, in[0]);
  return out;
}

Ciphertext Bootstrapper::slots_to_coefficients(const Evaluator& evaluator, Ciphertext c) const {
  apply(evaluator, stc_, std::span(&c, 1));
  return c;
}

Ciphertext Bootstrapper::raise(const Evaluator& evaluator, const Ciphertext& c) const {
  const Parameters& p = *parameters_;
  require(c.level == 0 && c.parts.size() == 2, ErrorKind::kInvalidArgument,
          "ModRaise takes a ciphertext of 2 parts at level 0, got {} parts at level {}", c.parts.size(), c.level);
  const auto [to_sparse, from_sparse] = evaluator.keys().encapsulation();
  const ring::Basis all = p.q_basis(p.max_level());

  // Under the sparse secret, modulo q0.
  Ciphertext low = c.clone();
  const SwitchLayout bottom(p, 0, 0);
  DigitRows low_digits(bottom, c.parts[1]);
  switch_key(bottom, low_digits, to_sparse, [&](std::size_t j, std::uint32_t* ks0, std::uint32_t* ks1) {
    ring::kernels().add(low.parts[0].limb(j), c.parts[0].limb(j), ks0, p.n(), bottom.modulus(j));
    ring::copy_words(low.parts[1].limb(j), ks1, p.n());
  });

  // The same integers modulo every prime; what they exceed q0 by shows as multiples of q0.
  const ring::BaseConverter lift(p.ring(), {0}, ring::Basis(all.begin() + 1, all.end()));
  std::vector<ring::Poly> raised;
  for (ring::Poly& part : low.parts) {
    ring::to_coefficient(p.ring(), part);
    ring::Poly out(p.n(), all, ring::Domain::kCoefficient);
    ring::copy_words(out.limb(0), part.limb(0), p.n());
    std::vector<std::uint32_t*> rows;
    for (std::size_t j = 1; j < all.size(); ++j) rows.push_back(out.limb(j));
    const std::uint32_t* source = part.limb(0);
    lift.convert(rows.data(), &source, p.n());
    ring::to_ntt(p.ring(), out);
    raised.push_back(std::move(out));
  }

  // Back under the main secret.
  const SwitchLayout top(p, p.max_level(), from_sparse.set);
  DigitRows digits(top, raised[1]);
  Ciphertext out{.parts = {}, .level = p.max_level(), .scale = c.scale, .parameters_id = p.id()};
  out.parts.push_back(std::move(raised[0]));
  out.parts.emplace_back(p.n(), all, ring::Domain::kNtt);
  switch_key(top, digits, from_sparse, [&](std::size_t j, std::uint32_t* ks0, std::uint32_t* ks1) {
    ring::kernels().add(out.parts[0].limb(j), out.parts[0].limb(j), ks0, p.n(), top.modulus(j));
    ring::copy_words(out.parts[1].limb(j), ks1, p.n());
  });
  return out;
}

// Rotations by multiples of the period fix that subring; their sum is slots / period times the projection.
void Bootstrapper::project(const Evaluator& evaluator, Ciphertext& c) const {
  for (std::size_t step = period(); step < parameters_->slots(); step *= 2) {
    evaluator.add_inplace(c, evaluator.rotate(c, static_cast<int>(step)));
    c.scale *= 2;
  }
}

void Bootstrapper::embed_raised(const Evaluator& evaluator, std::span<Ciphertext> raised) const {
  for (Ciphertext& c : raised) {
    c.scale = parameters_->level_modulus(0) * spec_.wrap_bound;
    project(evaluator, c);
  }
  apply(evaluator, std::span(cts_).first(cts_.size() - 1), raised);
}

std::vector<Ciphertext> Bootstrapper::split(const Evaluator& evaluator, const Ciphertext& c, std::size_t count) const {
  // Real and imaginary part are taken before the last rescaling, which then divides what the key switch adds.
  const Ciphertext half = std::move(cts_.back().apply(evaluator, std::span(&c, 1))[0]);
  Ciphertext conjugate = evaluator.conjugate(half);
  std::vector<Ciphertext> out;
  if (count == 2) {
    out.push_back(conjugate.clone());
    evaluator.sub_inplace(out[0], half);
    evaluator.mul_by_i_inplace(out[0]);
  }
  evaluator.add_inplace(conjugate, half);
  out.insert(out.begin(), std::move(conjugate));
  for (Ciphertext& part : out) evaluator.rescale_inplace(part);
  return out;
}

std::vector<Ciphertext> Bootstrapper::coefficients_to_slots(const Evaluator& evaluator, Ciphertext c,
                                                            std::size_t count) const {
  embed_raised(evaluator, std::span(&c, 1));
  return split(evaluator, c, count);
}

Ciphertext Bootstrapper::exponential(const Evaluator& evaluator, const Ciphertext& t) const {
  // Scales chosen backward so that the last squaring comes out at the size of the prime below it.
  const int level = exponential_level();
  double scale = parameters_->level_modulus(level);
  for (int i = 1; i <= spec_.doublings; ++i) scale = std::sqrt(scale * parameters_->level_modulus(level + i));
  Ciphertext z = evaluate_polynomial(evaluator, t, exponential_, PolynomialBasis::kChebyshev, scale);
  for (int i = 0; i < spec_.doublings; ++i) {
    z = evaluator.square(z);
    evaluator.relinearize_rescale_inplace(z);
  }
  return z;
}

Ciphertext Bootstrapper::series(const Evaluator& evaluator, const Ciphertext& z, std::span<const Complex> coefficients,
                                double output_scale) const {
  return series(evaluator, z, everywhere(coefficients), output_scale);
}

Ciphertext Bootstrapper::series(const Evaluator& evaluator, const Ciphertext& z, const SlotVectors& coefficients,
                                double output_scale) const {
  SlotVectors half = coefficients;
  for (auto& slots : half) {
    for (Complex& c : slots) c /= 2;
  }
  Ciphertext out = evaluate_polynomial(evaluator, z, half, PolynomialBasis::kMonomial, output_scale);
  evaluator.add_inplace(out, evaluator.conjugate(out));
  return out;
}

std::vector<Ciphertext> Bootstrapper::wrapped_slots(const Evaluator& evaluator, std::span<const Ciphertext> in) const {
  std::vector<Ciphertext> pairs;
  for (std::size_t i = 0; i < in.size(); i += 2) {
    pairs.push_back(pack(evaluator, in.subspan(i, std::min<std::size_t>(2, in.size() - i))));
  }
  apply(evaluator, stc_, pairs);
  for (Ciphertext& c : pairs) c = raise(evaluator, c);
  embed_raised(evaluator, pairs);
  std::vector<Ciphertext> out;
  for (std::size_t k = 0; k < pairs.size(); ++k) {
    for (Ciphertext& c : split(evaluator, pairs[k], std::min<std::size_t>(2, in.size() - 2 * k))) {
      out.push_back(std::move(c));
    }
    pairs[k] = {};
  }
  return out;
}

std::vector<Ciphertext> Bootstrapper::exponentials(const Evaluator& evaluator, std::span<const Ciphertext> in) const {
  std::vector<Ciphertext> out = wrapped_slots(evaluator, in);
  parallel_for(0, out.size(), [&](std::size_t i) { out[i] = exponential(evaluator, out[i]); });
  return out;
}

std::vector<Ciphertext> Bootstrapper::evaluate(const Evaluator& evaluator, std::span<const Ciphertext> in,
                                               std::span<const Complex> coefficients, double output_scale) const {
  const std::vector<SlotVectors> same(in.size(), everywhere(coefficients));
  return evaluate(evaluator, in, same, output_scale);
}

std::vector<Ciphertext> Bootstrapper::evaluate(const Evaluator& evaluator, std::span<const Ciphertext> in,
                                               std::span<const SlotVectors> coefficients, double output_scale) const {
  require(!in.empty() && coefficients.size() == in.size(), ErrorKind::kInvalidArgument,
          "a bootstrap of {} ciphertexts needs as many series, got {}", in.size(), coefficients.size());
  for (const SlotVectors& list : coefficients) {
    require(!list.empty(), ErrorKind::kInvalidArgument, "a bootstrap needs a series of at least one coefficient");
    const int depth = polynomial_depth(static_cast<int>(list.size()) - 1);
    require(depth <= exponential_level(), ErrorKind::kInvalidArgument,
            "a series of {} coefficients takes {} levels, the exponential comes out at level {}", list.size(), depth,
            exponential_level());
  }
  std::vector<Ciphertext> out = wrapped_slots(evaluator, in);
  parallel_for(0, out.size(), [&](std::size_t i) {
    out[i] = series(evaluator, exponential(evaluator, out[i]), coefficients[i], output_scale);
  });
  return out;
}

KeyRequest bootstrap_keys(const Parameters& p, const BootstrapSpec& spec, std::size_t coefficients) {
  check(p, spec);
  std::set<int> relin;
  std::set<std::pair<int, std::uint32_t>> galois;
  const auto add_maps = [&](const std::vector<ButterflyFactor>& maps, auto level_of) {
    for (std::size_t i = 0; i < maps.size(); ++i) {
      const int set = p.key_set_for(level_of(i));
      for (const int step : rotations(plan_of(p, maps[i]), static_cast<int>(p.slots())))
        galois.emplace(set, galois_element(step, p.log_n()));
    }
  };
  add_maps(stc_factors(p, spec), [&](std::size_t i) { return stc_level(spec, i); });
  add_maps(cts_factors(p, spec), [&](std::size_t i) { return cts_level(p, i); });
  for (std::size_t step = std::size_t{1} << log_period(spec); step < p.slots(); step *= 2) {
    galois.emplace(p.key_set_for(p.max_level()), galois_element(static_cast<int>(step), p.log_n()));
  }
  const int slots_level = p.max_level() - static_cast<int>(spec.cts_radices.size()) + 1;  // the conjugation's
  const int output_level = exponential_level(p, spec) - polynomial_depth(static_cast<int>(coefficients) - 1);
  for (const int level : {slots_level, output_level}) {
    galois.emplace(p.key_set_for(level), galois_conjugation(p.log_n()));
  }
  for (int level = output_level + 1; level < slots_level; ++level) relin.insert(p.key_set_for(level));
  return {.relinearisation_sets = {relin.begin(), relin.end()},
          .galois = {galois.begin(), galois.end()},
          .encapsulation = true};
}

}  // namespace hearth::ckks
