#pragma once

#include <cstddef>
#include <functional>

namespace hearth {

/// Sets how many threads parallel_for may use in this process (at least 1). Default: all that the machine offers.
void set_threads(int count);
int threads();

/// Calls body(i) for begin <= i < end, in any order, possibly at once on several threads; returns when all are done.
/// The first exception thrown by a body is rethrown here. Nested calls are allowed and share the same threads.
void parallel_for(std::size_t begin, std::size_t end, const std::function<void(std::size_t)>& body);

/// The same, but bodies begin in the order of their index, one after the other has begun; loops inside a body are
/// worked on by threads that have nothing else to do, never the other way round. For work that fetches what it needs:
/// whatever comes next is then known.
void parallel_for_in_order(std::size_t begin, std::size_t end, const std::function<void(std::size_t)>& body);

}  // namespace hearth
