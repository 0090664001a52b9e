#include "ckks/linear_map.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "base/error.h"
#include "base/parallel.h"
#include "tests/ckks/maps.h"
#include "tests/ckks/party.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using testing::apply_clear;
using testing::map_error_bound;
using testing::Noise;
using testing::Party;
using testing::random_map;
using testing::Slots;

constexpr double kScale = 0x1p25, kPlainScale = 0x1p25;

/// Applies `map` every way and compares with plain arithmetic. Keys for the plan are made in a party of `spec`.
template <typename T>
void check_map(const ParameterSpec& spec, const BasicLinearMap<T>& map, int level, const BsgsPlan& plan) {
  const Party party(spec, rotations(plan, 1 << (spec.log_n - 1)));
  std::vector<Slots> in;
  std::vector<Ciphertext> encrypted;
  for (int i = 0; i < map.inputs; ++i) {
    in.push_back(testing::random_slots(party.parameters->slots(), static_cast<unsigned>(i)));
    encrypted.push_back(party.encrypt(in.back(), level, kScale));
  }
  const std::vector<Slots> expected = apply_clear(map, in);
  const double bound = map_error_bound(Noise(party), map, plan, level, kScale, kPlainScale);
  for (const Hoisting hoisting : {Hoisting::kDouble, Hoisting::kSingle}) {
    SCOPED_TRACE(hoisting == Hoisting::kSingle ? "single hoisting" : "double hoisting");
    const PreparedLinearMap prepared(party.encoder(), *party.parameters, map, plan, level, kPlainScale,
                                     kLinearMapMemory, nullptr, hoisting);
    const std::vector<Ciphertext> fast = prepared.apply(party.evaluator, encrypted);
    const std::vector<Ciphertext> naive = prepared.apply_naive(party.evaluator, encrypted);
    ASSERT_EQ(fast.size(), expected.size());
    for (std::size_t o = 0; o < fast.size(); ++o) {
      EXPECT_EQ(fast[o].level, level);
      EXPECT_EQ(fast[o].scale, kScale * kPlainScale);
      EXPECT_LT(testing::distance(party.decrypt(fast[o]), expected[o]), bound) << "output " << o;
      EXPECT_LT(testing::distance(party.decrypt(naive[o]), expected[o]), bound) << "output " << o;
    }
  }
}

template <typename T>
void check_map(const ParameterSpec& spec, const BasicLinearMap<T>& map, int level) {
  check_map(spec, map, level, plan_bsgs(map, 1 << (spec.log_n - 1)));
}

TEST(PreparedLinearMap, ComposesGiantSteps) {
  for (const int step : {1, 3}) {
    LinearMap map;
    map.outputs = 2;
    for (const int r : {0, 1, 3, 7, 63, 64, 66, 130, 1000, 1023}) {
      auto& diagonal = map.blocks[{r % 2, 0}][r];
      for (int i = 0; i < 8; ++i) diagonal.push_back(std::cos(r + 7.0 * i));
    }
    BsgsPlan plan{.step = step, .babies = {}, .giants = {}, .offset = 0, .outer = 64};
    std::set<int> babies, giants;
    for (const DiagonalPlace& place : shape_of(map).diagonals) {
      babies.insert(plan.baby(place.rotation, 1024));
      giants.insert(plan.giant(place.rotation, 1024));
    }
    plan.babies.assign(babies.begin(), babies.end());
    plan.giants.assign(giants.begin(), giants.end());
    check_map(testing::chain_spec(11, 3), map, 1, plan);
  }
}

TEST(PreparedLinearMap, ChainsGiantSteps) {
  for (const auto& [name, map, plan] : testing::chained_cases()) {
    SCOPED_TRACE(name);
    check_map(testing::chain_spec(11, 3), map, 2, plan);
  }
}

/// As the last factor of an embedding does: all multiples of 64, whose giants wrap around too.
TEST(PreparedLinearMap, ChainsGiantStepsOfComplexMaps) {
  std::vector<int> rotations;
  for (int r = 0; r < 1024; r += 64) rotations.push_back(r);
  const ComplexLinearMap map = random_map<std::complex<double>>(1, 1, rotations, 1024, 23);
  const BsgsPlan plan = plan_chained_bsgs(shape_of(map), 1024, {.key = 1.5});
  EXPECT_TRUE(plan.chained);
  EXPECT_LE(ckks::rotations(plan, 1024).size(), 5U);
  check_map(testing::chain_spec(11, 3), map, 2, plan);
  for (int level = 0; level <= 4; ++level) check_map(testing::mixed_spec(11), map, level, plan);
}

TEST(LinearMapTest, DenseMatrixAgreesWithPlainArithmetic) {
  const LinearMap map = random_map(1, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 1024, 1);
  check_map(testing::chain_spec(11, 3), map, 2);
}

TEST(LinearMapTest, EveryPeriodOfTheDiagonals) {
  for (std::size_t period = 1; period <= 1024; period *= 2) {
    check_map(testing::chain_spec(11, 2), random_map(1, 1, {0, 1, 3, 4, 1020}, period, 2), 1);
  }
}

TEST(LinearMapTest, DiagonalsOfDifferentPeriodsInOneMap) {
  LinearMap map;
  std::size_t period = 1;
  for (const int r : {0, 1, 2, 5, 8, 9, 64, 65, 1023, 512}) {
    map.blocks[{0, 0}][r] = testing::random_diagonal(period, static_cast<unsigned>(r));
    period = std::min<std::size_t>(2 * period, 1024);
  }
  check_map(testing::chain_spec(11, 3), map, 2);
}

TEST(LinearMapTest, ComplexDiagonalsOfEveryPeriod) {
  using Complex = std::complex<double>;
  for (std::size_t period = 1; period <= 1024; period *= 2) {
    check_map(testing::chain_spec(11, 2), random_map<Complex>(1, 1, {0, 1, 3, 4, 1020}, period, 20), 1);
  }
  check_map(testing::mixed_spec(11), random_map<Complex>(2, 3, {0, 1, 2, 30, 31, 32, 33, 64, 1023}, 64, 21), 4);
  // Only products with i: nothing of a complex diagonal may be lost to its real part.
  ComplexLinearMap turns;
  turns.blocks[{0, 0}] = {{0, {Complex(0, 1)}}, {5, {Complex(0, -1), Complex(0, 0.5)}}};
  check_map(testing::chain_spec(11, 2), turns, 1);
}

TEST(LinearMapTest, ComplexDiagonalsWithoutImaginaryPartGiveTheBitsOfRealOnes) {
  const LinearMap real = random_map(2, 2, {0, 1, 2, 31, 33}, 16, 22);
  ComplexLinearMap complex;
  complex.inputs = complex.outputs = 2;
  for (const auto& [block, diagonals] : real.blocks) {
    for (const auto& [r, d] : diagonals) complex.blocks[block][r].assign(d.begin(), d.end());
  }
  const BsgsPlan plan = plan_bsgs(complex, 1024);
  EXPECT_EQ(rotations(plan), rotations(plan_bsgs(real, 1024)));
  const Party party(testing::chain_spec(11, 2), rotations(plan));
  const PreparedLinearMap a(party.encoder(), *party.parameters, real, plan, 1, kPlainScale);
  const PreparedLinearMap b(party.encoder(), *party.parameters, complex, plan, 1, kPlainScale);
  EXPECT_EQ(a.bytes(), b.bytes());
  std::vector<Ciphertext> in;
  for (unsigned i = 0; i < 2; ++i) in.push_back(party.encrypt(testing::random_slots(1024, i), 1, kScale));
  const std::vector<Ciphertext> out_a = a.apply(party.evaluator, in), out_b = b.apply(party.evaluator, in);
  for (std::size_t o = 0; o < 2; ++o) EXPECT_TRUE(testing::equal_bits(out_a[o], out_b[o]));
}

TEST(LinearMapTest, SeveralInputsAndOutputs) {
  check_map(testing::chain_spec(11, 3), random_map(3, 2, {0, 1, 31, 32, 33, 991, 992, 1023}, 8, 3), 2);
  LinearMap sparse = random_map(3, 3, {0, 1, 32}, 4, 4);
  sparse.blocks.erase({0, 1});
  sparse.blocks.erase({1, 2});
  sparse.blocks[{2, 2}] = {{7, testing::random_diagonal(16, 5)}};
  check_map(testing::chain_spec(11, 3), sparse, 2);
}

/// 96 rows of rotated inputs: they are multiplied block by block of the coefficients.
TEST(LinearMapTest, MoreRotatedInputsThanFitTheCache) {
  const BsgsPlan plan{.step = 1024, .babies = {0, 1, 2, 3, 4, 5, 6, 7}, .giants = {0}};
  for (const std::size_t period : {1, 64, 1024}) {
    check_map(testing::chain_spec(11, 2), random_map(12, 2, plan.babies, period, 10), 1, plan);
  }
}

TEST(LinearMapTest, RotationsThatWrapAround) {
  check_map(testing::chain_spec(11, 2), random_map(1, 1, {1023, 1022, 1000, 512, 513, 511}, 1024, 6), 1);
}

TEST(LinearMapTest, EveryLevelAndKeySetOfAMixedChain) {
  const LinearMap map = random_map(2, 2, {0, 1, 2, 16, 17, 18, 1023}, 16, 7);
  for (int level = 0; level <= 4; ++level) check_map(testing::mixed_spec(11), map, level);
}

TEST(LinearMapTest, PlansWithoutBabiesWithoutGiantsAndWithoutEither) {
  const ParameterSpec spec = testing::chain_spec(11, 3);
  const LinearMap map = random_map(2, 2, {0, 3, 6}, 32, 8);
  check_map(spec, map, 2, {.step = 3, .babies = {0}, .giants = {0, 3, 6}});
  check_map(spec, map, 2, {.step = 1024, .babies = {0, 3, 6}, .giants = {0}});
  check_map(spec, random_map(2, 2, {0}, 32, 9), 2, {.step = 1, .babies = {0}, .giants = {0}});
  check_map(spec, random_map(1, 1, {3}, 32, 9), 2, {.step = 3, .babies = {0}, .giants = {3}});
  check_map(spec, random_map(1, 1, {2}, 32, 9), 2, {.step = 3, .babies = {2}, .giants = {0}});
}

TEST(LinearMapTest, WithoutRotationsNoKeyIsNeeded) {
  const Party party(testing::chain_spec(11, 2));
  const Evaluator keyless(party.parameters, nullptr);
  const LinearMap map = random_map(1, 1, {0}, 4, 1);
  const PreparedLinearMap prepared(party.encoder(), *party.parameters, map, plan_bsgs(map, 1024), 1, kPlainScale);
  const Slots in = testing::random_slots(1024, 1);
  std::vector<Ciphertext> encrypted;
  encrypted.push_back(party.encrypt(in, 1, kScale));
  const std::vector<Ciphertext> out = prepared.apply(keyless, encrypted);
  Ciphertext product = encrypted[0].clone();
  keyless.mul_plain_inplace(
      product, party.encoder().encode(map.blocks.at({0, 0}).at(0), kPlainScale, party.parameters->q_basis(1)));
  EXPECT_TRUE(testing::equal_bits(out[0], product));
}

TEST(LinearMapTest, AnOutputWithoutDiagonalsIsZero) {
  LinearMap map = random_map(1, 2, {0, 1}, 4, 1);
  map.blocks.erase({1, 0});
  check_map(testing::chain_spec(11, 2), map, 1);
}

void check_threads(const BsgsPlan& plan, const LinearMap& map) {
  const Party party(testing::chain_spec(11, 3), rotations(plan, 1024));
  const PreparedLinearMap prepared(party.encoder(), *party.parameters, map, plan, 2, kPlainScale);
  std::vector<Ciphertext> in;
  for (unsigned i = 0; i < 2; ++i) in.push_back(party.encrypt(testing::random_slots(1024, i), 2, kScale));
  const int before = threads();
  set_threads(1);
  const std::vector<Ciphertext> one = prepared.apply(party.evaluator, in);
  set_threads(4);
  const std::vector<Ciphertext> four = prepared.apply(party.evaluator, in);
  set_threads(before);
  for (std::size_t o = 0; o < 2; ++o) EXPECT_TRUE(testing::equal_bits(one[o], four[o]));
}

TEST(LinearMapTest, ThreadsDoNotChangeTheBits) {
  const LinearMap map = random_map(2, 2, {0, 1, 2, 30, 31, 32, 33, 100, 1000}, 8, 3);
  check_threads(plan_bsgs(map, 1024), map);
  check_threads(testing::chained_plan(shape_of(map), 8, 3, 1024), map);
}

TEST(LinearMapTest, PeriodicDiagonalsStayShort) {
  const Party party(testing::chain_spec(11, 2));
  const LinearMap map = random_map(1, 1, {0, 1}, 4, 1);
  const BsgsPlan plan{.step = 1024, .babies = {0, 1}, .giants = {0}};
  const PreparedLinearMap prepared(party.encoder(), *party.parameters, map, plan, 1, kPlainScale);
  const std::size_t limbs = party.parameters->qp_basis(1, 0).size();
  EXPECT_EQ(prepared.bytes(), 2 * limbs * 8 * sizeof(std::uint32_t));
}

ErrorKind kind_of(const std::function<void()>& body, std::string* message = nullptr) {
  try {
    body();
  } catch (const Error& error) {
    if (message != nullptr) *message = error.what();
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::kInternal;
}

TEST(LinearMapErrors, MissingKeysAreNamedBeforeWorkStarts) {
  const LinearMap map = random_map(1, 1, {0, 1, 2, 3, 37}, 4, 1);
  const BsgsPlan plan{.step = 1024, .babies = {0, 1, 2, 3, 37}, .giants = {0}};
  const Party party(testing::chain_spec(11, 2), {1, 2, 3});
  const PreparedLinearMap prepared(party.encoder(), *party.parameters, map, plan, 1, kPlainScale);
  std::vector<Ciphertext> in;
  in.push_back(party.encrypt(testing::random_slots(1024, 1), 1, kScale));
  std::string message;
  EXPECT_EQ(kind_of([&] { prepared.apply(party.evaluator, in); }, &message), ErrorKind::kMismatch);
  EXPECT_NE(message.find("37"), std::string::npos) << message;
  const Evaluator keyless(party.parameters, nullptr);
  EXPECT_EQ(kind_of([&] { prepared.apply(keyless, in); }), ErrorKind::kMismatch);
}

TEST(LinearMapErrors, WrongInputsAndMapsAreRefused) {
  const Party party(testing::chain_spec(11, 3), {1});
  const auto prepare = [&](const LinearMap& map) {
    return PreparedLinearMap(party.encoder(), *party.parameters, map, plan_bsgs(map, 1024), 1, kPlainScale);
  };
  EXPECT_EQ(kind_of([&] { prepare(random_map(1, 1, {0}, 3, 1)); }), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind_of([&] { prepare(random_map(1, 1, {0}, 2048, 1)); }), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind_of([&] { prepare(random_map(1, 1, {1024}, 2, 1)); }), ErrorKind::kInvalidArgument);
  LinearMap outside = random_map(1, 1, {0}, 2, 1);
  outside.blocks[{1, 0}] = {{0, {1.0}}};
  EXPECT_EQ(kind_of([&] { prepare(outside); }), ErrorKind::kInvalidArgument);
  const LinearMap map = random_map(1, 1, {0, 1}, 2, 1);
  EXPECT_EQ(kind_of([&] {
              PreparedLinearMap(party.encoder(), *party.parameters, map, {.step = 2, .babies = {0}, .giants = {0}}, 1,
                                kPlainScale);
            }),
            ErrorKind::kInvalidArgument);

  const auto prepare_chained = [&](std::vector<int> rotations, int outer) {
    const LinearMap any = random_map(1, 1, rotations, 2, 1);
    BsgsPlan plan = testing::chained_plan(shape_of(any), 4, 0, 1024);
    plan.outer = outer;
    return PreparedLinearMap(party.encoder(), *party.parameters, any, plan, 1, kPlainScale);
  };
  EXPECT_NO_THROW(prepare_chained({0, 1, 4}, 0));
  EXPECT_EQ(kind_of([&] { prepare_chained({0, 4}, 0); }), ErrorKind::kInvalidArgument) << "no baby step";
  EXPECT_EQ(kind_of([&] { prepare_chained({0, 1, 4}, 64); }), ErrorKind::kInvalidArgument) << "composed giants";

  const PreparedLinearMap prepared = prepare(map);
  std::vector<Ciphertext> in;
  EXPECT_EQ(kind_of([&] { prepared.apply(party.evaluator, in); }), ErrorKind::kInvalidArgument);
  in.push_back(party.encrypt(testing::random_slots(1024, 1), 2, kScale));
  EXPECT_EQ(kind_of([&] { prepared.apply(party.evaluator, in); }), ErrorKind::kInvalidArgument);
}

RC_GTEST_PROP(LinearMapProperty, RandomMapsAgreeWithPlainArithmetic, ()) {
  const int log_n = *rc::gen::inRange(5, 9), slots = 1 << (log_n - 1);
  LinearMap map;
  map.inputs = *rc::gen::inRange(1, 4);
  map.outputs = *rc::gen::inRange(1, 4);
  for (int o = 0; o < map.outputs; ++o) {
    for (int i = 0; i < map.inputs; ++i) {
      const auto steps = *rc::gen::container<std::set<int>>(rc::gen::inRange(0, slots));
      for (const int r : steps) {
        const std::size_t period = std::size_t{1} << *rc::gen::inRange(0, log_n);
        map.blocks[{o, i}][r] = testing::random_diagonal(period, static_cast<unsigned>(r + o * 7 + i * 13));
      }
    }
  }
  const ParameterSpec spec = testing::chain_spec(log_n, 3, *rc::gen::inRange(1, 4));
  const bool chained = *rc::gen::arbitrary<bool>();
  check_map(spec, map, 2, chained ? plan_chained_bsgs(shape_of(map), slots) : plan_bsgs(map, slots));
}

}  // namespace
}  // namespace hearth::ckks
