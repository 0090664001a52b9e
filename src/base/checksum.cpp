#include "base/checksum.h"

#include <xxhash.h>

#include <string_view>

#include "base/isa.h"

namespace hearth {
namespace {

std::uint64_t by_library(const void* data, std::size_t bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(data, bytes, seed);
}

detail::Checksum64 best() {
  const std::string_view isa = best_isa();
  detail::Checksum64 wide = nullptr;
  if (isa == "avx512") wide = detail::checksum64_avx512();
  if (isa == "avx2") wide = detail::checksum64_avx2();
  return wide != nullptr ? wide : by_library;
}

}  // namespace

std::uint64_t checksum64(std::span<const std::byte> data, std::uint64_t seed) {
  static const detail::Checksum64 function = best();
  return function(data.data(), data.size(), seed);
}

}  // namespace hearth
