#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "nn/graph.h"

namespace hearth::nn {

/// Reads an ONNX model (opset 7 to 21, default domain) with one float32 input and one output into a Graph; integer
/// arithmetic on shapes is folded away, dynamic batch becomes 1. The file is treated as hostile: memory is bounded by a
/// small multiple of its size.
///
/// Throws Error(kIo) if the file cannot be read; Error(kCorrupt) for what is not a valid model (undecodable, lengths or
/// types that contradict each other, cycles, NaN weights); Error(kUnsupported) for a valid model that Hearth cannot
/// run, naming the node, its operator, the opset and what is supported. Thread safe.
Graph import_onnx(const std::filesystem::path& path);
Graph import_onnx(std::span<const std::byte> bytes);

}  // namespace hearth::nn
