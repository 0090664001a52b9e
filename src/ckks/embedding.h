#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <vector>

namespace hearth::ckks {

/// Twiddle factors of the special Fourier transform for up to `slots` values (a power of two): entry h + j, for h = 1,
/// 2, 4.. slots/2 and j < h, is exp(2 pi i (5^j mod 8h) / 8h), rounded from extended precision. They serve every
/// smaller size too.
std::vector<std::complex<double>> embedding_twiddles(std::size_t slots);

/// Special Fourier transform (Cheon, Han, Kim, Kim, Song 2018, section 5), in place, O(p log p). Value j holds
/// coefficients j and j + p of a polynomial of 2p coefficients as real and imaginary part; afterwards value j is the
/// polynomial at zeta^(5^j), zeta = exp(2 pi i / 4p). p is a power of two, at most the size of the twiddles.
void embed(std::span<std::complex<double>> values, std::span<const std::complex<double>> twiddles);
/// The inverse, including the factor 1/p.
void embed_inverse(std::span<std::complex<double>> values, std::span<const std::complex<double>> twiddles);

}  // namespace hearth::ckks
