#pragma once

#include <filesystem>
#include <vector>

#include "base/container.h"
#include "ckks/ciphertext.h"
#include "service/wire/binding.h"

namespace hearth::service {

enum class CiphertextRole : std::uint8_t {
  kInput = 1,  ///< made by a client, seeded
  kOutput = 2  ///< made by a server
};
std::string_view to_string(CiphertextRole role);

/// What a ciphertext file says about itself. Its tensors are independent inputs (or outputs) of one network, each
/// `ciphertexts` encrypted vectors.
struct CiphertextHead {
  Binding binding;
  CiphertextRole role = CiphertextRole::kInput;
  bool seeded = false;
  std::uint32_t tensors = 0;
  std::uint32_t ciphertexts = 0;  ///< in each tensor
};

inline constexpr std::uint32_t kMaxTensors = 1U << 19;

/// Writes a ciphertext file (docs/format_files.md), one tensor at a time, in order. Nothing appears at the path before
/// finish().
class CiphertextWriter {
 public:
  CiphertextWriter(const std::filesystem::path& path, const CiphertextHead& head, const ckks::ParameterSpec& spec);
  /// For files that are not (are) seeded. Error(kInternal) for another number of ciphertexts than the head says.
  void add(const std::vector<ckks::Ciphertext>& tensor);
  void add(const std::vector<ckks::SeededCiphertext>& tensor);
  /// Error(kInternal) unless all tensors were added.
  void finish();

 private:
  template <typename C>
  void add_tensor(const std::vector<C>& tensor);

  ContainerWriter out_;
  CiphertextHead head_;
  std::uint32_t next_ = 0;
};

/// A ciphertext file, opened: kind, head and sections are checked; tensors are read one at a time. A secret key file is
/// Error(kSecurity). Thread safe.
class CiphertextFile {
 public:
  explicit CiphertextFile(const std::filesystem::path& path);
  /// From memory that outlives the object; for fuzzing.
  explicit CiphertextFile(std::span<const std::byte> bytes);

  const CiphertextHead& head() const { return head_; }
  const ckks::ParameterSpec& parameters() const { return spec_; }
  const std::string& name() const { return file_.name(); }
  /// Tells contents apart, see ContainerReader::table_checksum.
  const Checksum& checksum() const { return file_.table_checksum(); }

  /// Error(kMismatch) naming what the file holds instead.
  void require_role(CiphertextRole role) const;
  /// Ciphertexts of tensor `index`, seeded ones expanded.
  std::vector<ckks::Ciphertext> read(const ckks::Parameters& parameters, std::uint32_t index) const;

 private:
  void open();

  ContainerReader file_;
  CiphertextHead head_;
  ckks::ParameterSpec spec_;
};

}  // namespace hearth::service
