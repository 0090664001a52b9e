#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "compiler/program/layout.h"

namespace hearth::compiler {

/// What a slot of a grid point holds: a channel, and which of the image rows that share a grid row.
struct GridEntry {
  std::int32_t channel = -1;  ///< -1: nothing
  std::int32_t phase = 0;
  bool operator==(const GridEntry&) const = default;
};

/// Placement of an image on a grid that all images of a network share, so that convolutions have diagonals of a short
/// period and strides move nothing.
///
/// The slots of a ciphertext are `rows` grid rows of slots / rows slots, and those are columns of `pitch` slots.
/// Element (ch, y, x), y = phases * y' + p, sits in row y', column x, at the entry (ch, p): entry number k * pitch + e
/// means slot e of every grid point of ciphertext k. An image with half the resolution has half the phases and twice
/// the pitch, and its pixel (y, x) begins where pixel (2 y, 2 x) of the finer one does. Grid points outside the image
/// are margins, which convolutions read as zeros.
///
/// `repeated`: a vector {C, 1, 1}, held by every grid point alike.
struct GridLayout {
  int slots = 1;
  int rows = 1;
  int pitch = 1;
  int phases = 1;
  std::array<int, 3> shape = {1, 1, 1};  ///< channels, height, width
  bool repeated = false;
  std::vector<GridEntry> entries;  ///< a multiple of pitch

  int ciphertexts() const { return static_cast<int>(entries.size()) / pitch; }
  int row_slots() const { return slots / rows; }
  int columns() const { return row_slots() / pitch; }
  int period() const { return repeated ? pitch : slots; }
  bool operator==(const GridLayout&) const = default;
};

using GridLayoutPtr = std::shared_ptr<const GridLayout>;

/// Entries in the order of phase, then channel, filled up to whole ciphertexts.
std::vector<GridEntry> grid_entries(int channels, int phases, int pitch);

/// [phase * channels + channel] -> number of the entry.
std::vector<std::int32_t> entry_numbers(const GridLayout& layout);

/// Throws Error(kCorrupt) unless extents are powers of two where they must be, the image fits the grid, and every
/// channel and phase has exactly one entry.
void check(const GridLayout& layout);

/// The same placement as a table.
Layout as_table(const GridLayout& layout);

/// One vector of length period() a ciphertext: bias[ch] at every element, `margin` in all other slots (of a vector: in
/// unused entries). bias.size() == channels, or empty for zeros.
std::vector<double> grid_constant(const GridLayout& layout, int ciphertext, const std::vector<float>& bias,
                                  double margin);

}  // namespace hearth::compiler
