#pragma once

#include <fmt/format.h>

#include <utility>

#include "hearth/error.h"

namespace hearth {

/// Throws Error(kind) with a message formatted by libfmt.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws unless `condition` holds. For checks of arguments and files; always on.
template <typename... Args>
void require(bool condition, ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) fail(kind, format, std::forward<Args>(args)...);
}

}  // namespace hearth
