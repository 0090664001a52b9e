#include "ckks/kernels/embedding_kernels.h"

#ifdef __AVX2__
#include <immintrin.h>

#include "ckks/kernels/embedding_passes.h"

namespace hearth::ckks {
namespace {

struct Lanes {
  using Vec = __m256d;
  static constexpr int kLogLanes = 2;
  HEARTH_INLINE static Vec load(const double* p) { return _mm256_loadu_pd(p); }
  HEARTH_INLINE static void store(double* p, Vec v) { _mm256_storeu_pd(p, v); }
  HEARTH_INLINE static Vec broadcast(double x) { return _mm256_set1_pd(x); }
  HEARTH_INLINE static Vec add(Vec a, Vec b) { return _mm256_add_pd(a, b); }
  HEARTH_INLINE static Vec sub(Vec a, Vec b) { return _mm256_sub_pd(a, b); }
  HEARTH_INLINE static Vec mul(Vec a, Vec b) { return _mm256_mul_pd(a, b); }
  HEARTH_INLINE static void transpose(Vec (&v)[4]) {
    const Vec a = _mm256_unpacklo_pd(v[0], v[1]), b = _mm256_unpackhi_pd(v[0], v[1]);
    const Vec c = _mm256_unpacklo_pd(v[2], v[3]), d = _mm256_unpackhi_pd(v[2], v[3]);
    v[0] = _mm256_permute2f128_pd(a, c, 0x20);
    v[1] = _mm256_permute2f128_pd(b, d, 0x20);
    v[2] = _mm256_permute2f128_pd(a, c, 0x31);
    v[3] = _mm256_permute2f128_pd(b, d, 0x31);
  }
  HEARTH_INLINE static Vec larger(Vec a, Vec x) {
    const Vec magnitude = _mm256_andnot_pd(_mm256_set1_pd(-0.0), x);
    const __m256i greater = _mm256_cmpgt_epi64(_mm256_castpd_si256(magnitude), _mm256_castpd_si256(a));
    return _mm256_blendv_pd(a, magnitude, _mm256_castsi256_pd(greater));
  }
  HEARTH_INLINE static void store_rounded(std::uint32_t* p, Vec x) {
    const __m256i bits = _mm256_castpd_si256(_mm256_add_pd(x, _mm256_set1_pd(kBiasedRounder)));
    const __m256i low = _mm256_permutevar8x32_epi32(bits, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(low));
  }
};

constexpr EmbeddingKernels kTable = EmbeddingPasses<Lanes>::table("avx2");

}  // namespace

const EmbeddingKernels* embedding_avx2() { return &kTable; }

}  // namespace hearth::ckks
#else
namespace hearth::ckks {
const EmbeddingKernels* embedding_avx2() { return nullptr; }
}  // namespace hearth::ckks
#endif
