#include "compiler/program/work.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ckks/bootstrap/dft.h"
#include "tests/compiler/tiny_program.h"

namespace hearth::compiler {
namespace {

double count(const Work& work, int level, Primitive primitive) {
  const auto found = work.find(level);
  return found == work.end() ? 0 : found->second[static_cast<std::size_t>(primitive)];
}

/// Of instruction `i`.
Work count_work(std::size_t i, const Program& program, const ckks::Parameters& parameters) {
  return count_work(program, parameters).at(i);
}
/// Of an instruction in a program of its own.
Work count_work(const Instruction& instruction, Program program, const ckks::Parameters& parameters) {
  program.instructions = {instruction};
  return count_work(0, program, parameters);
}

int moved(const std::vector<int>& steps) {
  return static_cast<int>(std::ranges::count_if(steps, [](int s) { return s != 0; }));
}

/// A chain long enough for a bootstrap on a ring of degree 2^10.
ckks::ParametersPtr bootstrap_parameters() {
  ckks::ParameterSpec spec = testing::tiny_spec(10);
  spec.levels.assign(24, {30});
  spec.special_bits = {30, 30, 30};
  spec.key_sets = {{.max_level = 0, .digit_primes = 1, .special_primes = 1},
                   {.max_level = 23, .digit_primes = 3, .special_primes = 3}};
  spec.secret = ckks::SecretKind::kSparseTernary;
  spec.hamming_weight = 128;
  spec.encapsulated_weight = 32;
  return ckks::Parameters::create(spec);
}

TEST(Work, OfLinearLayersAndProductsIsCounted) {
  const Program program = testing::tiny_program();
  const auto parameters = ckks::Parameters::create(program.parameters);
  const auto& linear = std::get<LinearOp>(program.instructions[1].op);
  const Work map = count_work(1, program, *parameters);
  EXPECT_EQ(count(map, 2, Primitive::kProductTerm), 2);
  EXPECT_EQ(count(map, 2, Primitive::kHoisted), moved(linear.plan.babies));
  EXPECT_EQ(count(map, 2, Primitive::kRotate), moved(linear.plan.giants));
  EXPECT_EQ(count(map, 2, Primitive::kRescale), 1);
  EXPECT_EQ(count(map, 2, Primitive::kEncode), 0) << "weights are encoded ahead";
  const Work square = count_work(2, program, *parameters);
  EXPECT_EQ(count(square, 1, Primitive::kProduct), 1);
  EXPECT_TRUE(count_work(0, program, *parameters).empty());
  EXPECT_GT(nominal_cost(map, *parameters), nominal_cost({}, *parameters));
}

TEST(Work, OfABootstrapHasTheMapsThatTheBootstrapperHas) {
  const auto p = bootstrap_parameters();
  Program program;
  program.bootstrap = ckks::BootstrapSpec{
      .stc_radices = {3, 3, 3}, .cts_radices = {4, 3, 2}, .wrap_bound = 13, .doublings = 4, .exp_degree = 15};
  const Instruction one{.name = "relu",
                        .op = ActivationOp{.x = 0, .coefficients = std::vector<std::complex<double>>(64)},
                        .ciphertexts = 1,
                        .work_level = 3,
                        .level = 0,
                        .scale = 1};
  const Work work = count_work(one, program, *p);
  const auto expect_map = [&](const ckks::MapShape& shape, int level, const char* what) {
    const ckks::BsgsPlan plan = ckks::plan_factor(shape, static_cast<int>(p->slots()));
    const double special = level_shape(*p, level).special_primes, q = level_shape(*p, level).q_primes;
    const double share = level == 1 ? q / (q + special) : 1;  // of the limbs, when hoisted singly
    EXPECT_GE(count(work, level, Primitive::kProductTerm), share * static_cast<double>(shape.diagonals.size()))
        << what << level;
    const ckks::StepCount steps = ckks::count_steps(shape, plan, static_cast<int>(p->slots()));
    EXPECT_EQ(count(work, level, Primitive::kHoisted), steps.babies) << what << level;
    EXPECT_EQ(count(work, level, Primitive::kHoist), 1 + steps.copies) << what << level;
    EXPECT_GE(count(work, level, Primitive::kRotate), steps.giants + steps.copies) << what << level;
  };
  for (std::size_t i = 0; i < 3; ++i) {
    const int slots = static_cast<int>(p->slots());
    expect_map(ckks::slots_to_coefficients(9, program.bootstrap->stc_radices, slots)[i].shape(),
               3 - static_cast<int>(i), "StC ");
    expect_map(ckks::coefficients_to_slots(9, program.bootstrap->cts_radices, slots)[i].shape(),
               23 - static_cast<int>(i), "CtS ");
  }
  // Two ciphertexts share the embedding but not the exponential.
  Instruction two = one;
  two.ciphertexts = 2;
  const Work pair = count_work(two, program, *p);
  EXPECT_EQ(count(pair, 23, Primitive::kHoisted), count(work, 23, Primitive::kHoisted));
  const int exponential = ckks::exponential_level(*p, *program.bootstrap);
  EXPECT_EQ(count(pair, exponential, Primitive::kProduct), 2 * count(work, exponential, Primitive::kProduct));
  // Vectors of a short period take smaller factors and a projection.
  program.bootstrap->stc_radices = {2, 2, 2};
  program.bootstrap->cts_radices = {2, 2, 2};
  const Work narrow = count_work(one, program, *p);
  EXPECT_LT(count(narrow, 23, Primitive::kProductTerm), count(work, 23, Primitive::kProductTerm));
  EXPECT_GE(count(narrow, 23, Primitive::kRotate), 1 + 3);
  program.bootstrap->stc_radices = {3, 3, 3};
  program.bootstrap->cts_radices = {4, 3, 2};
  two.ciphertexts = 3;
  EXPECT_EQ(count(count_work(two, program, *p), 23, Primitive::kHoisted), 2 * count(work, 23, Primitive::kHoisted));
}

TEST(Work, OfPolynomialsCountsTheProductsOfPatersonAndStockmeyer) {
  Program program;
  const auto p = bootstrap_parameters();
  const auto products = [&](int degree) {
    const Instruction ins{.name = "p",
                          .op = PolynomialOp{.x = 0, .coefficients = std::vector<double>(degree + 1, 1.0)},
                          .ciphertexts = 1,
                          .work_level = 20,
                          .level = 0,
                          .scale = 1};
    double sum = 0;
    for (const auto& [level, counts] : count_work(ins, program, *p)) {
      sum += counts[static_cast<std::size_t>(Primitive::kProduct)];
    }
    return sum;
  };
  // Powers, and sums of products that are relinearised together.
  EXPECT_EQ(products(3), 1 + 1);   // x^2
  EXPECT_EQ(products(7), 3 + 1);   // x^2, x^3, x^4
  EXPECT_EQ(products(63), 9 + 4);  // x^2 .. x^7, x^8, x^16, x^32
}

TEST(Work, MovedBytesAreThoseOfKeysAndCiphertexts) {
  // 6 primes in 2 digits of 3, and 4 special ones: a key has 2 x 2 polynomials of 10 limbs.
  const LevelShape shape{.log_n = 10, .q_primes = 6, .special_primes = 4, .digit_primes = 3};
  const double limb = 4 * 1024;
  EXPECT_EQ(moved_bytes(Primitive::kHoist, shape), (6 + 20) * limb);
  EXPECT_EQ(moved_bytes(Primitive::kHoisted, shape), (6 + 20 + 40 + 20) * limb);
  EXPECT_EQ(moved_bytes(Primitive::kRotate, shape), (12 + 40 + 12) * limb);
  EXPECT_EQ(moved_bytes(Primitive::kModDown, shape), (20 + 12) * limb);
  EXPECT_EQ(moved_bytes(Primitive::kProductTerm, shape), 20 * limb);
  EXPECT_EQ(moved_bytes(Primitive::kProduct, shape), (24 + 40 + 12) * limb);
  EXPECT_EQ(moved_bytes(Primitive::kRescale, shape), 24 * limb);
  EXPECT_EQ(moved_bytes(Primitive::kEncode, shape), (1 + 20) * limb);
  EXPECT_EQ(moved_bytes(Primitive::kRaise, shape), (2 + 12) * limb);
}

TEST(Work, NominalCostsGrowWithTheModulus) {
  for (std::size_t i = 0; i < kPrimitives; ++i) {
    double before = 0;
    for (const int q : {2, 4, 8, 16, 28}) {
      const double cost = nominal_cost(static_cast<Primitive>(i), {15, q, 6, 6});
      EXPECT_GT(cost, before) << kPrimitiveNames[i] << " " << q;
      before = cost;
    }
  }
}

}  // namespace
}  // namespace hearth::compiler
