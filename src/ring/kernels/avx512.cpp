#include "ring/kernels/avx512_math.h"
#include "ring/kernels/avx512_ntt.h"
#include "ring/kernels/tables.h"

namespace hearth::ring {

#if defined(__AVX512F__)

namespace {

constexpr int kMinLogN = 8;

void forward(std::uint32_t* x, const NttTables& t) {
  t.log_n < kMinLogN ? scalar_kernels().ntt_forward(x, t) : avx512::ntt_forward(x, t);
}

}  // namespace

const Kernels* avx512_kernels() {
  static const Kernels table = [] {
    Kernels t = scalar_kernels();
    t.name = "avx512";
    t.ntt_forward = forward;
    return t;
  }();
  return &table;
}

#else

const Kernels* avx512_kernels() { return nullptr; }

#endif

}  // namespace hearth::ring
