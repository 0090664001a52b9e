#include "base/isa.h"

#include <cstdlib>

#include "base/error.h"

namespace hearth {

namespace {

#if defined(__x86_64__)
bool cpu_has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool cpu_has_avx512() {
  return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}
#else
bool cpu_has_avx2() { return false; }
bool cpu_has_avx512() { return false; }
#endif

}  // namespace

bool cpu_has(std::string_view isa) {
  if (isa == "avx512") return cpu_has_avx512();
  return isa == "scalar" || (isa == "avx2" && cpu_has_avx2());
}

const char* best_isa() {
  const char* cap = std::getenv("HEARTH_ISA");
  const std::string_view limit = cap ? cap : "avx512";
  require(limit == "scalar" || limit == "avx2" || limit == "avx512", ErrorKind::kInvalidArgument,
          "HEARTH_ISA is \"{}\": expected scalar, avx2 or avx512", limit);
  if (limit == "avx512" && cpu_has("avx512")) return "avx512";
  return limit != "scalar" && cpu_has("avx2") ? "avx2" : "scalar";
}

}  // namespace hearth
