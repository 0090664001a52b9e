#include "ring/kernels/tables.h"

#if defined(__AVX2__)

#include "ring/kernels/avx2_lanes.h"
#include "ring/kernels/avx2_ntt.h"
#include "ring/kernels/vector_kernels.h"

namespace hearth::ring {

const Kernels* avx2_kernels() {
  static constexpr Kernels table =
      VectorKernels<Modular<avx2::Lanes>>::table<avx2::ntt_forward, avx2::ntt_inverse>("avx2");
  return &table;
}

}  // namespace hearth::ring

#else

namespace hearth::ring {

const Kernels* avx2_kernels() { return nullptr; }

}  // namespace hearth::ring

#endif
