// The ONNX importer on foreign bytes, and simplification of whatever it lets through.
#include <cstddef>
#include <cstdint>
#include <span>

#include "hearth/error.h"
#include "nn/onnx_import.h"
#include "nn/simplify.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const hearth::nn::Graph graph = hearth::nn::import_onnx(std::as_bytes(std::span(data, size)));
    hearth::nn::check(graph);
    hearth::nn::check(hearth::nn::simplify(graph));
  } catch (const hearth::Error& error) {
    // An error of the caller's making, or a bug, would be the importer's fault here.
    if (error.kind() == hearth::ErrorKind::kInternal || error.kind() == hearth::ErrorKind::kInvalidArgument) {
      __builtin_trap();
    }
  }
  return 0;
}
