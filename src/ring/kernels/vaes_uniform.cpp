#include "ring/kernels/uniform.h"

#if defined(__VAES__) && defined(__AVX512F__) && defined(__AVX512BW__)

#include <cpuid.h>
#include <immintrin.h>

#include <bit>
#include <cstring>
#include <string_view>

#include "base/isa.h"

namespace hearth::ring {
namespace {

constexpr int kRounds = 14;
constexpr std::size_t kVectors = 4;            // encrypted together, to hide the latency of a round
constexpr std::size_t kWords = 16 * kVectors;  // words made by one step

/// The key schedule of AES-256 (FIPS 197, section 5.2), every round key in all four lanes.
struct RoundKeys {
  __m512i key[kRounds + 1];
};

/// Words w[i-1] + ... folded into the next four: the running exclusive or of the previous eight words' first half.
__m128i folded(__m128i previous, __m128i assist) {
  previous = _mm_xor_si128(previous, _mm_slli_si128(previous, 4));
  previous = _mm_xor_si128(previous, _mm_slli_si128(previous, 8));
  return _mm_xor_si128(previous, assist);
}

template <int constant>
void next_pair(__m128i& even, __m128i& odd) {
  even = folded(even, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(odd, constant), 0xff));
  odd = folded(odd, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(even, 0), 0xaa));
}

RoundKeys schedule(const std::uint8_t* seed) {
  __m128i even = _mm_loadu_si128(reinterpret_cast<const __m128i*>(seed));
  __m128i odd = _mm_loadu_si128(reinterpret_cast<const __m128i*>(seed + 16));
  RoundKeys keys;
  int next = 0;
  const auto put = [&] {
    keys.key[next++] = _mm512_broadcast_i32x4(even);
    if (next <= kRounds) keys.key[next++] = _mm512_broadcast_i32x4(odd);
  };
  put();
  next_pair<0x01>(even, odd), put();
  next_pair<0x02>(even, odd), put();
  next_pair<0x04>(even, odd), put();
  next_pair<0x08>(even, odd), put();
  next_pair<0x10>(even, odd), put();
  next_pair<0x20>(even, odd), put();
  next_pair<0x40>(even, odd), put();
  return keys;
}

/// Counter blocks in order: the low half of a lane holds the stream, the high half the count, big-endian.
class Counter {
 public:
  explicit Counter(std::uint64_t stream)
      : count_(_mm512_set_epi64(3, static_cast<long long>(stream), 2, static_cast<long long>(stream), 1,
                                static_cast<long long>(stream), 0, static_cast<long long>(stream))) {}
  __m512i next() {
    const __m512i reversed = _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 4, 3, 2, 1, 0));
    const __m512i out = _mm512_shuffle_epi8(count_, reversed);
    count_ = _mm512_add_epi64(count_, _mm512_set_epi64(4, 0, 4, 0, 4, 0, 4, 0));
    return out;
  }

 private:
  __m512i count_;
};

/// Writes the kept of the next kWords words, and up to 15 words of anything behind them; returns how many were kept.
std::size_t step(std::uint32_t* out, const RoundKeys& keys, Counter& counter, __m512i mask, __m512i bound) {
  __m512i x[kVectors];
  for (__m512i& v : x) v = _mm512_xor_si512(counter.next(), keys.key[0]);
  for (int round = 1; round < kRounds; ++round) {
    for (__m512i& v : x) v = _mm512_aesenc_epi128(v, keys.key[round]);
  }
  std::size_t kept = 0;
  for (__m512i& v : x) {
    const __m512i word = _mm512_and_si512(_mm512_aesenclast_epi128(v, keys.key[kRounds]), mask);
    const __mmask16 below = _mm512_cmplt_epu32_mask(word, bound);
    _mm512_storeu_si512(out + kept, _mm512_maskz_compress_epi32(below, word));
    kept += static_cast<std::size_t>(std::popcount(static_cast<unsigned>(below)));
  }
  return kept;
}

void uniform(std::uint32_t* out, std::size_t n, std::uint32_t q, const std::uint8_t* seed, std::uint64_t stream) {
  const RoundKeys keys = schedule(seed);
  Counter counter(stream);
  const __m512i mask = _mm512_set1_epi32(static_cast<int>((1U << std::bit_width(q)) - 1));
  const __m512i bound = _mm512_set1_epi32(static_cast<int>(q));
  std::size_t have = 0;
  while (have + kWords <= n) have += step(out + have, keys, counter, mask, bound);
  while (have < n) {
    std::uint32_t words[kWords + 15];
    const std::size_t kept = step(words, keys, counter, mask, bound), taken = kept < n - have ? kept : n - have;
    std::memcpy(out + have, words, taken * sizeof(std::uint32_t));
    have += taken;
  }
}

}  // namespace

UniformKernel vaes_uniform() {
  // Not every compiler's __builtin_cpu_supports knows these names. CPUID leaf 7, ECX bit 9: VAES; leaf 1, ECX bit 25:
  // AES.
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool wide = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & 1U << 9) != 0;
  const bool narrow = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & 1U << 25) != 0;
  return wide && narrow && std::string_view(best_isa()) == "avx512" ? uniform : nullptr;
}

}  // namespace hearth::ring

#else

namespace hearth::ring {

UniformKernel vaes_uniform() { return nullptr; }

}  // namespace hearth::ring

#endif
