#pragma once

#include <cstddef>
#include <string>

namespace hearth {

/// Most memory this process ever had resident, as the kernel counts it, in bytes.
std::size_t peak_rss_bytes();

/// Memory that this process has resident now, in bytes; 0 if it cannot be told.
std::size_t rss_bytes();

/// The processor's name as the kernel knows it, e.g. "AMD EPYC 9654 96-Core Processor"; "unknown processor" without
/// one.
std::string cpu_model();

/// Hardware threads that this process may use, at least 1.
int hardware_threads();

/// Memory of the machine in bytes; 0 if it cannot be told.
std::size_t total_memory_bytes();

}  // namespace hearth
