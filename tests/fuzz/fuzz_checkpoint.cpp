/// Reads the two kinds of files that a checkpoint is made of.

#include <cstddef>
#include <cstdint>
#include <span>

#include "../compiler/tiny_program.h"
#include "base/error.h"
#include "rebuilt_container.h"
#include "runtime/checkpoint_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hearth;
  static const ckks::ParametersPtr parameters = ckks::Parameters::create(testing::tiny_spec(4));
  for (const FileKind kind : {FileKind::kCheckpoint, FileKind::kCheckpointValue}) {
    try {
      const auto bytes = testing::rebuilt_container(kind, std::as_bytes(std::span(data, size)));
      const ContainerReader file{std::span<const std::byte>(bytes)};
      kind == FileKind::kCheckpoint ? static_cast<void>(runtime::read_manifest(file))
                                    : static_cast<void>(runtime::read_value(file, *parameters));
    } catch (const Error&) {
    }
  }
  return 0;
}
