#pragma once

#include "ckks/parameters.h"

namespace hearth::ckks {

inline constexpr int kMaxPrimes = 64;           ///< levels and special primes together
inline constexpr int kMaxConvertedPrimes = 48;  ///< source primes of one base conversion (ring::Kernels::base_convert)

/// Checks everything about a spec that needs no primes: counts, ranges, coverage. Error(kInvalidArgument) otherwise.
/// Cheap, and safe on hostile input.
void check_spec(const ParameterSpec& spec);

}  // namespace hearth::ckks
