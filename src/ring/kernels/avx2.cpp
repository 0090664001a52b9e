#include "ring/kernels/tables.h"

namespace hearth::ring {

const Kernels* avx2_kernels() {
#if defined(__AVX2__)
  static const Kernels table = [] {
    Kernels t = scalar_kernels();
    t.name = "avx2";
    return t;
  }();
  return &table;
#else
  return nullptr;
#endif
}

}  // namespace hearth::ring
