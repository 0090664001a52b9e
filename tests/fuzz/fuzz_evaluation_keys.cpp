/// Opens an evaluation key file and loads every key that the tiny network needs.

#include <cstddef>
#include <cstdint>
#include <span>

#include "../compiler/tiny_program.h"
#include "base/error.h"
#include "rebuilt_container.h"
#include "service/wire/evaluation_key_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  static const ckks::ParametersPtr parameters = ckks::Parameters::create(testing::tiny_spec(4));
  static const ckks::KeyRequest keys = testing::tiny_program({}, 4).keys;
  try {
    const auto bytes = testing::rebuilt_container(FileKind::kEvaluationKeys, std::as_bytes(std::span(data, size)));
    service::EvaluationKeyFile(std::span<const std::byte>(bytes)).load(*parameters, keys);
  } catch (const Error&) {
  }
  return 0;
}
