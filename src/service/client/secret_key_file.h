#pragma once

#include <filesystem>

#include "ckks/secret/secret_key.h"
#include "service/wire/binding.h"

namespace hearth::service {

/// A secret key with what it belongs to. Move-only; wiped on destruction.
struct ClientSecret {
  Binding binding;
  ckks::SecretKey key;
};

/// Section of a secret key file that holds the ternary coefficients.
inline constexpr SectionTag kTernarySection = section_tag("TERN");

/// Writes a secret key file (docs/format_files.md), mode 0600; temporaries are wiped. Time and memory access do not
/// depend on the coefficients. An existing file is replaced: callers ask first.
void write_secret_key(const std::filesystem::path& path, const ClientSecret& secret);
/// The same, but nothing appears at the writer's path before its finish(). `out` is of kind kSecretKey.
void prepare_secret_key(ContainerWriter& out, const ClientSecret& secret);
ClientSecret read_secret_key(const std::filesystem::path& path);
/// From memory, for fuzzing.
ClientSecret read_secret_key(std::span<const std::byte> bytes);

}  // namespace hearth::service
