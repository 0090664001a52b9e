#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/buffer.h"

namespace hearth::ckks {

/// Twiddle factors of the special Fourier transform (see embedding_twiddles) as separate real and imaginary parts.
struct TwiddleView {
  const double *re, *im;
};
class SplitTwiddles {
 public:
  explicit SplitTwiddles(std::span<const std::complex<double>> twiddles);
  TwiddleView view() const { return {re_.data(), im_.data()}; }

 private:
  Buffer<double> re_, im_;
};

/// The encoding half of the embedding on separate real and imaginary parts, for one instruction set. All sets give the
/// same bits, those of embed_inverse: the same operations in the same order, never fused. Pure and thread safe.
struct EmbeddingKernels {
  const char* name;      ///< "scalar", "avx2", "avx512"
  std::size_t smallest;  ///< number of values from which on round() can be used

  /// Transforms `size` values (a power of two from `smallest` to that of the twiddles), multiplies the coefficients by
  /// factor * size, rounds them to nearest and adds 2^31: out[j] from the real part, out[size + j] from the imaginary
  /// part of value j of embed_inverse. Returns the largest magnitude of a product before it is rounded, or something
  /// not below infinity when one is not finite; `out` means something only where that is below 2^31 - 1. `re` and `im`
  /// are working memory afterwards. No array may overlap another.
  double (*round)(std::uint32_t* out, double* re, double* im, TwiddleView twiddles, std::size_t size, double factor);
};

/// For the instruction set of ring::kernels().
const EmbeddingKernels& embedding_kernels();
/// By name, or nullptr when this CPU lacks the set. The scalar one always exists.
const EmbeddingKernels* embedding_kernels_for(const char* name);

// What the files compiled for one instruction set define; nullptr when the compiler does not target x86.
const EmbeddingKernels* embedding_avx2();
const EmbeddingKernels* embedding_avx512();

}  // namespace hearth::ckks
