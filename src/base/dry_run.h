#pragma once

#include <cstddef>

namespace hearth {

/// Encrypted programs do the same whatever their data are, so running one without touching data tells what it will do:
/// which keys it reads in which order, and how much memory it holds. In a dry run kernels change nothing, contents of
/// buffers are whatever they are, loops that would run in parallel run here, and allocations count for the dry run
/// only.
///
/// Whether this thread is in one.
bool dry_run();

/// Makes the calling thread's work a dry run until the end of the scope. Scopes do not nest.
class DryRun {
 public:
  DryRun();
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;

  /// Most bytes of Buffers that the real run would hold at once since the last call, on threads() threads, not counting
  /// what was there before the scope.
  static std::size_t take_peak_bytes();
  /// Seconds of work so far, on one thread, by the costs that kernels were given (add_dry_seconds()).
  static double seconds();
};

/// For kernels: work that a real run would do here.
void add_dry_seconds(double seconds);

namespace dry {

/// Real work within a dry run, such as making tables that others will use.
class Suspension {
 public:
  Suspension();
  ~Suspension();
  Suspension(const Suspension&) = delete;
  Suspension& operator=(const Suspension&) = delete;

 private:
  bool active_;
};

void count_allocated(std::size_t bytes);
void count_freed(std::size_t bytes);

/// One round of a loop that a real run spreads over `workers` threads; inner loops of it stay on its thread.
class Round {
 public:
  explicit Round(std::size_t workers);
  ~Round();
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

 private:
  std::size_t workers_;
  long long before_, outer_peak_;
  bool nested_;
};

}  // namespace dry
}  // namespace hearth
