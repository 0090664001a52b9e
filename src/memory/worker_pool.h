#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace hearth::memory {

/// A few threads that run jobs in the order in which they come. For jobs that wait or copy, not for arithmetic, which
/// has parallel_for. Thread safe.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  /// Runs everything posted, also by jobs, to its end.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Returns at once. The job must not throw; it may post others.
  void post(std::function<void()> job);

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace hearth::memory
