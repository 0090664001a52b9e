#include "compiler/machine_costs.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "base/parallel.h"
#include "base/system.h"

namespace hearth::compiler {
namespace {

ring::Poly random_poly(const ckks::Parameters& parameters, const ring::Basis& basis) {
  return ring::sample_uniform(parameters.ring(), basis, ring::Domain::kNtt, ring::Seed{}, 0);
}

ckks::SwitchingKey random_key(const ckks::Parameters& parameters, int set) {
  const int top = parameters.spec().key_sets[static_cast<std::size_t>(set)].max_level;
  ckks::SwitchingKey key;
  key.set = set;
  for (std::size_t d = 0; d < parameters.digits(set, top).size(); ++d) {
    key.b.push_back(random_poly(parameters, parameters.qp_basis(top, set)));
    key.a.push_back(random_poly(parameters, parameters.qp_basis(top, set)));
  }
  return key;
}

ckks::Ciphertext random_ciphertext(const ckks::Parameters& parameters, int level) {
  ckks::Ciphertext c;
  for (int part = 0; part < 2; ++part) c.parts.push_back(random_poly(parameters, parameters.q_basis(level)));
  c.level = level;
  c.scale = 0x1p30;
  c.parameters_id = parameters.id();
  return c;
}

/// Everything that measurements at one level share.
class Bench {
 public:
  Bench(const ckks::ParametersPtr& parameters, int level, double patience)
      : p_(*parameters),
        level_(level),
        patience_(patience),
        set_(p_.key_set_for(level)),
        keys_(random_keys(p_, set_)),
        evaluator_(parameters, &keys_),
        c_(random_ciphertext(p_, level)),
        extended_(random_poly(p_, p_.qp_basis(level, set_))) {}

  MeasuredLevel run() {
    MeasuredLevel out{level_shape(p_, level_), {}};
    for (std::size_t i = 0; i < kPrimitives; ++i) out.seconds[i] = seconds(static_cast<Primitive>(i));
    return out;
  }

 private:
  /// In seconds.
  template <typename F>
  double time_of(const F& f) const {
    constexpr int kRuns = 5;
    std::vector<double> times;
    double sum = 0;
    for (int i = 0; i < kRuns || sum < patience_; ++i) {
      const auto start = std::chrono::steady_clock::now();
      f();
      times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      sum += std::max(times.back(), 1e-7);
    }
    // Not the best: in a run, what an operation reads is rarely where the operation before left it.
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  }

  static ckks::EvaluationKeys random_keys(const ckks::Parameters& p, int set) {
    ckks::EvaluationKeys keys;
    keys.parameters_id = p.id();
    keys.galois[{set, ckks::galois_element(1, p.log_n())}] = random_key(p, set);
    keys.relinearisation[set] = random_key(p, set);
    return keys;
  }

  double seconds(Primitive primitive) {
    switch (primitive) {
      case Primitive::kHoist:
        return time_of([&] { return evaluator_.hoist(c_.parts[1], level_); });
      case Primitive::kHoisted:
        return hoisted();
      case Primitive::kRotate:
        return time_of([&] { return evaluator_.rotate(c_, 1); });
      case Primitive::kModDown:
        return 2 * time_of([&] { return evaluator_.mod_down(extended_, level_, set_); });
      case Primitive::kProductTerm:
        return product_term();
      case Primitive::kProduct:
        return product();
      case Primitive::kRescale:
        return rescale();
      case Primitive::kEncode:
        return encode();
      case Primitive::kRaise:
        return raise();
    }
    fail(ErrorKind::kInternal, "there is no such primitive");
  }

  double hoisted() {
    const ckks::Hoisted hoisted = evaluator_.hoist(c_.parts[1], level_);
    const std::uint32_t g = ckks::galois_element(1, p_.log_n());
    return time_of([&] { return evaluator_.rotate_extended(c_, hoisted, g); });
  }

  /// A linear map adds many products while they are in registers, so one costs about half of a product added to memory;
  /// there are two parts.
  double product_term() {
    constexpr int kTerms = 8;
    ring::Poly sum = extended_.clone();
    return time_of([&] {
             for (int i = 0; i < kTerms; ++i) ring::mul_add(p_.ring(), sum, extended_, extended_);
           }) /
           kTerms;
  }

  double product() {
    if (level_ == 0) return 0;
    return time_of([&] {
      ckks::Ciphertext s = evaluator_.square(c_);
      evaluator_.relinearize_rescale_inplace(s);
    });
  }

  double rescale() {
    if (level_ == 0) return 0;
    return time_of([&] {
      ckks::Ciphertext s = c_.clone();
      evaluator_.rescale_inplace(s);
    });
  }

  double encode() {
    std::vector<double> values(p_.slots());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<double>(i));
    const ring::Basis basis = p_.qp_basis(level_, set_);
    return time_of([&] { return evaluator_.encoder().encode(values, 0x1p30, basis); });
  }

  double raise() {
    if (p_.q_count(level_) < 2) return 0;
    const ring::Basis all = p_.q_basis(level_);
    const ring::BaseConverter lift(p_.ring(), {0}, ring::Basis(all.begin() + 1, all.end()));
    const ring::Poly from = random_poly(p_, {0});
    ring::Poly to(p_.n(), all, ring::Domain::kCoefficient);
    std::vector<std::uint32_t*> rows;
    for (std::size_t j = 1; j < all.size(); ++j) rows.push_back(to.limb(j));
    return 2 * time_of([&] {
             ring::Poly low = from.clone();
             ring::to_coefficient(p_.ring(), low);
             const std::uint32_t* source = low.limb(0);
             std::copy_n(source, p_.n(), to.limb(0));
             lift.convert(rows.data(), &source, p_.n());
             ring::Poly raised = to.clone();
             ring::to_ntt(p_.ring(), raised);
           });
  }

  const ckks::Parameters& p_;
  int level_;
  double patience_;
  int set_;
  ckks::EvaluationKeys keys_;
  ckks::Evaluator evaluator_;
  ckks::Ciphertext c_;
  ring::Poly extended_;
};

/// How different two shapes of one ring degree are; 0 only for equal ones.
double distance(const LevelShape& a, const LevelShape& b) {
  const auto apart = [](int x, int y) { return std::log(static_cast<double>(x) / y); };
  return std::hypot(apart(a.q_primes, b.q_primes), apart(a.special_primes, b.special_primes),
                    apart(a.digit_primes, b.digit_primes));
}

}  // namespace

MeasuredLevel measure_level(const ckks::ParametersPtr& parameters, int level, double patience) {
  return Bench(parameters, level, patience).run();
}

bool MachineCosts::covers(int log_n) const {
  return std::ranges::any_of(levels, [&](const MeasuredLevel& m) { return m.shape.log_n == log_n; });
}

double MachineCosts::seconds(Primitive primitive, const LevelShape& shape) const {
  require(covers(shape.log_n), ErrorKind::kInvalidArgument, "no costs were measured at ring degree 2^{}", shape.log_n);
  const auto i = static_cast<std::size_t>(primitive);
  double sum = 0, weights = 0;
  for (const MeasuredLevel& m : levels) {
    // Where a primitive is impossible it was measured as nothing.
    if (m.shape.log_n != shape.log_n || m.seconds[i] <= 0) continue;
    const double d = distance(m.shape, shape);
    if (d == 0) return m.seconds[i];
    sum += m.seconds[i] / nominal_cost(primitive, m.shape) / (d * d);
    weights += 1 / (d * d);
  }
  return weights > 0 ? sum / weights * nominal_cost(primitive, shape) : 0;
}

double seconds_of(const Work& work, const ckks::Parameters& parameters, const MachineCosts& costs) {
  double sum = 0;
  for (const auto& [level, counts] : work) {
    const LevelShape shape = level_shape(parameters, level);
    for (std::size_t i = 0; i < kPrimitives; ++i) {
      if (counts[i] > 0) sum += counts[i] * costs.seconds(static_cast<Primitive>(i), shape);
    }
  }
  return sum;
}

MachineCosts measure_machine(const ckks::ParametersPtr& parameters, const std::vector<int>& levels) {
  require(!levels.empty(), ErrorKind::kInvalidArgument, "measuring needs at least one level");
  constexpr std::size_t kMost = 4;
  MachineCosts costs{.processor = cpu_model(), .threads = threads(), .levels = {}};
  const std::size_t count = std::min(levels.size(), kMost);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = count == 1 ? 0 : i * (levels.size() - 1) / (count - 1);
    costs.levels.push_back(measure_level(parameters, levels[at]));
  }
  return costs;
}

TypicalParameters typical_parameters(int log_n) {
  // Networks without bootstraps use few levels with keys of one or two digits; bootstraps fill the modulus.
  const int top = log_n >= 15 ? 25 : log_n == 14 ? 9 : 4;
  ckks::ParameterSpec spec;
  spec.log_n = log_n;
  spec.levels.assign(static_cast<std::size_t>(top) + 1, {30});
  spec.security = ckks::Security::kNone;
  std::vector<int> levels = {1, 3};
  if (log_n == 14) levels = {1, 4, 9};
  if (log_n == 15) levels = {1, 3, 5, 12, 25};
  if (log_n >= 16) levels = {1, 3, 5, 12, 25};
  int most = 1;
  for (const int level : levels) {
    const int digit = level <= 5 ? level + 1 : (top + 1 + 2) / 3;
    spec.key_sets.push_back({level, digit, digit + 1});
    most = std::max(most, digit + 1);
  }
  if (spec.key_sets.back().max_level != top) spec.key_sets.push_back({top, most - 1, most});
  spec.special_bits.assign(static_cast<std::size_t>(most), 30);
  return {ckks::Parameters::create(spec), levels};
}

}  // namespace hearth::compiler
