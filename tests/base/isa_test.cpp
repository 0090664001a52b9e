#include "base/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/error.h"

namespace hearth {
namespace {

TEST(Isa, WiderSetsIncludeNarrowerOnes) {
  EXPECT_TRUE(cpu_has("scalar"));
  EXPECT_TRUE(cpu_has("avx2") || !cpu_has("avx512"));
  EXPECT_FALSE(cpu_has("neon"));
  EXPECT_FALSE(cpu_has(""));
}

/// The best set under a value of HEARTH_ISA, or "refused".
std::string best_under(const char* value) {
  setenv("HEARTH_ISA", value, 1);
  std::string best = "refused";
  try {
    best = best_isa();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalidArgument);
  }
  unsetenv("HEARTH_ISA");
  return best;
}

TEST(Isa, EnvironmentCapsTheBest) {
  EXPECT_EQ(best_under("scalar"), "scalar");
  EXPECT_EQ(best_under("avx2"), cpu_has("avx2") ? "avx2" : "scalar");
  EXPECT_EQ(best_under("avx512"), cpu_has("avx512") ? "avx512" : best_under("avx2"));
  EXPECT_EQ(best_under("sse9"), "refused");
}

}  // namespace
}  // namespace hearth
