#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "memory/plan.h"

namespace hearth::runtime {

/// Working memory is needed in full for a part of the time only. In between, a part of it can hold keys.
struct Loan {
  std::uint64_t bytes = 0;  ///< 0: not worth it
  std::vector<char> due;    ///< by use: working memory needs them
};

/// Chooses the loan that gives most bytes times seconds to objects. `held`: bytes of working memory around each use;
/// `always`: that may be needed at any time; `most`: no larger loan; `unit`: loans are multiples of it. Uses may come
/// `guard` places earlier or later than in the sequence.
Loan choose_loan(std::span<const memory::Use> uses, std::span<const std::uint64_t> held, std::uint64_t always,
                 std::uint64_t most, std::uint64_t unit, std::size_t guard);

}  // namespace hearth::runtime
