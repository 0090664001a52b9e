#include "runtime/loan.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace hearth::runtime {
namespace {

/// The most within `guard` places of each.
std::vector<std::uint64_t> widened(std::span<const std::uint64_t> held, std::size_t guard) {
  std::vector<std::uint64_t> out(held.size());
  for (std::size_t i = 0; i < held.size(); ++i) {
    const std::size_t from = i - std::min(i, guard), end = std::min(held.size(), i + guard + 1);
    out[i] = *std::max_element(held.begin() + static_cast<std::ptrdiff_t>(from),
                               held.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return out;
}

/// Makes stretches due that are too short for clearing and filling the memory.
void close_short_breaks(std::vector<char>& due, std::size_t least) {
  std::size_t begin = 0;  // of the break at hand
  for (std::size_t i = 0; i < due.size(); ++i) {
    if (due[i] == 0) continue;
    if (i - begin < least)
      std::fill(due.begin() + static_cast<std::ptrdiff_t>(begin), due.begin() + static_cast<std::ptrdiff_t>(i), 1);
    begin = i + 1;
  }
}

}  // namespace

Loan choose_loan(std::span<const memory::Use> uses, std::span<const std::uint64_t> held, std::uint64_t always,
                 std::uint64_t most, std::uint64_t unit, std::size_t guard) {
  require(uses.size() == held.size(), ErrorKind::kInternal, "working memory is known of {} of {} uses", held.size(),
          uses.size());
  Loan loan;
  if (uses.empty()) return loan;
  const std::vector<std::uint64_t> around = widened(held, guard);
  const std::uint64_t peak = std::max(always, *std::ranges::max_element(around));
  std::vector<std::size_t> order(uses.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return around[i]; });
  double seconds = 0, best = 0;
  for (const std::size_t i : order) {
    seconds += uses[i].seconds;
    const std::uint64_t level = std::max(always, around[i]);
    const std::uint64_t bytes = std::min(most, peak - level) / unit * unit;
    if (static_cast<double>(bytes) * seconds <= best) continue;
    best = static_cast<double>(bytes) * seconds;
    loan.bytes = bytes;
  }
  if (loan.bytes == 0) return loan;
  for (const std::uint64_t bytes : around) loan.due.push_back(bytes + loan.bytes > peak ? 1 : 0);
  close_short_breaks(loan.due, 4 * guard);
  return loan;
}

}  // namespace hearth::runtime
