/// Reads a secret key file.

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "rebuilt_container.h"
#include "service/client/secret_key_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  try {
    const auto bytes = testing::rebuilt_container(FileKind::kSecretKey, std::as_bytes(std::span(data, size)));
    service::read_secret_key(std::span<const std::byte>(bytes));
  } catch (const Error&) {
  }
  return 0;
}
