#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "base/container.h"
#include "ckks/ciphertext.h"

namespace hearth::runtime {

// The files of a checkpoint (docs/format_checkpoint.md): one a value, and a manifest that names them. Readers treat
// them as hostile: Error(kCorrupt) for impossible bytes. All functions are thread safe.

/// Everything that the bits of a run depend on.
struct RunIdentity {
  std::string model;  ///< for messages only
  std::array<std::uint8_t, 16> model_id{};
  std::uint64_t parameters_id = 0;
  std::array<std::uint8_t, 16> key_id{};
  Checksum keys{};   ///< of the evaluation keys' file (ContainerReader::table_checksum)
  Checksum input{};  ///< of the file of encrypted inputs
  std::uint32_t inputs = 0;
  std::string program;  ///< version of Hearth, e.g. "0.1.0"
};

/// A value file, and the contents it must have.
struct StoredValue {
  std::uint32_t input = 0;
  std::uint32_t instruction = 0;
  Checksum checksum{};  ///< ContainerReader::table_checksum
};

struct Manifest {
  RunIdentity identity;
  std::uint32_t instructions = 0;     ///< of the program
  std::vector<StoredValue> finished;  ///< outputs of the first inputs, in order
  std::uint32_t next = 0;             ///< instruction of the first input that is not finished
  std::vector<double> seconds;        ///< that those before it took
  std::vector<StoredValue> live;      ///< results of that input that are still needed, ascending
};

void write_manifest(const std::filesystem::path& path, const Manifest& manifest);
/// What is read is consistent in itself; whether it fits a program is the caller's to check.
Manifest read_manifest(const ContainerReader& file);

struct ValueContents {
  std::uint32_t input = 0;
  std::uint32_t instruction = 0;
  std::vector<double> seconds;  ///< of every instruction, with an output
  std::vector<ckks::Ciphertext> value;
};

/// Returns the file's checksum.
Checksum write_value(const std::filesystem::path& path, std::uint32_t input, std::uint32_t instruction,
                     const std::vector<double>& seconds, const std::vector<ckks::Ciphertext>& value);
ValueContents read_value(const ContainerReader& file, const ckks::Parameters& parameters);

}  // namespace hearth::runtime
