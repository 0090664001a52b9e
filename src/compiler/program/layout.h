#pragma once

#include <cstdint>
#include <vector>

namespace hearth::compiler {

/// Where one element of a tensor sits: slot `slot` (of the first period) of ciphertext `ciphertext`. An element that is
/// always zero (padding) has no place: ciphertext == -1.
struct Place {
  std::int32_t ciphertext = -1;
  std::int32_t slot = 0;
  bool operator==(const Place&) const = default;
};

/// Placement of a tensor in the slots of a list of ciphertexts. Element e (row-major index) sits at places[e], repeated
/// every `period` slots over the whole ciphertext (period is a power of two). Slots that hold no element hold anything
/// bounded; nobody reads them. Because a layout is a table, reshape, transpose, slice, zero padding and concatenation
/// move no data.
struct Layout {
  std::vector<Place> places;
  int ciphertexts = 1;
  int period = 1;
  bool operator==(const Layout&) const = default;
};

}  // namespace hearth::compiler
