#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace hearth {

/// What went wrong, for programs. The message says what was expected, what came, and what to do.
enum class ErrorKind {
  kInvalidArgument,  ///< the caller passed something outside the documented domain
  kUnsupported,      ///< valid, but not something Hearth can do (an ONNX operator, a file version)
  kSecurity,         ///< parameters below the asked security level, or a secret where none may be
  kCorrupt,          ///< a file or message fails its checksum, is truncated or holds impossible values
  kMismatch,         ///< two valid things do not belong together (keys of other parameters, wrong bundle)
  kIo,               ///< the operating system refused
  kResource,         ///< a memory or size limit would be exceeded
  kInternal          ///< a broken invariant of Hearth itself: a bug
};

/// Short lower-case name of a kind, e.g. "corrupt".
std::string_view to_string(ErrorKind kind);

/// The only exception type that Hearth throws. Thread safe as std::runtime_error is.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace hearth
