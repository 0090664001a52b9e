#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/section_data.h"
#include "ckks/parameters.h"
#include "hearth/error.h"

namespace hearth::service {

using ModelId = std::array<std::uint8_t, 16>;
/// Random name of a secret key, written into everything made from it; says nothing about the key.
using KeyId = std::array<std::uint8_t, 16>;

/// Lower-case hexadecimal.
std::string to_hex(std::span<const std::uint8_t> bytes);

/// What a key or ciphertext file belongs to. Files are used together only if they agree, and are refused by name
/// otherwise: ciphertexts of other parameters or another layout would decrypt to noise that looks like an answer.
struct Binding {
  std::string model;  ///< for messages only
  ModelId model_id{};
  std::uint64_t parameters_id = 0;
  KeyId key_id{};
};

/// Section tags shared by the files of this folder.
inline constexpr SectionTag kHeadSection = section_tag("HEAD");
inline constexpr SectionTag kParameterSection = section_tag("PARM");

void write_binding(ByteWriter& out, const Binding& binding);
Binding read_binding(ByteReader& in);

/// Error(kMismatch) unless `file` belongs to the same model and parameters as `other` (names for the message).
void require_same_model(const Binding& a, const std::string& file, const Binding& b, const std::string& other);
/// Error(kMismatch) unless both were made with the same secret key.
void require_same_key(const Binding& a, const std::string& file, const Binding& b, const std::string& other);

/// The parameter spec in section PARM, without making parameters of it.
ckks::ParameterSpec read_parameter_section(const ContainerReader& file);
void write_parameter_section(ContainerWriter& out, const ckks::ParameterSpec& spec);

/// Checks that a file has the sections `first...` and after them only sections `repeated`, `count` of them; unknown
/// sections are refused.
void require_sections(const ContainerReader& file, std::initializer_list<SectionTag> first, SectionTag repeated,
                      std::size_t count);

/// Runs `body`, which checks contents of `file`. Errors get the file's name; what the called function took for a wrong
/// argument is, coming from a file, Error(kCorrupt).
template <typename Body>
auto naming(const std::string& file, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    const bool argument = error.kind() == ErrorKind::kInvalidArgument;
    throw Error(argument ? ErrorKind::kCorrupt : error.kind(), file + ": " + error.what());
  }
}

/// Like file.require_kind, but a secret key where none may be is Error(kSecurity) that says so.
void require_public_kind(const ContainerReader& file, FileKind expected);

}  // namespace hearth::service
