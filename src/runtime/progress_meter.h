#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace hearth::runtime {

/// Turns the course of a run into reports of progress. Parts of instructions that are done count with their costs; of
/// the part that goes on, which may take minutes, a share is guessed from the time it takes and the pace so far, at
/// most nine tenths. Used by the thread that made it, except where said otherwise.
class ProgressMeter {
 public:
  /// (costs done, costs in all, name of the instruction).
  using Report = std::function<void(double, double, const std::string&)>;
  /// Seconds since any moment.
  using Clock = std::function<double()>;

  /// `costs`: of every instruction, not negative. `report` may be empty.
  ProgressMeter(std::vector<double> costs, Report report, Clock clock);

  /// Instruction `index` begins, and all before it are done: before the first one begun, by another run.
  void begin(std::size_t index, const std::string& name);
  /// The part from share `from` to share `to` of the current instruction begins.
  void begin_part(double from, double to);
  /// To be called often while a part goes on; does nothing in other threads, and rarely anything in this one.
  void tick();
  /// All instructions are done.
  void finish();

 private:
  void report(double done);

  const std::vector<double> costs_;
  const Report report_;
  const Clock clock_;
  const std::thread::id thread_ = std::this_thread::get_id();
  const double total_, start_;
  std::string name_;
  std::size_t instruction_ = 0;
  double before_ = 0;                            // costs of the instructions that are done
  double skipped_ = -1;                          // of those that another run did; -1 before the first one
  double part_done_ = 0, part_cost_ = 0;         // costs done when the part began, and its own
  double part_begin_ = 0, told_ = 0, pace_ = 0;  // seconds, seconds, seconds a unit of cost
};

}  // namespace hearth::runtime
