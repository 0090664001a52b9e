#pragma once

#include <filesystem>
#include <string_view>

#include "base/trace.h"

namespace hearth::cli {

/// Reads what trace::write wrote (docs/format_trace.md); events of other programs are left out. Error(kIo), and
/// Error(kCorrupt) for what is no such JSON.
trace::Recording read_trace(const std::filesystem::path& path);
/// `name` stands for the path in messages.
trace::Recording parse_trace(std::string_view text, const std::string& name);

}  // namespace hearth::cli
