#pragma once

#include <string>

#include "cli/common/command.h"
#include "runtime/residency.h"

/// A budget of memory as people and programs read it.
namespace hearth::cli {

/// Before a run: what the budget is for, what moves, and what that costs.
std::string forecast_text(const runtime::MemoryForecast& forecast);
/// After it: what moved, beside what was planned.
std::string residency_text(const runtime::Residency& residency);
Json to_json(const runtime::Residency& residency);

}  // namespace hearth::cli
