/// Reads parameters; whatever is accepted must write the same number of bytes and make parameters or a typed error.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/error.h"
#include "ckks/serialize.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  try {
    ByteReader in(std::as_bytes(std::span(data, size)));
    const ckks::ParameterSpec spec = ckks::read_parameter_spec(in);
    ByteWriter out;
    ckks::write(out, spec);
    if (out.size() != in.offset()) std::abort();
    constexpr int kCheapDegree = 6;  // larger rings spend their time on tables
    if (spec.log_n <= kCheapDegree) ckks::Parameters::create(spec);
  } catch (const Error&) {
  }
  return 0;
}
