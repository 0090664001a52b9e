/// Opens a ciphertext file and reads every tensor.

#include <cstddef>
#include <cstdint>
#include <span>

#include "../compiler/tiny_program.h"
#include "base/error.h"
#include "rebuilt_container.h"
#include "service/wire/ciphertext_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  static const ckks::ParametersPtr parameters = ckks::Parameters::create(testing::tiny_spec(4));
  try {
    const auto bytes = testing::rebuilt_container(FileKind::kCiphertext, std::as_bytes(std::span(data, size)));
    const service::CiphertextFile file{std::span<const std::byte>(bytes)};
    for (std::uint32_t i = 0; i < file.head().tensors; ++i) file.read(*parameters, i);
  } catch (const Error&) {
  }
  return 0;
}
