#include "base/checksum.h"

#if defined(__AVX2__)

// Everything of the library inline, so that it is compiled for these instructions.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace hearth::detail {

Checksum64 checksum64_avx2() {
  return [](const void* data, std::size_t bytes, std::uint64_t seed) -> std::uint64_t {
    return XXH3_64bits_withSeed(data, bytes, seed);
  };
}

}  // namespace hearth::detail

#else

namespace hearth::detail {

Checksum64 checksum64_avx2() { return nullptr; }

}  // namespace hearth::detail

#endif
