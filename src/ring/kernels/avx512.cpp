#include "ring/kernels/tables.h"

namespace hearth::ring {

const Kernels* avx512_kernels() {
#if defined(__AVX512F__)
  static const Kernels table = [] {
    Kernels t = scalar_kernels();
    t.name = "avx512";
    return t;
  }();
  return &table;
#else
  return nullptr;
#endif
}

}  // namespace hearth::ring
