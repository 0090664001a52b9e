#include "nn/kernels/convolve_kernels.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#include "nn/kernels/convolve_passes.h"

namespace hearth::nn {
namespace {

struct Lanes {
  using Vec = __m256d;
  static constexpr int kLanes = 4;
  static constexpr int kRows = 4;  ///< 8 of 16 registers hold sums: as many as hide the latency of two units
  static constexpr int kUnits = 1;
  static constexpr int kSlideUnits = 4;
  HEARTH_INLINE static Vec load(const double* p) { return _mm256_loadu_pd(p); }
  HEARTH_INLINE static void store(double* p, Vec v) { _mm256_storeu_pd(p, v); }
  HEARTH_INLINE static Vec broadcast(double x) { return _mm256_set1_pd(x); }
  HEARTH_INLINE static Vec mul_add(Vec a, Vec b, Vec c) { return _mm256_fmadd_pd(a, b, c); }
  HEARTH_INLINE static Vec widen(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
  HEARTH_INLINE static void narrow(float* p, Vec v) { _mm_storeu_ps(p, _mm256_cvtpd_ps(v)); }
};

constexpr ConvolveKernels kTable = ConvolvePasses<Lanes>::table("avx2");

}  // namespace

const ConvolveKernels* convolve_avx2() { return &kTable; }

}  // namespace hearth::nn
#else
namespace hearth::nn {
const ConvolveKernels* convolve_avx2() { return nullptr; }
}  // namespace hearth::nn
#endif
