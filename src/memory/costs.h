#pragma once

#include <vector>

#include "memory/plan.h"

namespace hearth::memory {

/// What moving an object costs, in seconds.
struct TransferCost {
  double read_busy = 0, read_latency = 0, write_busy = 0, write_latency = 0;
};

/// By object; all zero without a tier.
std::vector<TransferCost> transfer_costs(const AccessSequence& sequence, const PlanOptions& options);

}  // namespace hearth::memory
