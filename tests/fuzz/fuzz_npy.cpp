/// Parses NumPy files, with a bound on the elements so that a large claim is refused and not searched for.

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/npy.h"
#include "hearth/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::int64_t kMaxElements = 1 << 20;
  try {
    const hearth::NpyArray array = hearth::parse_npy(std::as_bytes(std::span(data, size)), kMaxElements);
    std::uint64_t elements = 1;  // may wrap around beside an extent of 0
    for (const std::int64_t extent : array.shape) elements *= static_cast<std::uint64_t>(extent);
    if (elements != array.values.size()) __builtin_trap();
  } catch (const hearth::Error& error) {
    if (error.kind() == hearth::ErrorKind::kInternal) __builtin_trap();
  }
  return 0;
}
