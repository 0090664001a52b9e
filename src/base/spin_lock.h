#pragma once

#include <mutex>

namespace hearth {

/// Locks a mutex that is held for microseconds, by threads that compute: looks again for a while before it sleeps,
/// since to be woken up takes longer, most of all on a virtual machine.
inline std::unique_lock<std::mutex> spin_lock(std::mutex& mutex) {
  constexpr int kLooks = 1000;  // some 20 us
  for (int i = 0; i < kLooks; ++i) {
    if (mutex.try_lock()) return {mutex, std::adopt_lock};
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  return std::unique_lock(mutex);
}

}  // namespace hearth
