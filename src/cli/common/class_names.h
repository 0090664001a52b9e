#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/common/command.h"

/// Files with the names of a network's classes.
namespace hearth::cli {

struct ClassOptions {
  std::string file;  ///< "" if there is none
  int offset = 0;    ///< the first so many outputs are not in the file
};

/// Adds --classes and --class-offset.
void add_class_options(CLI::App& app, ClassOptions& options);

/// The name of every output of a network, empty without a file. Outputs before the offset are called "background", as
/// networks trained with TensorFlow call their only one. Error(kMismatch) unless the file names all the others.
std::vector<std::string> read_class_names(const ClassOptions& options, std::size_t outputs);

/// Names in a file (`name`, for messages): JSON, which is a list of names, or an object from numbers, all of "0" to
/// "n - 1", to names or to pairs of an id and a name, as Keras has it; or else text, a name a line. Names are trimmed;
/// empty lines at the end do not count. Error(kCorrupt) naming the file and the entry for other JSON, and for names
/// that are empty, longer than kMaxClassName or no plain text (base/text.h).
std::vector<std::string> parse_class_names(std::string_view text, const std::string& name);

/// Longest name of a class, in bytes; that of client bundles.
inline constexpr std::size_t kMaxClassName = 256;

}  // namespace hearth::cli
