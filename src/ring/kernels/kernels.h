#pragma once

#include <cstddef>
#include <cstdint>

#include "ring/modulus.h"
#include "ring/ntt.h"

namespace hearth::ring {

/// Constants of one exact base conversion from k source primes q_i (product Q) to m target primes p_j. See
/// base_convert.
struct BaseConvertView {
  std::size_t k = 0, m = 0;
  const Modulus* source = nullptr;         ///< k
  const Modulus* target = nullptr;         ///< m
  const std::uint32_t* hat_inv = nullptr;  ///< k: (Q/q_i)^-1 mod q_i
  const std::uint32_t* hat_inv_shoup = nullptr;
  const std::uint32_t* reciprocal = nullptr;    ///< k: floor(2^58 / q_i), which fits 32 bits since every q_i > 2^26;
                                                ///< for smaller q_i use reciprocal64
  const std::uint64_t* reciprocal64 = nullptr;  ///< k: floor(2^58 / q_i)
  const std::uint32_t* hat = nullptr;           ///< m x k row-major: (Q/q_i) mod p_j in Montgomery form
  const std::uint32_t* neg_q = nullptr;         ///< m: -Q mod p_j in Montgomery form
};

/// Table of kernels for one instruction set. Every kernel is bit-exact with the scalar one: all results are canonical,
/// in [0, q), and all arguments are canonical unless a bound is stated. `n` is a power of two (any >= 1: vector
/// versions fall back to scalar code for short arrays). Pointers need no alignment beyond 4 bytes; limbs of Poly are
/// 64-byte aligned, which the fast paths exploit. Outputs may equal inputs exactly (in place) but not overlap
/// partially, unless said otherwise. All are pure and thread safe.
struct Kernels {
  const char* name;  ///< "scalar", "avx2", "avx512"

  /// In place, see NttTables. Inputs may be lazy: forward accepts [0, 4q), inverse accepts [0, 2q).
  void (*ntt_forward)(std::uint32_t* x, const NttTables& t);
  void (*ntt_inverse)(std::uint32_t* x, const NttTables& t);

  void (*add)(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::size_t n, const Modulus& m);
  void (*sub)(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::size_t n, const Modulus& m);
  void (*negate)(std::uint32_t* out, const std::uint32_t* a, std::size_t n, const Modulus& m);
  /// out = a * b mod q, all in plain form.
  void (*mul)(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::size_t n, const Modulus& m);
  /// out = a * w mod q; a may be any uint32_t.
  void (*mul_scalar)(std::uint32_t* out, const std::uint32_t* a, std::uint32_t w, std::uint32_t w_shoup, std::size_t n,
                     const Modulus& m);
  /// out = (a - b) * w mod q: the last step of rescaling and ModDown.
  void (*sub_mul_scalar)(std::uint32_t* out, const std::uint32_t* a, const std::uint32_t* b, std::uint32_t w,
                         std::uint32_t w_shoup, std::size_t n, const Modulus& m);
  /// out[i] = sum_{k < count} a[k][i] * b[k][i >> log_run] * 2^-32 mod q. With b in Montgomery form this is the plain
  /// dot product. Any count >= 0 (partial sums are reduced before 64 bits overflow). b[k] holds n >> log_run entries.
  /// `accumulate`: add to out instead of overwriting it. The workhorse of key switching and linear maps.
  void (*dot)(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b, std::size_t count,
              int log_run, bool accumulate, std::size_t n, const Modulus& m);
  /// Exact base conversion in the coefficient domain: in[i] (k rows) are the residues of x; out[j] (m rows) become the
  /// residues modulo p_j of the representative of x in [-Q/2, Q/2] (up to 2^-20 Q beyond, where rounding decides).
  /// y_i = x_i * hat_inv_i mod q_i; v = (sum_i y_i * reciprocal_i + 2^57) >> 58; out_j = sum_i y_i hat_ij - v Q mod
  /// p_j. k <= 48. Outputs must not alias inputs.
  void (*base_convert)(std::uint32_t* const* out, const std::uint32_t* const* in, const BaseConvertView& view,
                       std::size_t n);
  /// The inverse of pack_words (ring/packed.h): n words, a multiple of kPackGroup, from packed_words(n). out must not
  /// alias in.
  void (*unpack)(std::uint32_t* out, const std::uint32_t* in, std::size_t n);
  /// dot with log_run = 0 and rows of b that are packed (ring/packed.h). n a multiple of kPackGroup, count <=
  /// kMostPacked.
  void (*dot_packed)(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b,
                     std::size_t count, bool accumulate, std::size_t n, const Modulus& m);
  /// Automorphism X -> X^g on values in NTT order (bit-reversed, see NttTables): out[i] = in[j(i)] where
  /// 2 brv(j) + 1 = g (2 brv(i) + 1) mod 2n. g odd. out must not alias in.
  void (*automorphism)(std::uint32_t* out, const std::uint32_t* in, std::uint32_t g, int log_n);
};

/// The best table this CPU supports, chosen once. Environment variable HEARTH_ISA = scalar | avx2 | avx512 caps it. In
/// a dry run (base/dry_run.h), kernels that change nothing.
const Kernels& kernels();

/// memcpy of n words; nothing in a dry run.
void copy_words(std::uint32_t* out, const std::uint32_t* in, std::size_t n);

/// The table of one instruction set, or nullptr when this CPU lacks it. Names as in Kernels::name.
const Kernels* kernels_for(const char* name);

}  // namespace hearth::ring
