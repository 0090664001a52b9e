/// Reads a server bundle: a whole container, or, so that checksums do not stop the search, the two sections of a
/// program (u32 length of the first, then both) with parameters that are given.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "../compiler/tiny_program.h"
#include "base/error.h"
#include "compiler/program/program_bytes.h"

namespace {

using namespace hearth;

void read_sections(std::span<const std::byte> bytes) {
  static const ckks::ParametersPtr parameters = ckks::Parameters::create(testing::tiny_spec(4));
  ByteReader lengths(bytes, "lengths");
  const std::span<const std::byte> first = lengths.bytes(lengths.u32());
  ByteReader program(first, "program");
  ByteReader weights(bytes.subspan(lengths.offset()), "weights");
  const compiler::Program value = compiler::read_program(program, weights, *parameters);
  compiler::check(value, *parameters);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    if (size >= 6 && std::memcmp(data, "HEARTH", 6) == 0) {
      compiler::read_server_bundle(bytes);
    } else {
      read_sections(bytes);
    }
  } catch (const Error&) {
  }
  return 0;
}
