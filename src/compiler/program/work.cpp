#include "compiler/program/work.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "ckks/bootstrap/dft.h"
#include "ckks/polynomial.h"
#include "compiler/program/encoding.h"

namespace hearth::compiler {
namespace {

// Passes over one limb, in NTTs of it.
constexpr double kConvert = 0.1;   // one source limb to one target limb
constexpr double kMultiply = 0.1;  // two factors added to a sum
constexpr double kEmbed = 4;       // the complex transform of an encoding

int count_moved(const std::vector<int>& steps) {
  return static_cast<int>(std::ranges::count_if(steps, [](int s) { return s != 0; }));
}

int log_period(const std::vector<int>& radices) { return std::accumulate(radices.begin(), radices.end(), 0); }

class Counter {
 public:
  Counter(const Program& program, const ckks::Parameters& parameters, bool encoded)
      : program_(program), p_(parameters), encoded_(encoded) {}

  Work run(const Instruction& ins) {
    std::visit([&](const auto& op) { count(op, ins); }, ins.op);
    return std::move(work_);
  }

 private:
  void add(int level, Primitive primitive, double times) {
    work_[std::clamp(level, 0, p_.max_level())][static_cast<std::size_t>(primitive)] += times;
  }
  void add_product(int level, double times) { add(level, Primitive::kProduct, times); }

  void count(const LinearOp& op, const Instruction& ins) {
    const ckks::MapShape shape = shape_of(op.map);
    count_map(shape, op.plan, ins.work_level);
    double numbers = 0;
    for (const ckks::DiagonalPlace& place : shape.diagonals) numbers += static_cast<double>(place.period);
    if (!encoded_) count_encoding(op, ins, shape.inputs, numbers / static_cast<double>(p_.slots()));
    const double outputs = shape.outputs;
    add(ins.work_level, Primitive::kRotate, outputs * static_cast<double>(op.folds.size()));
    add(ins.work_level, Primitive::kRescale, outputs);
  }

  /// `vectors`: as many of full period. Where rotated inputs are divided by P, diagonals have the limbs of Q only.
  void count_encoding(const LinearOp& op, const Instruction& ins, int inputs, double vectors) {
    if (!encoded_at_once(ins, p_) && streamed_hoisting(ins, p_) == ckks::Hoisting::kSingle) {
      LevelShape shape = level_shape(p_, ins.work_level);
      const double whole = nominal_cost(Primitive::kEncode, shape);
      shape.special_primes = 0;
      vectors *= nominal_cost(Primitive::kEncode, shape) / whole;
      add(ins.work_level, Primitive::kModDown, static_cast<double>(inputs) * count_moved(op.plan.babies));
    }
    add(ins.work_level, Primitive::kEncode, vectors);
  }

  /// Without the rescaling.
  void count_map(const ckks::MapShape& shape, const ckks::BsgsPlan& plan, int level,
                 ckks::Hoisting hoisting = ckks::Hoisting::kDouble) {
    const bool extended = hoisting == ckks::Hoisting::kDouble;
    const ckks::StepCount steps = ckks::count_steps(shape, plan, static_cast<int>(p_.slots()));
    if (steps.babies > 0) {
      add(level, Primitive::kHoist, shape.inputs + static_cast<double>(steps.copies));
      add(level, Primitive::kHoisted, static_cast<double>(steps.babies));
      add(level, Primitive::kModDown, extended ? shape.outputs : static_cast<double>(steps.babies));
    }
    add(level, Primitive::kRotate, static_cast<double>(steps.giants + steps.copies));
    const LevelShape limbs = level_shape(p_, level);
    const double share = extended ? 1 : limbs.q_primes / static_cast<double>(limbs.q_primes + limbs.special_primes);
    add(level, Primitive::kProductTerm, share * static_cast<double>(shape.diagonals.size()));
  }

  void count(const QuadraticOp&, const Instruction& ins) { add_product(ins.work_level, ins.ciphertexts); }
  void count(const MultiplyOp&, const Instruction& ins) { add_product(ins.work_level, ins.ciphertexts); }

  void count(const PolynomialOp& op, const Instruction& ins) {
    count_polynomial(static_cast<int>(op.coefficients.size()) - 1, ins.work_level, ins.ciphertexts);
  }

  /// Paterson-Stockmeyer as ckks/polynomial.cpp does it: the powers that leaves and splits need, then the splits.
  void count_polynomial(int degree, int level, double times) {
    const int leaf = 1 << ((std::bit_width(static_cast<unsigned>(degree)) + 1) / 2);
    const auto made_at = [&](int power) { return level - ckks::polynomial_depth(power - 1) + 1; };
    for (int i = 2; i <= std::min(leaf - 1, degree); ++i) add_product(made_at(i), times);
    for (int i = leaf; i <= degree; i *= 2) add_product(made_at(i), times);
    count_rescaled(degree, leaf, level - ckks::polynomial_depth(degree), times);
  }

  /// Of a polynomial that comes out at `level`; relinearising and rescaling a sum is nearly all of a product.
  void count_rescaled(int degree, int leaf, int level, double times) {
    count_unscaled(degree, leaf, level + 1, times);
    add(level + 1, degree >= leaf ? Primitive::kProduct : Primitive::kRescale, times);
  }

  void count_unscaled(int degree, int leaf, int level, double times) {
    if (degree < leaf) return add(level, Primitive::kProductTerm, times * (degree + 1));
    const int split = static_cast<int>(std::bit_floor(static_cast<unsigned>(degree)));
    count_rescaled(degree - split, leaf, level, times);
    add(level, Primitive::kProductTerm, 2 * times);
    count_unscaled(split - 1, leaf, level, times);
  }

  void count(const ActivationOp& op, const Instruction& ins) {
    const ckks::BootstrapSpec& spec = *program_.bootstrap;
    const double pairs = (ins.ciphertexts + 1) / 2;  // NOLINT: whole pairs
    const double all = ins.ciphertexts;
    const int top = p_.max_level();
    for (const EmbeddingFactor& factor : embedding_factors(spec, p_)) {
      const ckks::BsgsPlan plan = ckks::plan_factor(factor.shape, static_cast<int>(p_.slots()));
      for (int pair = 0; pair < static_cast<int>(pairs); ++pair) {
        count_map(factor.shape, plan, factor.level, ckks::factor_hoisting(factor.level));
      }
      add(factor.level, Primitive::kRescale, pairs);
    }
    add(top, Primitive::kRaise, pairs);
    const int projections = p_.log_n() - 1 - log_period(spec.cts_radices);
    add(top, Primitive::kRotate, pairs * (1 + projections));  // from the sparse secret, and onto the period
    const int slots = top - static_cast<int>(spec.cts_radices.size());
    add(slots + 1, Primitive::kRotate, pairs);   // the conjugation
    add(slots + 1, Primitive::kRescale, pairs);  // of the second part
    count_polynomial(spec.exp_degree, slots, all);
    const int exponential = ckks::exponential_level(p_, spec);
    for (int i = 1; i <= spec.doublings; ++i) add_product(exponential + i, all);
    const int degree = static_cast<int>(op.coefficients.size()) - 1;
    count_polynomial(degree, exponential, all);
    add(exponential - ckks::polynomial_depth(degree), Primitive::kRotate, all);
  }

  void count(const InputOp&, const Instruction&) {}
  void count(const AddOp&, const Instruction&) {}
  void count(const AddPlainOp&, const Instruction&) {}
  void count(const JoinOp&, const Instruction&) {}

  const Program& program_;
  const ckks::Parameters& p_;
  bool encoded_;  // ahead
  Work work_;
};

double moved_limbs(Primitive primitive, const LevelShape& s) {
  const double q = s.q_primes, qp = q + s.special_primes;
  const double raised = std::ceil(q / std::min<double>(s.digit_primes, q)) * qp, key = 2 * raised;
  switch (primitive) {
    case Primitive::kHoist:
      return q + raised;
    case Primitive::kHoisted:
      return q + raised + key + 2 * qp;
    case Primitive::kRotate:
      return 2 * q + key + 2 * q;
    case Primitive::kModDown:
      return 2 * qp + 2 * q;
    case Primitive::kProductTerm:
      return 2 * qp;
    case Primitive::kProduct:
      return 4 * q + key + 2 * q;
    case Primitive::kRescale:
      return 2 * q + 2 * q;
    case Primitive::kEncode:
      return 1 + 2 * qp;  // half as many numbers as coefficients, of twice the bytes
    case Primitive::kRaise:
      return 2 + 2 * q;
  }
  return 0;
}

}  // namespace

std::vector<EmbeddingFactor> embedding_factors(const ckks::BootstrapSpec& spec, const ckks::Parameters& parameters) {
  const int slots = static_cast<int>(parameters.slots()), stages = log_period(spec.stc_radices);
  std::vector<EmbeddingFactor> out;
  int last = 0, level = static_cast<int>(spec.stc_radices.size());
  for (const int radix : spec.stc_radices) {
    last += radix;
    out.push_back({ckks::factor_shape(radix, last, stages, slots), level--});
  }
  level = parameters.max_level();
  for (const int radix : spec.cts_radices) {
    out.push_back({ckks::factor_shape(radix, last, stages, slots), level--});
    last -= radix;
  }
  return out;
}

LevelShape level_shape(const ckks::Parameters& p, int level) {
  const ckks::KeySetSpec& set = p.spec().key_sets[static_cast<std::size_t>(p.key_set_for(level))];
  return {.log_n = p.log_n(),
          .q_primes = p.q_count(level),
          .special_primes = set.special_primes,
          .digit_primes = set.digit_primes};
}

double nominal_cost(Primitive primitive, const LevelShape& s) {
  const double q = s.q_primes, k = s.special_primes;
  const double digit = std::min<double>(s.digit_primes, q);
  const double digits = std::ceil(q / digit);
  const double hoist = q + digits * (q + k - digit) * (1 + kConvert * digit);
  const double hoisted = (2 * digits + 1) * (q + k) * kMultiply;
  const double mod_down = 2 * (k + q * (1 + kConvert * k));
  switch (primitive) {
    case Primitive::kHoist:
      return hoist;
    case Primitive::kHoisted:
      return hoisted;
    case Primitive::kRotate:
      return hoist + hoisted + mod_down;
    case Primitive::kModDown:
      return mod_down;
    case Primitive::kProductTerm:
      return 2 * (q + k) * kMultiply;
    case Primitive::kProduct:
      return hoist + hoisted + mod_down + 2 * q * kMultiply;
    case Primitive::kRescale:
      return 2 * q;
    case Primitive::kEncode:
      return kEmbed + (q + k) * (1 + kMultiply);
    case Primitive::kRaise:
      return 2 * (1 + q * (1 + kConvert));
  }
  return 0;
}

double moved_bytes(Primitive primitive, const LevelShape& shape) {
  return moved_limbs(primitive, shape) * sizeof(std::uint32_t) * std::exp2(shape.log_n);
}

std::vector<Work> count_work(const Program& program, const ckks::Parameters& parameters) {
  const std::vector<bool> ahead = encoded_ahead(program, parameters);
  std::vector<Work> out;
  for (std::size_t i = 0; i < ahead.size(); ++i) {
    out.push_back(Counter(program, parameters, ahead[i]).run(program.instructions[i]));
  }
  return out;
}

double nominal_cost(const Work& work, const ckks::Parameters& parameters) {
  double sum = 0.1;
  for (const auto& [level, counts] : work) {
    const LevelShape shape = level_shape(parameters, level);
    for (std::size_t i = 0; i < kPrimitives; ++i) sum += counts[i] * nominal_cost(static_cast<Primitive>(i), shape);
  }
  return sum;
}

double moved_bytes(const Work& work, const ckks::Parameters& parameters) {
  double sum = 0;
  for (const auto& [level, counts] : work) {
    const LevelShape shape = level_shape(parameters, level);
    for (std::size_t i = 0; i < kPrimitives; ++i) sum += counts[i] * moved_bytes(static_cast<Primitive>(i), shape);
  }
  return sum;
}

}  // namespace hearth::compiler
