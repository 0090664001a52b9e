#include "base/error.h"

namespace hearth {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument: return "invalid argument";
    case ErrorKind::kUnsupported: return "unsupported";
    case ErrorKind::kSecurity: return "security";
    case ErrorKind::kCorrupt: return "corrupt";
    case ErrorKind::kMismatch: return "mismatch";
    case ErrorKind::kIo: return "io";
    case ErrorKind::kResource: return "resource";
    case ErrorKind::kInternal: return "internal";
  }
  return "unknown";
}

}  // namespace hearth
