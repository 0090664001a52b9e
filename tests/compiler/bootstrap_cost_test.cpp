#include "compiler/bootstrap_cost.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/error.h"
#include "ckks/bootstrap/dft.h"
#include "compiler/activations.h"
#include "compiler/program/work.h"

namespace hearth::compiler {
namespace {

using Radices = std::vector<int>;

/// Every way to merge `stages` into so many factors.
std::vector<Radices> compositions(int stages, int factors) {
  if (factors == 0) return stages == 0 ? std::vector<Radices>{{}} : std::vector<Radices>{};
  std::vector<Radices> out;
  for (int first = 1; first <= std::min(stages, ckks::kLargestRadix); ++first) {
    for (Radices rest : compositions(stages - first, factors - 1)) {
      rest.insert(rest.begin(), first);
      out.push_back(std::move(rest));
    }
  }
  return out;
}

BootstrapChain chain_of(int log_n, const LimbCosts& costs, ckks::Security security = ckks::Security::kNone) {
  return choose_bootstrap_chain({.log_n = log_n, .log_period = log_n - 1, .bootstraps = 19, .security = security},
                                costs)
      .value();
}

double cost(const ckks::ParameterSpec& parameters, const ckks::BootstrapSpec& spec, const LimbCosts& costs) {
  return bootstrap_seconds(parameters, spec, 64, 1, costs) + embedding_fetch_seconds(parameters, spec, costs);
}

TEST(CheapestRadices, AreAsCheapAsAnyOthers) {
  for (const double price : {0.0, 1.0, 20.0}) {
    LimbCosts costs = typical_limbs(11);
    costs.fetch *= price;
    const BootstrapChain chain = chain_of(11, costs);
    for (int factors = 2; factors <= 4; ++factors) {
      ckks::BootstrapSpec spec = chain.bootstrap, other = spec;
      spec.stc_radices = cheapest_stc_radices(chain.parameters, 10, factors, costs);
      spec.cts_radices = cheapest_cts_radices(chain.parameters, 10, factors, costs);
      const double least = cost(chain.parameters, spec, costs) * (1 - 1e-12);
      other = spec;
      for (const Radices& radices : compositions(10, factors)) {
        other.stc_radices = radices;
        EXPECT_LE(least, cost(chain.parameters, other, costs));
      }
      other = spec;
      for (const Radices& radices : compositions(10, factors)) {
        other.cts_radices = radices;
        EXPECT_LE(least, cost(chain.parameters, other, costs));
      }
    }
  }
}

/// The case that the price of a byte was weighed for (docs/experiments.md).
TEST(CheapestRadices, OfResNet20HaveShortDiagonalsAtLittleCost) {
  LimbCosts costs = typical_limbs(15);
  const BootstrapChain chain = chain_of(15, costs, ckks::Security::kBits128);
  EXPECT_EQ(chain.bootstrap.stc_radices, (Radices{7, 7}));
  EXPECT_EQ(chain.bootstrap.cts_radices, (Radices{3, 3, 4, 4}));
  EXPECT_GT(chain.cost, chain.seconds);
  costs.fetch /= 4;  // what reading from memory costs
  EXPECT_EQ(cheapest_cts_radices(chain.parameters, 14, 4, costs), (Radices{4, 3, 3, 4}));
  costs.fetch *= 16;
  EXPECT_EQ(cheapest_stc_radices(chain.parameters, 14, 2, costs), (Radices{8, 6})) << "shorter diagonals at level 1";
}

TEST(CheapestRadices, WithoutAnAnswerAreRefused) {
  const LimbCosts costs = typical_limbs(11);
  const ckks::ParameterSpec spec = chain_of(11, costs).parameters;
  EXPECT_THROW(cheapest_stc_radices(spec, 10, 1, costs), Error);
  EXPECT_THROW(cheapest_stc_radices(spec, 3, 4, costs), Error);
  EXPECT_THROW(cheapest_cts_radices(spec, 10, 0, costs), Error);
  EXPECT_THROW(cheapest_cts_radices(spec, 10, static_cast<int>(spec.levels.size()), costs), Error);
  EXPECT_EQ(cheapest_cts_radices(spec, 4, 4, costs), (Radices{1, 1, 1, 1}));
}

TEST(BootstrapCost, OfFetchingGrowsWithItsPriceAlone) {
  LimbCosts costs = typical_limbs(11);
  const BootstrapChain chain = chain_of(11, costs);
  const double seconds = bootstrap_seconds(chain.parameters, chain.bootstrap, 64, 1, costs);
  const double fetch = embedding_fetch_seconds(chain.parameters, chain.bootstrap, costs);
  costs.fetch *= 2;
  EXPECT_EQ(bootstrap_seconds(chain.parameters, chain.bootstrap, 64, 1, costs), seconds);
  EXPECT_DOUBLE_EQ(embedding_fetch_seconds(chain.parameters, chain.bootstrap, costs), 2 * fetch);
}

/// Every level uses the largest key modulus that is safe, or as much of it as pays.
TEST(BootstrapChain, HasTheCheapestDigitsAtEveryLevel) {
  const LimbCosts costs = typical_limbs(15);
  const BootstrapChain chain = chain_of(15, costs, ckks::Security::kBits128);
  const auto parameters = ckks::Parameters::create(chain.parameters);
  EXPECT_GE(parameters->security().estimated_bits, 128);
  const int between = chain.activation_level() + 1;  // linear layers and what is below have one digit
  for (std::size_t set = 1; set < chain.parameters.key_sets.size(); ++set) {
    const ckks::KeySetSpec& keys = chain.parameters.key_sets[set];
    EXPECT_EQ(keys.special_primes, keys.digit_primes + 1);
    if (keys.max_level <= between) {
      EXPECT_EQ(keys.digit_primes, keys.max_level + 1);
      continue;
    }
    for (int digit = 1; digit <= keys.max_level + 1; ++digit) {
      ckks::ParameterSpec other = chain.parameters;
      other.key_sets[set].digit_primes = digit;
      other.key_sets[set].special_primes = digit + 1;
      const bool fits = (keys.max_level + 1 + digit) * 30 + 20 <= 864;
      if (fits) {
        EXPECT_GE(cost(other, chain.bootstrap, costs), chain.cost * (1 - 1e-9)) << keys.max_level << ", " << digit;
      }
    }
  }
}

/// What the price counts, from the diagonals and keys of the factors themselves.
TEST(BootstrapCost, OfFetchingIsThatOfTheFactorsKeysAndDiagonals) {
  const LimbCosts costs = typical_limbs(15);
  const BootstrapChain chain = chain_of(15, costs, ckks::Security::kBits128);
  const auto parameters = ckks::Parameters::create(chain.parameters);
  const int slots = static_cast<int>(parameters->slots());
  double limbs = 0;
  for (const EmbeddingFactor& factor : embedding_factors(chain.bootstrap, *parameters)) {
    const LevelShape level = level_shape(*parameters, factor.level);
    const int extended = level.q_primes + level.special_primes;
    const int digits = (level.q_primes + level.digit_primes - 1) / level.digit_primes;
    const std::size_t keys = ckks::rotations(ckks::plan_factor(factor.shape, slots), slots).size();
    limbs += static_cast<double>(keys) * digits * extended;
    const int encoded = factor.level == 1 ? level.q_primes : extended;  // hoisted singly
    for (const ckks::DiagonalPlace& place : factor.shape.diagonals) {
      limbs += static_cast<double>(place.period) / slots * encoded;
    }
  }
  EXPECT_NEAR(embedding_fetch_seconds(chain.parameters, chain.bootstrap, costs), limbs * costs.fetch,
              1e-9 * limbs * costs.fetch);
}

/// The cost model counts only the shortest butterflies of every radix, the next ones, and the longest.
TEST(BootstrapCost, FactorsOfOneRadixAreSplitAlike) {
  constexpr int kStages = 14, kSlots = 1 << kStages;
  const auto split = [](const ckks::MapShape& shape, int slots) {
    const ckks::BsgsPlan plan = ckks::plan_factor(shape, slots);
    const ckks::StepCount steps = ckks::count_steps(shape, plan, slots);
    return std::vector<std::size_t>{steps.babies, steps.giants, steps.copies, ckks::rotations(plan, slots).size(),
                                    shape.diagonals.size()};
  };
  for (int radix = 1; radix <= ckks::kLargestRadix; ++radix) {
    const auto longer = split(ckks::factor_shape(radix, radix + 1, kStages, kSlots), kSlots);
    // What reaches half way around the period goes both ways.
    for (int last = radix + 1; last < kStages - 1; ++last) {
      EXPECT_EQ(split(ckks::factor_shape(radix, last, kStages, kSlots), kSlots), longer) << radix << " up to " << last;
    }
    const auto wrapping = split(ckks::factor_shape(radix, radix, radix, 1 << radix), 1 << radix);
    EXPECT_EQ(split(ckks::factor_shape(radix, kStages, kStages, kSlots), kSlots), wrapping) << radix;
  }
}

}  // namespace
}  // namespace hearth::compiler
