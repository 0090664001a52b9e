#include "base/parallel.h"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "base/dry_run.h"

namespace hearth {
namespace {

std::mutex mutex;
std::unique_ptr<tbb::global_control> control;
int limit = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));

void go_through(std::size_t begin, std::size_t end, const std::function<void(std::size_t)>& body) {
  dry::Workers workers(std::min(end - begin, static_cast<std::size_t>(threads())));
  for (std::size_t i = begin; i < end; ++i) {
    const dry::Round round(workers);
    body(i);
  }
}

}  // namespace

void set_threads(int count) {
  const std::lock_guard lock(mutex);
  limit = std::max(1, count);
  control.reset();
  control = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                  static_cast<std::size_t>(limit));
}

int threads() {
  const std::lock_guard lock(mutex);
  return limit;
}

void parallel_for(std::size_t begin, std::size_t end, const std::function<void(std::size_t)>& body) {
  if (end <= begin) return;
  if (end - begin == 1) return body(begin);
  if (dry_run()) return go_through(begin, end, body);
  tbb::parallel_for(begin, end, [&](std::size_t i) { body(i); });
}

void parallel_for_in_order(std::size_t begin, std::size_t end, const std::function<void(std::size_t)>& body) {
  if (end <= begin) return;
  if (end - begin == 1) return body(begin);
  if (dry_run()) return go_through(begin, end, body);
  std::atomic<std::size_t> next{begin};
  const auto worker = [&](std::size_t) {
    for (std::size_t i = next++; i < end; i = next++) {
      try {
        tbb::this_task_arena::isolate([&] { body(i); });
      } catch (...) {
        next = end;
        throw;
      }
    }
  };
  const std::size_t workers = std::min(end - begin, static_cast<std::size_t>(threads()));
  tbb::parallel_for(
      std::size_t{0}, workers, std::size_t{1}, [&](std::size_t i) { worker(i); }, tbb::simple_partitioner());
}

}  // namespace hearth
