#include <string_view>

#include "base/dry_run.h"
#include "base/isa.h"
#include "ring/kernels/tables.h"

namespace hearth::ring {

const Kernels* kernels_for(const char* name) {
  const std::string_view wanted = name;
  if (!cpu_has(wanted)) return nullptr;
  if (wanted == "avx2") return avx2_kernels();
  if (wanted == "avx512") return avx512_kernels();
  return &scalar_kernels();
}

const Kernels& kernels() {
  if (dry_run()) return dry_kernels();
  static const Kernels* const chosen = kernels_for(best_isa());
  return chosen ? *chosen : scalar_kernels();
}

}  // namespace hearth::ring
