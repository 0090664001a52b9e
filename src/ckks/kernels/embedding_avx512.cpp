#include "ckks/kernels/embedding_kernels.h"

#ifdef __AVX512F__
#include <immintrin.h>

#include "ckks/kernels/embedding_passes.h"

namespace hearth::ckks {
namespace {

struct Lanes {
  using Vec = __m512d;
  static constexpr int kLogLanes = 3;
  HEARTH_INLINE static Vec load(const double* p) { return _mm512_loadu_pd(p); }
  HEARTH_INLINE static void store(double* p, Vec v) { _mm512_storeu_pd(p, v); }
  HEARTH_INLINE static Vec broadcast(double x) { return _mm512_set1_pd(x); }
  HEARTH_INLINE static Vec add(Vec a, Vec b) { return _mm512_add_pd(a, b); }
  HEARTH_INLINE static Vec sub(Vec a, Vec b) { return _mm512_sub_pd(a, b); }
  HEARTH_INLINE static Vec mul(Vec a, Vec b) { return _mm512_mul_pd(a, b); }
  HEARTH_INLINE static void transpose(Vec (&v)[8]) {
    Vec t[8];
    unrolled<4>([&](auto i) __attribute__((always_inline)) {
      t[2 * i] = _mm512_unpacklo_pd(v[2 * i], v[2 * i + 1]);
      t[2 * i + 1] = _mm512_unpackhi_pd(v[2 * i], v[2 * i + 1]);
    });
    // t[c + 2 i]: column pairs c of rows 2i, 2i + 1. Now blocks of two lanes across rows 0..3 and 4..7.
    unrolled<2>([&](auto c) __attribute__((always_inline)) {
      v[c] = _mm512_shuffle_f64x2(t[c], t[2 + c], 0x88);
      v[2 + c] = _mm512_shuffle_f64x2(t[c], t[2 + c], 0xdd);
      v[4 + c] = _mm512_shuffle_f64x2(t[4 + c], t[6 + c], 0x88);
      v[6 + c] = _mm512_shuffle_f64x2(t[4 + c], t[6 + c], 0xdd);
    });
    // v[c]: blocks 0 and 2 of rows 0..3, v[2 + c]: blocks 1 and 3, v[4 + c], v[6 + c]: the same of rows 4..7.
    unrolled<2>([&](auto c) __attribute__((always_inline)) {
      t[c] = _mm512_shuffle_f64x2(v[c], v[4 + c], 0x88);
      t[4 + c] = _mm512_shuffle_f64x2(v[c], v[4 + c], 0xdd);
      t[2 + c] = _mm512_shuffle_f64x2(v[2 + c], v[6 + c], 0x88);
      t[6 + c] = _mm512_shuffle_f64x2(v[2 + c], v[6 + c], 0xdd);
    });
    unrolled<8>([&](auto i) __attribute__((always_inline)) { v[i] = t[i]; });
  }
  HEARTH_INLINE static Vec larger(Vec a, Vec x) {
    return _mm512_castsi512_pd(_mm512_max_epu64(_mm512_castpd_si512(a), _mm512_castpd_si512(_mm512_abs_pd(x))));
  }
  HEARTH_INLINE static void store_rounded(std::uint32_t* p, Vec x) {
    const __m512i bits = _mm512_castpd_si512(_mm512_add_pd(x, _mm512_set1_pd(kBiasedRounder)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi64_epi32(bits));
  }
};

constexpr EmbeddingKernels kTable = EmbeddingPasses<Lanes>::table("avx512");

}  // namespace

const EmbeddingKernels* embedding_avx512() { return &kTable; }

}  // namespace hearth::ckks
#else
namespace hearth::ckks {
const EmbeddingKernels* embedding_avx512() { return nullptr; }
}  // namespace hearth::ckks
#endif
