#include "nn/kernels/convolve_kernels.h"

#ifdef __AVX512F__
#include <immintrin.h>

#include "nn/kernels/convolve_passes.h"

namespace hearth::nn {
namespace {

struct Lanes {
  using Vec = __m512d;
  static constexpr int kLanes = 8;
  static constexpr int kRows =
      8;  ///< 24 of 32 registers hold sums, so that no load is used by less than three products
  static constexpr int kUnits = 3;
  static constexpr int kSlideUnits = 8;
  HEARTH_INLINE static Vec load(const double* p) { return _mm512_loadu_pd(p); }
  HEARTH_INLINE static void store(double* p, Vec v) { _mm512_storeu_pd(p, v); }
  HEARTH_INLINE static Vec broadcast(double x) { return _mm512_set1_pd(x); }
  HEARTH_INLINE static Vec mul_add(Vec a, Vec b, Vec c) { return _mm512_fmadd_pd(a, b, c); }
  HEARTH_INLINE static Vec widen(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
  HEARTH_INLINE static void narrow(float* p, Vec v) { _mm256_storeu_ps(p, _mm512_cvtpd_ps(v)); }
};

constexpr ConvolveKernels kTable = ConvolvePasses<Lanes>::table("avx512");

}  // namespace

const ConvolveKernels* convolve_avx512() { return &kTable; }

}  // namespace hearth::nn
#else
namespace hearth::nn {
const ConvolveKernels* convolve_avx512() { return nullptr; }
}  // namespace hearth::nn
#endif
