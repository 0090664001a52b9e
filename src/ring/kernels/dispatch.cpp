#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "ring/kernels/tables.h"

namespace hearth::ring {
namespace {

#if defined(__x86_64__)
bool cpu_has_avx2() { return __builtin_cpu_supports("avx2"); }
bool cpu_has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}
#else
bool cpu_has_avx2() { return false; }
bool cpu_has_avx512() { return false; }
#endif

const Kernels& choose() {
  const char* cap = std::getenv("HEARTH_ISA");
  const std::string_view limit = cap ? cap : "avx512";
  require(limit == "scalar" || limit == "avx2" || limit == "avx512", ErrorKind::kInvalidArgument,
          "HEARTH_ISA is \"{}\": expected scalar, avx2 or avx512", limit);
  const Kernels* best = nullptr;
  if (limit == "avx512") best = kernels_for("avx512");
  if (!best && limit != "scalar") best = kernels_for("avx2");
  return best ? *best : scalar_kernels();
}

}  // namespace

const Kernels* kernels_for(const char* name) {
  const std::string_view wanted = name;
  if (wanted == "scalar") return &scalar_kernels();
  if (wanted == "avx2" && cpu_has_avx2()) return avx2_kernels();
  if (wanted == "avx512" && cpu_has_avx512()) return avx512_kernels();
  return nullptr;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace hearth::ring
