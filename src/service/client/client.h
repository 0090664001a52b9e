#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/npy.h"
#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "compiler/program/bundle.h"
#include "service/client/secret_key_file.h"
#include "service/wire/evaluation_key_file.h"

namespace hearth::service {

struct EncryptReport {
  std::size_t inputs = 0;
  float largest = 0;                  ///< |value| met, normalised
  std::vector<std::string> warnings;  ///< one sentence each
};

struct DecryptReport {
  std::vector<std::string> warnings;
};

/// The owner's side of one compiled model: keys, encryption, decryption. Const methods are thread safe.
class Client {
 public:
  /// Reads a client bundle. Bundles come from the server's side, so parameters below 128 bits of security are
  /// Error(kSecurity) unless `allow_insecure`.
  explicit Client(const std::filesystem::path& bundle, bool allow_insecure = false);

  const compiler::ClientBundle& bundle() const { return bundle_; }
  const ckks::Parameters& parameters() const { return *parameters_; }

  /// Makes a secret key and its evaluation keys and writes both files. Neither appears before both are complete, the
  /// secret key last: whatever fails, and whenever, a secret key that was there stays until all of the new ones are in
  /// place. Error(kInvalidArgument) if the secret key file exists, unless `overwrite`. Keys are made and
  /// written a few at a time.
  void make_keys(const std::filesystem::path& secret_file, const std::filesystem::path& evaluation_file,
                 bool overwrite = false, const ProgressFunction& progress = {}) const;

  /// Reads a secret key file; Error(kMismatch) if it belongs to another model.
  ClientSecret load_secret(const std::filesystem::path& file) const;

  /// One input before normalisation: as many values as bundle().input_shape has elements, row-major.
  /// Error(kInvalidArgument) for values that are not finite or, normalised, kRefusedFactor times beyond the calibrated
  /// range.
  std::vector<ckks::SeededCiphertext> encrypt(const ClientSecret& secret, std::span<const float> input) const;
  /// One output in row-major order of bundle().output_shape. Error(kMismatch) unless level, scale and number of
  /// ciphertexts are the model's.
  std::vector<float> decrypt(const ClientSecret& secret, std::span<const ckks::Ciphertext> output) const;

  /// Encrypts inputs [first, first + count) of an array (`name` for messages) into a ciphertext file.
  EncryptReport encrypt_file(const ClientSecret& secret, const NpyArray& inputs, const std::string& name,
                             std::size_t first, std::size_t count, const std::filesystem::path& output,
                             const ProgressFunction& progress = {}) const;
  /// Decrypts a file of outputs: shape {count, output_shape without the batch dimension...}.
  NpyArray decrypt_file(const ClientSecret& secret, const std::filesystem::path& input, DecryptReport* report = nullptr,
                        const ProgressFunction& progress = {}) const;

  /// Inputs this many times larger than any seen in calibration are refused: outputs would wrap around.
  static constexpr double kRefusedFactor = 8;

 private:
  Binding binding_with(const KeyId& key_id) const;
  double check_range(std::span<const float> input, const std::string& name) const;
  std::vector<ckks::SeededCiphertext> encrypt_normalised(const ClientSecret& secret,
                                                         std::span<const float> input) const;

  std::string name_;
  compiler::ClientBundle bundle_;
  ckks::ParametersPtr parameters_;
  ckks::Encoder encoder_;
};

}  // namespace hearth::service
