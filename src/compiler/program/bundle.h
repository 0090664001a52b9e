#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "compiler/program/program.h"

namespace hearth::compiler {

/// What `hearth compile` foretells; printed, and kept in both bundles.
struct Prediction {
  double security_bits = 0;  ///< estimate, at least 128 unless security is off
  double log_qp = 0, log_qp_limit = 0;
  int log_n = 0;
  int levels = 0;
  int rotation_keys = 0;
  double key_bytes_file = 0;    ///< evaluation keys as uploaded (seeded)
  double key_bytes_memory = 0;  ///< as a server of this kind of processor holds them
  double input_bytes = 0, output_bytes = 0;
  double plaintext_bytes = 0;  ///< encoded weights in memory
  double seconds = 0;          ///< one inference on `threads` threads, after loading
  int threads = 1;
  std::vector<double> instruction_seconds;  ///< shares of `seconds`, one an instruction; none in client bundles
  double peak_bytes = 0;                    ///< of the server process
  /// Keys, ciphertexts and diagonals that one inference reads and writes: those of every primitive once, as moved_bytes
  /// of compiler/program/work.h counts them, and diagonals that were encoded ahead at each use.
  double moved_bytes = 0;
  double output_error = 0;  ///< expected rms error of one output, absolute
  double output_rms = 0;    ///< rms of the outputs on the calibration inputs, to compare with
};

/// All a server needs; no secrets. `model_id` is a 128-bit hash of the program; client bundles carry the same.
struct ServerBundle {
  Program program;
  Prediction prediction;
  std::array<std::uint8_t, 16> model_id{};
};

/// What the client does to raw inputs before it encrypts them: (x / divisor - mean[c]) / deviation[c], c along axis 1
/// of the input. `mean` and `deviation` have one entry a channel, or one for all, or none (0 and 1).
struct Normalisation {
  double divisor = 1;
  std::vector<double> mean, deviation;
  bool operator==(const Normalisation&) const = default;
};

/// Longest name of a class, in bytes.
inline constexpr std::size_t kMaxClassName = 256;
/// Largest ClientBundle::image_resize.
inline constexpr int kMaxImageResize = 1 << 16;

/// All a client needs; no weights. Inputs are float tensors in the shape of the ONNX input, before normalisation.
struct ClientBundle {
  std::string model;
  ckks::ParameterSpec parameters;
  ckks::KeyRequest keys;
  std::vector<std::int64_t> input_shape, output_shape;  ///< with the batch dimension 1
  Normalisation normalisation;
  int image_resize = 0;  ///< what the shorter side of an image becomes before the middle is cut out; 0: it stays
  Layout input_layout, output_layout;
  int input_level = 0;
  double input_scale = 1;
  double input_bound = 0;  ///< largest |value| met in calibration, normalised; larger inputs are warned about
  int output_level = 0;
  double output_scale = 1;
  double output_bound = 0;           ///< outputs beyond this wrap around
  std::vector<std::string> classes;  ///< names of the outputs, plain text (base/text.h), one for each value; or none
  Prediction prediction;
  std::array<std::uint8_t, 16> model_id{};
};

/// File forms (docs/format_bundle.md) inside the container format, kinds kServerBundle and kClientBundle. Reading is
/// hardened; Error(kCorrupt), Error(kMismatch) or Error(kUnsupported) with the path.
void write_bundle(const std::filesystem::path& path, const ServerBundle& bundle);
void write_bundle(const std::filesystem::path& path, const ClientBundle& bundle);
ServerBundle read_server_bundle(const std::filesystem::path& path);
ClientBundle read_client_bundle(const std::filesystem::path& path);
/// From memory, for fuzzing.
ServerBundle read_server_bundle(std::span<const std::byte> bytes);
ClientBundle read_client_bundle(std::span<const std::byte> bytes);

/// Hash of a program's bytes.
std::array<std::uint8_t, 16> model_id(const Program& program);

}  // namespace hearth::compiler
