#pragma once

#include "ring/kernels/kernels.h"

namespace hearth::ring {

/// The portable kernels: the reference that every other table is tested against, and its fallback for short arrays.
const Kernels& scalar_kernels();

/// Tables compiled for one instruction set, or nullptr when the compiler does not target x86. They may only be called
/// on a CPU that has the instructions; kernels_for() checks.
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();

/// Kernels that leave memory as it is and count the work (base/dry_run.h).
const Kernels& dry_kernels();

}  // namespace hearth::ring
