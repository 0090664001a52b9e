#pragma once

#include <cstddef>
#include <vector>

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
  /// what was there before the scope. May be called anywhere, within the rounds of a loop too.
  static std::size_t take_peak_bytes();
  /// Seconds from the beginning to where the calling thread's work is, by the costs that kernels were given
  /// (add_dry_seconds()), were it spread over threads() threads. Rounds of a loop that would run side by side pass
  /// through the same time one after the other.
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

/// The threads that share the rounds of a loop in a real run. Inner loops of a round stay on its thread.
class Workers {
 public:
  explicit Workers(std::size_t count);
  ~Workers();  ///< all have arrived
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

 private:
  friend class Round;
  bool nested_;
  std::vector<double> clocks_;
};

/// A round done by the worker that is free first.
class Round {
 public:
  explicit Round(Workers& workers);
  ~Round();
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

 private:
  Workers& workers_;
  std::size_t worker_;
};

}  // namespace dry
}  // namespace hearth
