#include "ring/kernels/tables.h"

#if defined(__AVX512F__)

#include "ring/kernels/avx512_lanes.h"
#include "ring/kernels/avx512_ntt.h"
#include "ring/kernels/vector_kernels.h"

namespace hearth::ring {

const Kernels* avx512_kernels() {
  static constexpr Kernels table =
      VectorKernels<Modular<avx512::Lanes>>::table<avx512::ntt_forward, avx512::ntt_inverse>("avx512");
  return &table;
}

}  // namespace hearth::ring

#else

namespace hearth::ring {

const Kernels* avx512_kernels() { return nullptr; }

}  // namespace hearth::ring

#endif
