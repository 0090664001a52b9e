#pragma once

#include <cstdint>

#include "ring/ntt.h"

namespace hearth::ring::avx512 {

/// As in Kernels; for log_n >= 8.
void ntt_forward(std::uint32_t* x, const NttTables& t);
void ntt_inverse(std::uint32_t* x, const NttTables& t);

/// How many stages the outermost pass over 2^log_len residues takes; the rest, but the last eight, follow block by
/// block. Sixteen streams fill the registers, and blocks of up to 2^12 residues stay in the first-level cache.
constexpr int pass_stages(int log_len) {
  const int left = log_len - 8;
  return left <= 4 ? left : left <= 8 ? left - 4 : 4;
}

}  // namespace hearth::ring::avx512
