#pragma once

#include <cstdint>

#include "ring/ntt.h"

namespace hearth::ring::avx512 {

/// As in Kernels; for log_n >= 8.
void ntt_forward(std::uint32_t* x, const NttTables& t);
void ntt_inverse(std::uint32_t* x, const NttTables& t);

}  // namespace hearth::ring::avx512
