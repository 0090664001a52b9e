/// Reads a switching key; whatever is accepted must be written back to the same bytes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "../ckks/specs.h"
#include "base/error.h"
#include "ckks/serialize.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  static const ckks::ParametersPtr parameters = ckks::Parameters::create(ckks::testing::mixed_spec(4));
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    ByteReader in(bytes);
    const auto object = ckks::read_switching_key(in, *parameters);
    ByteWriter out;
    ckks::write(out, object);
    const std::vector<std::byte> again = out.take();
    if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.begin() + static_cast<long>(in.offset())))
      std::abort();
  } catch (const Error&) {
  }
  return 0;
}
