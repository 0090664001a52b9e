#pragma once

#include "ring/kernels/kernels.h"

namespace hearth::ring::avx512 {

/// As in Kernels; for n a multiple of 16.
void dot(std::uint32_t* out, const std::uint32_t* const* a, const std::uint32_t* const* b, std::size_t count,
         int log_run, bool accumulate, std::size_t n, const Modulus& m);
void base_convert(std::uint32_t* const* out, const std::uint32_t* const* in, const BaseConvertView& view,
                  std::size_t n);

}  // namespace hearth::ring::avx512
