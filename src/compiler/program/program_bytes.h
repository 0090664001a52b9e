#pragma once

#include "base/bytes.h"
#include "compiler/program/bundle.h"

/// Byte forms of what bundles are made of (docs/format_bundle.md). Readers treat input as hostile: counts are checked
/// against the bytes left before anything is allocated, indices and powers of two against `parameters`, numbers for
/// being finite; Error(kCorrupt) names the object. Memory is a small multiple of the bytes read.
namespace hearth::compiler {

/// Most ciphertexts that one tensor may take.
inline constexpr int kMaxTensorCiphertexts = 1 << 16;

/// A program without its parameter spec. `program` receives the structure, `weights` the numbers: diagonals rounded to
/// float32, biases and constants as float64. Writing what was read gives the same bytes. Error(kInvalidArgument) for a
/// diagonal entry beyond float32.
void write_program(ByteWriter& program, ByteWriter& weights, const Program& value);
/// Reads both to their ends. Does not call compiler::check. The result's `parameters` is parameters.spec().
Program read_program(ByteReader& program, ByteReader& weights, const ckks::Parameters& parameters);

void write_prediction(ByteWriter& out, const Prediction& value);
Prediction read_prediction(ByteReader& in);

void write_keys(ByteWriter& out, const ckks::KeyRequest& value);
/// Sets exist, Galois elements are odd and below 2n, nothing is listed twice.
ckks::KeyRequest read_keys(ByteReader& in, const ckks::Parameters& parameters);

/// Everything of a client bundle but its parameters, prediction and model id.
void write_client(ByteWriter& out, const ClientBundle& value);
/// Fills `value`; levels are those of the parameters, shapes and layouts fit each other.
void read_client(ByteReader& in, const ckks::Parameters& parameters, ClientBundle& value);

}  // namespace hearth::compiler
