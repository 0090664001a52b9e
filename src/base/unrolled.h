#pragma once

#include <utility>

#define HEARTH_INLINE [[gnu::always_inline]] inline

namespace hearth {

/// Calls f(integral_constant i) for i < kCount, unrolled, so that arrays indexed by i live in registers.
template <int kCount, typename F>
HEARTH_INLINE void unrolled(F&& f) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, kIndex>{}), ...);
  }
  (std::make_integer_sequence<int, kCount>{});
}

}  // namespace hearth
