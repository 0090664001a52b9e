#pragma once

#include <string_view>

namespace hearth {

/// Instruction sets that kernels exist for, by name, each with what it includes: "scalar" (whatever the compiler
/// targets), "avx2" (with FMA), "avx512" (F, DQ, VL and BW).
///
/// Whether this CPU has the set of that name; false for other names.
bool cpu_has(std::string_view isa);

/// The widest set that this CPU has and environment variable HEARTH_ISA = scalar | avx2 | avx512, if set, allows.
/// Throws Error(kInvalidArgument) if the variable is something else.
const char* best_isa();

}  // namespace hearth
