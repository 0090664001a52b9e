#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::ring {

/// Makes the first n residues below q of the stream (seed, stream): see sample_uniform_limb() in ring/random.h.
using UniformKernel = void (*)(std::uint32_t* out, std::size_t n, std::uint32_t q, const std::uint8_t* seed,
                               std::uint64_t stream);

/// With the vector AES instructions; null where this CPU lacks them, the build does, or HEARTH_ISA rules them out.
UniformKernel vaes_uniform();

}  // namespace hearth::ring
