#pragma once

#include <string>

#include "cli/common/command.h"
#include "cli/report/summary.h"

namespace hearth::cli {

/// Tables for a terminal.
std::string to_text(const TraceSummary& summary);
Json to_json(const TraceSummary& summary);
/// One page of HTML with pictures (SVG), complete in itself: no scripts, nothing to load. `title` is any text.
std::string to_html(const TraceSummary& summary, const std::string& title);

}  // namespace hearth::cli
