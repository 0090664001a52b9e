#pragma once

#include <cstddef>
#include <span>

namespace hearth::nn {

/// Walks the protobuf wire format of an ONNX file without building anything and refuses files whose in-memory form
/// would be many times larger than the file (millions of empty messages), nests too deeply, or is not well formed.
/// Throws Error(kCorrupt), Error(kUnsupported) or Error(kResource). Time linear in the size; no allocation.
void scan_onnx(std::span<const std::byte> bytes);

}  // namespace hearth::nn
