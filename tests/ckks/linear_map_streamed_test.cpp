#include "ckks/linear_map_streamed.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "base/buffer.h"
#include "base/error.h"
#include "base/parallel.h"
#include "tests/ckks/maps.h"
#include "tests/ckks/party.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

using testing::Party;
using testing::random_map;

constexpr double kScale = 0x1p25, kPlainScale = 0x1p25;
constexpr std::size_t kLittle = 1;  // so little memory that everything is worked on in the smallest groups

std::vector<Ciphertext> inputs_of(const Party& party, int count, int level) {
  std::vector<Ciphertext> in;
  for (int i = 0; i < count; ++i) {
    in.push_back(
        party.encrypt(testing::random_slots(party.parameters->slots(), static_cast<unsigned>(i)), level, kScale));
  }
  return in;
}

void expect_equal(const std::vector<Ciphertext>& a, const std::vector<Ciphertext>& b, const char* what) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t o = 0; o < a.size(); ++o) EXPECT_TRUE(testing::equal_bits(a[o], b[o])) << what << ", output " << o;
}

/// A map prepared with plenty of memory is the reference (linear_map_test.cpp): every other way gives its bits.
void check_ways(const ParameterSpec& spec, const LinearMap& map, int level, const BsgsPlan& plan) {
  const Party party(spec, rotations(plan, 1 << (spec.log_n - 1)));
  const std::vector<Ciphertext> in = inputs_of(party, map.inputs, level);
  const auto prepare = [&](const auto& any, std::size_t memory) {
    return PreparedLinearMap(party.encoder(), *party.parameters, any, plan, level, kPlainScale, memory);
  };
  const auto stored = std::make_shared<StoredLinearMap>(map);
  const std::vector<Ciphertext> expected = prepare(map, std::size_t{1} << 30).apply(party.evaluator, in);
  expect_equal(prepare(map, kLittle).apply(party.evaluator, in), expected, "prepared with little memory");
  expect_equal(prepare(*stored, kLinearMapMemory).apply(party.evaluator, in), expected, "prepared from a source");
  const std::size_t pair = 2 * party.parameters->n() * sizeof(std::uint32_t) *
                           party.parameters->qp_basis(level, party.parameters->key_set_for(level)).size();
  for (const std::size_t memory : {kLittle, 8 * pair, 20 * pair, kLinearMapMemory}) {
    const StreamedLinearMap streamed(*party.parameters, stored, plan, level, kPlainScale, memory);
    expect_equal(streamed.apply(party.evaluator, in), expected, fmt::format("streamed in {}", memory).c_str());
  }
}

void check_ways(const ParameterSpec& spec, const LinearMap& map, int level) {
  check_ways(spec, map, level, plan_bsgs(map, 1 << (spec.log_n - 1)));
}

TEST(StreamedLinearMapTest, DenseDiagonals) {
  std::vector<int> rotations;
  for (int r = 0; r < 40; ++r) rotations.push_back(r);
  check_ways(testing::chain_spec(11, 3), random_map(1, 1, rotations, 1024, 1), 2);
}

TEST(StreamedLinearMapTest, DiagonalsOfDifferentPeriodsInOneMap) {
  LinearMap map;
  std::size_t period = 1;
  for (const int r : {0, 1, 2, 5, 8, 9, 64, 65, 1023, 512}) {
    map.blocks[{0, 0}][r] = testing::random_diagonal(period, static_cast<unsigned>(r));
    period = std::min<std::size_t>(2 * period, 1024);
  }
  check_ways(testing::chain_spec(11, 3), map, 2);
}

TEST(StreamedLinearMapTest, SeveralInputsAndOutputs) {
  LinearMap map = random_map(3, 4, {0, 1, 31, 32, 33, 991, 992, 1023}, 1024, 3);
  map.blocks.erase({0, 1});
  map.blocks.erase({1, 2});
  for (int i = 0; i < 3; ++i) map.blocks.erase({2, i});  // an output that is zero
  map.blocks[{3, 2}] = {{7, testing::random_diagonal(16, 5)}};
  check_ways(testing::chain_spec(11, 3), map, 2);
}

TEST(StreamedLinearMapTest, EveryLevelAndKeySetOfAMixedChain) {
  const LinearMap map = random_map(2, 2, {0, 1, 2, 16, 17, 18, 1023}, 16, 7);
  for (int level = 0; level <= 4; ++level) check_ways(testing::mixed_spec(11), map, level);
}

TEST(StreamedLinearMapTest, PlansWithoutBabiesWithoutGiantsAndWithoutEither) {
  const ParameterSpec spec = testing::chain_spec(11, 3);
  const LinearMap map = random_map(2, 2, {0, 3, 6}, 1024, 8);
  check_ways(spec, map, 2, {.step = 3, .babies = {0}, .giants = {0, 3, 6}});
  check_ways(spec, map, 2, {.step = 1024, .babies = {0, 3, 6}, .giants = {0}});
  check_ways(spec, random_map(2, 2, {0}, 32, 9), 2, {.step = 1, .babies = {0}, .giants = {0}});
  check_ways(spec, random_map(1, 1, {3}, 32, 9), 2, {.step = 3, .babies = {0}, .giants = {3}});
  check_ways(spec, random_map(1, 1, {2}, 32, 9), 2, {.step = 3, .babies = {2}, .giants = {0}});
}

/// Chains continue from one group of steps to the next.
TEST(StreamedLinearMapTest, ChainedGiantSteps) {
  for (const auto& [name, map, plan] : testing::chained_cases()) {
    SCOPED_TRACE(name);
    check_ways(testing::chain_spec(11, 3), map, 2, plan);
  }
}

/// Coefficients that need more than one word.
TEST(StreamedLinearMapTest, LargeDiagonals) {
  LinearMap map = random_map(1, 1, {0, 1, 2, 33}, 1024, 10);
  for (double& value : map.blocks[{0, 0}][1]) value *= 0x1p12;
  check_ways(testing::chain_spec(11, 3), map, 2);
}

/// Products over Q: agrees with plain arithmetic, and its bits depend on neither memory nor threads.
void check_single(const ParameterSpec& spec, const LinearMap& map, int level, const BsgsPlan& plan) {
  const Party party(spec, rotations(plan, 1 << (spec.log_n - 1)));
  const std::vector<Ciphertext> in = inputs_of(party, map.inputs, level);
  const auto stream = [&](std::size_t memory, Hoisting hoisting) {
    return StreamedLinearMap(*party.parameters, std::make_shared<StoredLinearMap>(map), plan, level, kPlainScale,
                             memory, hoisting)
        .apply(party.evaluator, in);
  };
  const std::vector<Ciphertext> out = stream(kLinearMapMemory, Hoisting::kSingle);
  std::vector<testing::Slots> slots;
  for (const Ciphertext& c : in) slots.push_back(party.decrypt(c));
  const std::vector<testing::Slots> expected = testing::apply_clear(map, slots);
  const double bound = testing::map_error_bound(testing::Noise(party), map, plan, level, kScale, kPlainScale);
  for (std::size_t o = 0; o < out.size(); ++o) {
    EXPECT_EQ(out[o].scale, kScale * kPlainScale);
    EXPECT_LT(testing::distance(party.decrypt(out[o]), expected[o]), bound) << "output " << o;
  }
  expect_equal(stream(kLittle, Hoisting::kSingle), out, "with little memory");
  for (const std::size_t memory : {kLittle, kLinearMapMemory}) {
    const PreparedLinearMap prepared(party.encoder(), *party.parameters, map, plan, level, kPlainScale, memory, nullptr,
                                     Hoisting::kSingle);
    expect_equal(prepared.apply(party.evaluator, in), out, "prepared");
  }
  const int before = threads();
  set_threads(3);
  expect_equal(stream(kLinearMapMemory, Hoisting::kSingle), out, "3 threads");
  set_threads(before);
  if (plan.babies == std::vector<int>{0}) expect_equal(stream(kLinearMapMemory, Hoisting::kDouble), out, "double");
}

TEST(StreamedLinearMapTest, ChainsOverQAgreeWithPlainArithmetic) {
  for (const auto& [name, map, plan] : testing::chained_cases()) {
    SCOPED_TRACE(name);
    check_single(testing::chain_spec(11, 3), map, 2, plan);
  }
}

TEST(StreamedLinearMapTest, SingleHoistingAgreesWithPlainArithmetic) {
  const LinearMap map = random_map(2, 3, {0, 1, 2, 3, 31, 32, 33, 34, 1023}, 1024, 11);
  check_single(testing::chain_spec(11, 3), map, 2, plan_bsgs(map, 1024));
  for (int level = 0; level <= 4; ++level) {
    const LinearMap periodic = random_map(2, 2, {0, 1, 2, 16, 17, 18, 1023}, 16, 12);
    check_single(testing::mixed_spec(11), periodic, level, plan_bsgs(periodic, 1024));
  }
  check_single(testing::chain_spec(11, 3), random_map(2, 2, {0, 3, 6}, 1024, 8), 2,
               {.step = 3, .babies = {0}, .giants = {0, 3, 6}});
  check_single(testing::chain_spec(11, 3), random_map(2, 2, {0, 3, 6}, 1024, 8), 2,
               {.step = 1024, .babies = {0, 3, 6}, .giants = {0}});
}

RC_GTEST_PROP(StreamedLinearMapProperty, RandomMapsGiveTheSameBits, ()) {
  const int log_n = *rc::gen::inRange(5, 9), slots = 1 << (log_n - 1);
  LinearMap map;
  map.inputs = *rc::gen::inRange(1, 4);
  map.outputs = *rc::gen::inRange(1, 4);
  for (int o = 0; o < map.outputs; ++o) {
    for (int i = 0; i < map.inputs; ++i) {
      for (const int r : *rc::gen::container<std::set<int>>(rc::gen::inRange(0, slots))) {
        const std::size_t period = std::size_t{1} << *rc::gen::inRange(0, log_n);
        map.blocks[{o, i}][r] = testing::random_diagonal(period, static_cast<unsigned>(r + o * 7 + i * 13));
      }
    }
  }
  const ParameterSpec spec = testing::chain_spec(log_n, 3, *rc::gen::inRange(1, 4));
  const bool chained = *rc::gen::arbitrary<bool>();
  check_ways(spec, map, 2, chained ? plan_chained_bsgs(shape_of(map), slots) : plan_bsgs(map, slots));
}

/// Counts what it is asked for and how much memory is held meanwhile.
class WatchedSource final : public LinearMapSource {
 public:
  explicit WatchedSource(MapShape shape) : shape_(std::move(shape)) {}
  const MapShape& shape() const override { return shape_; }
  void diagonal(const DiagonalPlace& place, std::span<double> out) const override {
    ++asked;
    const std::lock_guard lock(mutex_);
    most = std::max(most, allocated_bytes());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(i % 7) / (1 + place.rotation);
  }

  mutable std::atomic<int> asked = 0;
  mutable std::size_t most = 0;

 private:
  MapShape shape_;
  mutable std::mutex mutex_;
};

MapShape full_shape(int inputs, int outputs, int rotations, std::size_t period) {
  MapShape shape{.inputs = inputs, .outputs = outputs, .diagonals = {}};
  for (int o = 0; o < outputs; ++o) {
    for (int i = 0; i < inputs; ++i) {
      for (int r = 0; r < rotations; ++r) shape.diagonals.push_back({o, i, r, period});
    }
  }
  return shape;
}

/// 4 inputs with 8 babies each and 2 outputs of 4 steps: 32 rotated inputs and 8 sums of 192 KiB.
TEST(StreamedLinearMapTest, HoldsItsMemoryBound) {
  const ParameterSpec spec = testing::chain_spec(12, 4, 2);
  const std::size_t pair = 2 * 6 * 4096 * sizeof(std::uint32_t);
  BsgsPlan plan{.step = 8, .babies = {0, 1, 2, 3, 4, 5, 6, 7}, .giants = {0, 8, 16, 24}};
  const Party party(spec, rotations(plan));
  const std::vector<Ciphertext> in = inputs_of(party, 4, 3);
  // What comes on top: results, the sum of one output, and the working memory of key switches and encodings.
  const std::size_t on_top = (2 + 1 + 2 + 4 * static_cast<std::size_t>(threads())) * pair;
  std::size_t before_last = 0;
  for (const std::size_t memory : {16 * pair, 64 * pair}) {
    const auto source = std::make_shared<WatchedSource>(full_shape(4, 2, 32, 2048));
    const StreamedLinearMap map(*party.parameters, source, plan, 3, kPlainScale, memory);
    const std::size_t before = allocated_bytes();
    const std::vector<Ciphertext> out = map.apply(party.evaluator, in);
    EXPECT_EQ(source->asked, 2 * 4 * 32) << "every diagonal is made once";
    EXPECT_LE(source->most - before, memory + on_top) << "of " << memory;
    EXPECT_GT(source->most - before, before_last) << "memory is used where there is some";
    before_last = source->most - before;
  }
}

void check_threads(const LinearMap& map, const BsgsPlan& plan) {
  const Party party(testing::chain_spec(11, 3), rotations(plan, 1024));
  const StreamedLinearMap streamed(*party.parameters, std::make_shared<StoredLinearMap>(map), plan, 2, kPlainScale);
  const std::vector<Ciphertext> in = inputs_of(party, 2, 2);
  const int before = threads();
  set_threads(1);
  const std::vector<Ciphertext> one = streamed.apply(party.evaluator, in);
  set_threads(4);
  const std::vector<Ciphertext> four = streamed.apply(party.evaluator, in);
  set_threads(before);
  expect_equal(one, four, "1 and 4 threads");
}

TEST(StreamedLinearMapTest, ThreadsDoNotChangeTheBits) {
  const LinearMap map = random_map(2, 2, {0, 1, 2, 30, 31, 32, 33, 100, 1000}, 1024, 3);
  check_threads(map, plan_bsgs(map, 1024));
  check_threads(map, testing::chained_plan(shape_of(map), 8, 3, 1024));
}

ErrorKind kind_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::kInternal;
}

TEST(StreamedLinearMapErrors, WrongMapsInputsAndKeysAreRefused) {
  const Party party(testing::chain_spec(11, 3), {1});
  const auto stream = [&](const MapShape& shape, const BsgsPlan& plan) {
    return StreamedLinearMap(*party.parameters, std::make_shared<WatchedSource>(shape), plan, 2, kPlainScale);
  };
  const BsgsPlan plan{.step = 4, .babies = {0, 1, 2, 3}, .giants = {0}};
  EXPECT_EQ(kind_of([&] { stream(full_shape(1, 1, 4, 3), plan); }), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind_of([&] { stream(full_shape(1, 1, 5, 4), plan); }), ErrorKind::kInvalidArgument);
  MapShape outside = full_shape(1, 1, 2, 4);
  outside.diagonals.push_back({1, 0, 0, 4});
  EXPECT_EQ(kind_of([&] { stream(outside, plan); }), ErrorKind::kInvalidArgument);
  const std::vector<Ciphertext> in = inputs_of(party, 1, 2);
  EXPECT_EQ(kind_of([&] { stream(full_shape(1, 1, 3, 4), plan).apply(party.evaluator, in); }), ErrorKind::kMismatch);
  EXPECT_EQ(kind_of([&] { stream(full_shape(2, 1, 2, 4), plan).apply(party.evaluator, in); }),
            ErrorKind::kInvalidArgument);
  const Party other(testing::chain_spec(11, 4), {1});
  EXPECT_EQ(kind_of([&] { stream(full_shape(1, 1, 2, 4), plan).apply(other.evaluator, inputs_of(other, 1, 2)); }),
            ErrorKind::kMismatch);
}

}  // namespace
}  // namespace hearth::ckks
