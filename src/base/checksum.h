#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hearth {

/// XXH3 of 64 bits with a seed, by the widest instructions there are (the library as it is packaged uses those that every
/// CPU has). Detects damage, not malice. Thread safe.
std::uint64_t checksum64(std::span<const std::byte> data, std::uint64_t seed);

namespace detail {

using Checksum64 = std::uint64_t (*)(const void* data, std::size_t bytes, std::uint64_t seed);
/// Null where the build has no such instructions; callable only on CPUs that have them.
Checksum64 checksum64_avx2();
Checksum64 checksum64_avx512();

}  // namespace detail
}  // namespace hearth
