#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "memory/plan.h"
#include "programs.h"

namespace hearth::memory {
namespace {

struct Timed {
  Plan plan;
  double seconds = 0;
};

Timed timed_plan(const AccessSequence& sequence, const PlanOptions& options) {
  const std::clock_t start = std::clock();  // of the processor: others may be busy too
  Timed out{make_plan(sequence, options)};
  out.seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  return out;
}

/// No plan takes less time than computing, nor than the first cycle's loads and then the bound's share of each cycle.
double least_seconds(const AccessSequence& sequence, const PlanOptions& options, double load) {
  const double cycles = static_cast<double>(sequence.uses.size()) / static_cast<double>(sequence.objects.size());
  const double first = static_cast<double>(total_bytes(sequence)) / options.speed.read[0].bandwidth;
  return std::max(0.4, first) + (cycles - 1) * 0.4 * std::max(1.0, load);
}

/// Plans cyclic programs at several capacities and loads, prints a line for each and checks it.
void check_grid(Evenness evenness, std::uint32_t cycles, double allowed_seconds) {
  const AccessSequence sequence = cyclic(1500, cycles, evenness);
  for (const double share : {0.8, 0.5, 0.35, 0.2}) {
    for (const double load : {0.3, 0.6, 0.9, 1.1}) {
      const PlanOptions options = options_for_cycle(sequence, share, load);
      const auto [plan, seconds] = timed_plan(sequence, options);
      verify(sequence, options, plan);
      const double traffic = static_cast<double>(reread_bytes(plan)) / static_cast<double>(plan.figures.bound_bytes);
      const double slower = plan.figures.seconds / least_seconds(sequence, options, load);
      fmt::print(
          "{} uses, capacity {:.2f}, load {:.1f}: traffic {:.3f} of the bound, time {:.4f} of computing, {:.4f} of the "
          "least; planned in {:.3f} s\n",
          sequence.uses.size(), share, load, traffic, plan.figures.seconds / plan.figures.compute_seconds, slower,
          seconds);
      EXPECT_LE(traffic, 1.15);
      EXPECT_LE(slower, load < 0.85 ? 1.02 : load < 1 ? 1.03 : 1.08);
#ifdef NDEBUG
      EXPECT_LT(seconds, allowed_seconds);
#else
      (void)allowed_seconds;
#endif
    }
  }
}

TEST(PlanSlow, FortyThousandEvenUses) { check_grid(Evenness::kEven, 27, 0.1); }
TEST(PlanSlow, FortyThousandUnevenUses) { check_grid(Evenness::kUneven, 27, 0.1); }
TEST(PlanSlow, FortyThousandClusteredUses) { check_grid(Evenness::kClustered, 27, 0.1); }
TEST(PlanSlow, SixHundredThousandEvenUses) { check_grid(Evenness::kEven, 400, 1.5); }
TEST(PlanSlow, SixHundredThousandUnevenUses) { check_grid(Evenness::kUneven, 400, 1.5); }
TEST(PlanSlow, SixHundredThousandClusteredUses) { check_grid(Evenness::kClustered, 400, 1.5); }

}  // namespace
}  // namespace hearth::memory
