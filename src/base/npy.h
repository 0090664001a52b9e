#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace hearth {

/// A NumPy array as Hearth uses it: C order, converted to float32 whatever the file held.
struct NpyArray {
  std::vector<std::int64_t> shape;  ///< none for a scalar
  std::vector<float> values;        ///< row-major, product of shape elements

  bool operator==(const NpyArray&) const = default;
};

/// Largest number of elements that read_npy accepts unless told otherwise (1 GiB of float32).
inline constexpr std::int64_t kMaxNpyElements = std::int64_t{1} << 28;

/// Reads a .npy file or its bytes: versions 1 to 3, C order, little-endian float32, float64, int32, int64 or uint8.
/// Values are rounded to float32 (integers above 2^24 lose digits). The file is treated as hostile. Throws Error(kIo)
/// if it cannot be opened or read; Error(kCorrupt) if it is not a well-formed .npy file or its length does not match
/// its shape exactly; Error(kUnsupported) for another element type, Fortran or big-endian order; Error(kResource) above
/// `max_elements`. Thread safe.
NpyArray read_npy(const std::filesystem::path& path, std::int64_t max_elements = kMaxNpyElements);
NpyArray parse_npy(std::span<const std::byte> bytes, std::int64_t max_elements = kMaxNpyElements);

/// Writes a version 1.0 .npy file of float32 or int32. Throws Error(kInvalidArgument) if the shape does not match the
/// number of values, Error(kIo) if writing fails. An existing file is replaced, and only by a
/// complete one; a secret key of Hearth is not (Error(kInvalidArgument)).
void write_npy(const std::filesystem::path& path, std::span<const std::int64_t> shape, std::span<const float> values);
void write_npy(const std::filesystem::path& path, std::span<const std::int64_t> shape,
               std::span<const std::int32_t> values);

/// What write_npy writes.
std::vector<std::byte> format_npy(std::span<const std::int64_t> shape, std::span<const float> values);
std::vector<std::byte> format_npy(std::span<const std::int64_t> shape, std::span<const std::int32_t> values);

}  // namespace hearth
