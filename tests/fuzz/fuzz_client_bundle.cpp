/// Reads a client bundle: a whole container, or, so that checksums do not stop the search, its client section with
/// parameters that are given.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "../compiler/tiny_program.h"
#include "base/error.h"
#include "compiler/program/program_bytes.h"

namespace {

using namespace hearth;

void check_layout(const compiler::Layout& layout) {
  for (const compiler::Place& place : layout.places) {
    if (place.ciphertext >= layout.ciphertexts || place.slot < 0 || place.slot >= layout.period) std::abort();
  }
}

void read_section(std::span<const std::byte> bytes) {
  static const ckks::ParametersPtr parameters = ckks::Parameters::create(testing::tiny_spec(4));
  ByteReader in(bytes, "client");
  compiler::ClientBundle bundle;
  compiler::read_client(in, *parameters, bundle);
  check_layout(bundle.input_layout);
  check_layout(bundle.output_layout);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    if (size >= 6 && std::memcmp(data, "HEARTH", 6) == 0) {
      compiler::read_client_bundle(bytes);
    } else {
      read_section(bytes);
    }
  } catch (const Error&) {
  }
  return 0;
}
