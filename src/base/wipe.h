#pragma once

#include <string.h>

#include <cstddef>
#include <type_traits>
#include <vector>

#include "base/buffer.h"

namespace hearth {

/// Overwrites memory with zeros in a way that the compiler keeps. For secrets that are no longer needed.
inline void secure_wipe(void* data, std::size_t bytes) noexcept {
  if (bytes) explicit_bzero(data, bytes);
}

/// Wipes the elements; what a vector freed when it grew is beyond reach, so reserve before filling it with secrets.
template <typename T>
void secure_wipe(std::vector<T>& values) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  secure_wipe(values.data(), values.size() * sizeof(T));
}
template <typename T>
void secure_wipe(Buffer<T>& values) noexcept {
  secure_wipe(values.data(), values.size() * sizeof(T));
}

}  // namespace hearth
